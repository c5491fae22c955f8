import numpy as np
import pytest

from classify.command import Problem
from classify.data import sources
from classify.data.sources import batches


@pytest.fixture
def arrays(rng):
    """Twelve images and their labels, all ten of CIFAR-10's."""
    images = rng.integers(0, 256, (12, 32, 32, 3), "uint8")
    images[0, 0, 0], images[1, -1, -1] = 200, 200  # values at both ends that are larger than any label
    return images, np.arange(12) % 10


def rows(images, labels, order="cifar", first=False):
    """The lines of a CSV file, as a person would write them."""
    values = (images.transpose(0, 3, 1, 2) if order == "cifar" else images).reshape(len(images), -1).tolist()
    pairs = zip(labels, values, strict=True)
    return [",".join(map(str, [label, *row] if first else [*row, label])) for label, row in pairs]


def write(path, lines, end="\n"):
    path.write_text(end.join(lines) + end, encoding="utf-8", newline="")
    return str(path)


HEADERS = {
    "none": None,
    "names": [f"pixel{i}" for i in range(3072)],
    "pandas'": [str(i) for i in range(3072)],  # of a DataFrame without names
}


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("order", ["cifar", "rgb", None])
def test_a_file_is_read_as_it_was_written(header, first, order, arrays, tmp_path):
    images, labels = arrays
    lines = rows(images, labels, order or "cifar", first)
    if header != "none":
        names = ["label", *HEADERS[header]] if first else [*HEADERS[header], "label"]
        lines.insert(0, ",".join(names))
    source = sources.find(write(tmp_path / "images.csv", lines), csv_order=order)
    read = source.read("train", None)
    np.testing.assert_array_equal(read.images, images)
    np.testing.assert_array_equal(read.labels, labels)
    assert read.images.dtype == np.uint8 and read.labels.dtype == np.int64
    assert source.splits == ("train",) and source.name == "images" and source.class_names == batches.CLASS_NAMES


def test_a_folder_has_train_and_test(arrays, tmp_path):
    images, labels = arrays
    write(tmp_path / "train.csv", rows(images, labels, first=True))
    # On its own, test would say that its last column holds the labels.
    test = np.full((1, 32, 32, 3), 9, "uint8")
    test[0, -1, -1] = 0
    write(tmp_path / "test.csv", rows(test, [9], first=True))
    source = sources.find(str(tmp_path))
    assert source.splits == ("train", "test") and source.option == str(tmp_path)
    np.testing.assert_array_equal(source.read("train", None).images, images)
    np.testing.assert_array_equal(source.read("test", None).images, test)
    np.testing.assert_array_equal(source.read("test", None).labels, [9])


def test_what_programs_add_to_a_file_changes_nothing(arrays, tmp_path):
    images, labels = arrays
    quoted = ['"' + line.replace(",", '","') + '"' for line in rows(images, labels, first=True)]
    read = sources.find(write(tmp_path / "a.csv", ["\ufeff" + quoted[0], "", *quoted[1:], " "], "\r\n")).read(
        "train", None
    )
    np.testing.assert_array_equal(read.images, images)
    np.testing.assert_array_equal(read.labels, labels)


@pytest.mark.parametrize("first", [True, False])
def test_labels_that_are_words_or_other_numbers_name_the_classes(first, arrays, tmp_path):
    images = arrays[0][:4]
    for name, texts, classes in (
        ("words", ["class10", "class2", "Übung", "class2"], ("class2", "class10", "Übung")),
        ("numbers", ["10", "2", "300", "2"], ("2", "10", "300")),
    ):
        source = sources.find(write(tmp_path / f"{name}.csv", rows(images, texts, first=first)))
        assert source.class_names == classes and source.name == name
        np.testing.assert_array_equal(source.read("train", None).labels, [1, 0, 2, 0])


def test_cifar10s_names_are_known(arrays, tmp_path):
    images, labels = arrays
    source = sources.find(write(tmp_path / "a.csv", rows(images, [batches.CLASS_NAMES[label] for label in labels])))
    assert source.class_names == batches.CLASS_NAMES and source.fingerprint  # without a test split it is one's own
    np.testing.assert_array_equal(source.read("train", None).labels, labels)


def test_a_file_is_never_taken_for_data_of_another_kind(arrays, tmp_path):
    assert sources.find(write(tmp_path / "cifar10.csv", rows(arrays[0][:2], ["cat", "dog"]))).name == "cifar10-own"


def test_other_data_are_known_by_their_content(arrays, tmp_path):
    images, labels = arrays[0][:2], ["cat", "dog"]
    prints = []
    for folder, changed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / folder).mkdir()
        prints.append(sources.find(write(tmp_path / folder / "pets.csv", rows(images ^ changed, labels))).fingerprint())
    assert prints[0] == prints[1] != prints[2] and len(prints[0]) == 32


def test_many_rows_are_read_block_by_block(arrays, tmp_path, monkeypatch):
    monkeypatch.setattr("classify.data.sources.table.BLOCK", 5)
    images, labels = arrays
    read = sources.find(write(tmp_path / "a.csv", rows(images, labels))).read("train", None)
    np.testing.assert_array_equal(read.images, images)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("7,cat" + ",1" * 3071, "row 3: holds cat; values are whole numbers from 0 to 255"),
        ("7,256" + ",1" * 3071, "row 3: holds 256;"),
        ("7,-1" + ",1" * 3071, "row 3: holds -1;"),
        ("7,0.5" + ",1" * 3071, "row 3: holds 0.5;"),
        ("7," + ",1" * 3071, "row 3: holds nothing;"),
        ("7" + ",1" * 3073, "row 3: has 3,074 columns; an image is 3,072 values and a label"),
        ("7,1", "row 3: has 2 columns"),
        ("7,\x1b[2J" + ",1" * 3071, r"row 3: holds \\x1b\[2J;"),
        ("," + ",1" * 3071, "row 3: has no label; mend or remove the row"),
    ],
)
def test_a_wrong_row_is_a_line_that_names_it(row, message, arrays, tmp_path):
    lines = rows(*arrays, first=True)
    with pytest.raises(Problem, match=message) as problem:
        sources.find(write(tmp_path / "a.csv", [*lines[:2], row, *lines[2:]])).read("train", None)
    assert str(problem.value).isprintable()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "is empty"),
        ([",".join(["label", *HEADERS["names"]])], "holds no images, a header row only"),
        (["1,2,3"], "has 3 columns; an image is 3,072 values and a label"),
        (["1" + ",1" * 3072, "2" + ",2" * 3072], "is the label the first column or the last. A header row"),
    ],
)
def test_a_file_of_another_kind_is_a_line(lines, message, tmp_path):
    with pytest.raises(Problem, match=message):
        sources.find(write(tmp_path / "a.csv", lines))


def test_a_label_that_train_lacks_is_named(arrays, tmp_path):
    write(tmp_path / "train.csv", rows(arrays[0][:2], ["cat", "dog"]))
    write(tmp_path / "test.csv", rows(arrays[0][:2], ["cat", "fish"]))
    with pytest.raises(Problem, match="test has labels that train lacks: fish; mend or remove"):
        sources.find(str(tmp_path))
