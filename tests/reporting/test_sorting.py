import numpy as np
import pytest
from PIL import Image

from classify.command import Problem
from classify.data import pictures
from classify.inference.predictor import Prediction
from classify.reporting import sorting
from classify.reporting.sorting import Sorting, folder_names


def prediction(best, class_names=("ants", "bees"), unsure=False):
    probabilities = np.array([float(name == best) for name in class_names])
    return Prediction("m", class_names, probabilities, None, unsure)


@pytest.fixture
def photo(tmp_path):
    """A function that writes a picture file with these bytes, which need not be a picture's."""

    def write(name, content=b"a photo"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def sorted_into(tmp_path):
    return Sorting(tmp_path / "sorted", ("ants", "bees"))


def test_pictures_are_copied_to_the_byte_into_folders_of_their_classes(photo, sorted_into, tmp_path):
    copies = [
        sorted_into.write(photo("a b.jpg", b"1"), prediction("ants")),
        sorted_into.write(photo("図.png", b"2"), prediction("bees")),
        sorted_into.write(photo("c.png", b"3"), prediction("bees", unsure=True)),
        sorted_into.write(photo("d.png", b"4"), prediction("bees", unsure=None)),
    ]
    names = ["ants/a b.jpg", "bees/図.png", "not sure/c.png", "bees/d.png"]
    assert copies == [tmp_path / "sorted" / name for name in names]
    assert [copy.read_bytes() for copy in copies] == [b"1", b"2", b"3", b"4"]
    assert (tmp_path / "a b.jpg").read_bytes() == b"1"  # it stays where it was
    assert str(sorted_into) == f"{tmp_path / 'sorted'}: 1 ants · 2 bees · 1 not sure"


def test_a_link_is_followed_and_a_read_only_file_copied(photo, sorted_into, tmp_path):
    path = photo("a.png")
    path.chmod(0o400)
    (tmp_path / "link.png").symlink_to(path)
    copy = sorted_into.write(tmp_path / "link.png", prediction("ants"))
    assert not copy.is_symlink() and copy.read_bytes() == b"a photo"


def test_two_pictures_of_one_name_and_a_file_that_is_there_are_kept(photo, sorted_into, tmp_path):
    taken = photo("sorted/ants/x.tar.jpg", b"somebody's own")
    for folder in ("one", "two"):
        sorted_into.write(photo(f"{folder}/x.tar.jpg", folder.encode()), prediction("ants"))
    assert taken.read_bytes() == b"somebody's own"
    found = {file.name: file.read_bytes() for file in taken.parent.iterdir()}
    assert found == {"x.tar.jpg": b"somebody's own", "x.tar-2.jpg": b"one", "x.tar-3.jpg": b"two"}


def test_a_link_to_nothing_is_not_written_through(photo, sorted_into, tmp_path):
    (tmp_path / "sorted" / "ants").mkdir(parents=True)
    (tmp_path / "sorted" / "ants" / "x.png").symlink_to(tmp_path / "nowhere")
    copy = sorted_into.write(photo("x.png"), prediction("ants"))
    assert copy.name == "x-2.png" and not (tmp_path / "nowhere").exists()


def test_sorting_a_second_time_copies_nothing_again(photo, sorted_into, tmp_path):
    path = photo("x.png")
    first = sorted_into.write(path, prediction("ants"))
    assert sorted_into.write(path, prediction("ants")) == first
    assert sorted_into.write(first, prediction("ants")) == first  # it was read from the folder it belongs into
    assert list((tmp_path / "sorted" / "ants").iterdir()) == [first]
    assert str(sorted_into).endswith(": 3 ants")


@pytest.mark.parametrize(("kind", "name"), [("PNG", "stdin.png"), ("JPEG", "stdin.jpeg"), ("JPEG2000", "stdin.jp2")])
def test_standard_input_gets_a_name(kind, name, sorted_into, tmp_path, monkeypatch):
    file = tmp_path / "x"
    Image.new("RGB", (8, 8)).save(file, kind)
    content = file.read_bytes()
    monkeypatch.setattr(pictures, "standard_input", lambda: content)
    for _ in range(2):
        copy = sorted_into.write(type(tmp_path)("-"), prediction("bees"))
        assert copy == tmp_path / "sorted" / "bees" / name and copy.read_bytes() == content
    assert copy.suffix in pictures.EXTENSIONS


def test_what_cannot_be_copied_is_named(photo, sorted_into, tmp_path, monkeypatch):
    (tmp_path / "sorted").mkdir()
    (tmp_path / "sorted" / "bees").write_text("a file in the way")
    with pytest.raises(Problem, match=r"/x\.png: cannot be copied \(.*sorted/bees: file exists\)"):
        sorted_into.write(photo("x.png"), prediction("bees"))

    def full(source, target):
        target.write_bytes(b"a")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sorting.shutil, "copyfile", full)
    with pytest.raises(Problem, match=r"/x\.png: cannot be copied \(.*ants/x\.png cannot be written, the disk is full"):
        sorted_into.write(photo("x.png"), prediction("ants"))
    assert list((tmp_path / "sorted" / "ants").iterdir()) == []
    assert str(sorted_into) == f"{tmp_path / 'sorted'}: no pictures"


def test_a_file_is_refused_as_the_folder(photo):
    with pytest.raises(Problem, match="file.png is a file; it takes a folder") as problem:
        Sorting(photo("file.png"), ("a", "b"))
    assert problem.value.status == 2


def test_class_names_that_are_no_folders_names(capsys, tmp_path):
    names = ("cat/dog", "..", "", "cat\\dog", "Cat", "cat", "con", "NOT SURE", "a\nb\x1b[2J", "ends. ", "ж", "é" * 200)
    folders = folder_names(names)
    assert list(folders) == list(names)
    expected = ["cat_dog", "_", "_-2", "cat_dog-2", "Cat", "cat-2", "con_", "NOT SURE-2", "a_b_[2J", "ends", "ж"]
    assert list(folders.values()) == [*expected, "é" * 120]
    Sorting(tmp_path / "s", ("a/b", "c"))
    assert capsys.readouterr().err == f"pictures of a/b go into {tmp_path / 's' / 'a_b'}\n"
