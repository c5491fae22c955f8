import numpy as np

from classify.data import survey
from classify.data.dataset import Split


def split_of(labels, prints):
    files = np.array([f"file{row}" for row in range(len(labels))], object)
    return Split(np.zeros((len(labels), 1, 1, 3)), np.array(labels), files, np.array(prints, "uint64"))


def test_findings_count_classes_sizes_and_copies():
    facts = [{"size": [10 * (i + 1), 20]} for i in range(9)]
    parts = np.array(["train"] * 4 + ["test"] * 5)
    split = split_of([0] * 7 + [1] * 2, [5, 1, 5, 2, 8, 3, 2, 9, 3])
    lines = survey.findings(split, facts, ("ants", "bees"), parts)
    assert lines == [
        "train: 4 ants · 0 bees",
        "test: 3 ants · 2 bees",
        "sizes 10 x 20 to 90 x 20, half of them up to 50 x 20",
        "4 times as many pictures of ants as of bees: try --class-weight balanced",
        "1 picture there more than once: file0 = file2",
        "1 picture there with different labels: file5 = file8",
    ]


def test_many_classes_are_summed_up():
    n = 12
    names = tuple(f"class{i}" for i in range(n))
    labels = [*range(n), 0]
    facts, parts = [{"size": [5, 5]}] * (n + 1), np.array(["train"] * (n + 1))
    lines = survey.findings(split_of(labels, range(n + 1)), facts, names, parts)
    assert lines == ["train: 12 classes of 1 to 2 pictures", "all of 5 x 5 pixels"]


def test_ten_files_that_cannot_be_read_are_shown_and_all_are_listed(tmp_path):
    files = [f"{i}.png" for i in range(1000)]
    facts = [{"problem": "is damaged"} if i < 12 else {} for i in range(1000)]
    line = survey.check_readable(tmp_path, tmp_path / "store", files, facts)
    shown = ", ".join(f"{i}.png" for i in range(10))
    listing = tmp_path / "store" / "unreadable.txt"
    assert line == f"12 files cannot be read: {shown}, … (and why: {listing})"
    assert listing.read_text().splitlines()[11] == "11.png: is damaged" and len(listing.read_text().splitlines()) == 12
