import os
import unicodedata

import numpy as np
import pytest
from PIL import ExifTags, Image

from classify.command import Problem
from classify.data import sources, splits, store
from classify.data.sources import folder


@pytest.fixture(autouse=True)
def stores(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "ROOT", tmp_path / "stores")


def picture(path, colour, size=(40, 30), kind=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, colour)
    (image.convert(kind) if kind else image).save(path, **options)
    return path


def fill(root, classes, n=4, size=(40, 30)):
    """Make ``n`` pictures in each class folder, no two of one colour in a root."""
    for number, name in enumerate(classes):
        for i in range(n):
            picture(root / name / f"{i}.png", (10 * i, 40 * number + 1, sum(map(ord, root.name)) % 256), size)
    return root


def test_classes_and_files_stand_in_natural_order(tmp_path):
    fill(tmp_path / "photos", ["class10", "class2", "Class1"], n=11)
    source = folder.source(tmp_path / "photos")
    assert source.class_names == ("Class1", "class2", "class10") and source.splits == ("train",)
    assert (source.name, source.shape, source.side) == ("photos", None, 30)
    split = source.read("train", 32)
    assert list(split.files[:11]) == [os.path.join("Class1", f"{i}.png") for i in range(11)]
    assert list(np.bincount(split.labels)) == [11, 11, 11]
    pixels = split.images[np.array([3, 14])]
    assert pixels.shape == (2, 32, 32, 3) and pixels[0, 0, 0, 0] == 30 and pixels[1, 0, 0, 1] == 41


@pytest.mark.parametrize("validation", ["val", "valid", "Validation"])
def test_splits_are_matched_by_name_and_what_systems_leave_is_passed_over(tmp_path, validation, capsys):
    root = tmp_path / "photos"
    for name, classes in (("train", "abc"), (validation, "cba"), ("test", "ca")):
        fill(root / name, classes, n=2)
    for junk in ("__MACOSX", ".hidden", "train/.git", "train/__MACOSX"):
        (root / junk).mkdir()
    for file in ("train/a/Thumbs.db", "train/a/.DS_Store", "train/a/notes.txt", "train/a/0.explained.png", "read.me"):
        (root / file).write_text("no picture")
    (root / "drafts").mkdir()
    source = sources.find(str(root))
    assert source.splits == ("train", "validation", "test") and source.class_names == ("a", "b", "c")
    assert list(source.read("validation", 32).labels) == [0, 0, 1, 1, 2, 2]
    test = source.read("test", 32)
    names = [source.class_names[label] for label in test.labels]
    assert [file.split(os.sep)[1] for file in test.files] == names and set(names) == {"a", "c"}
    assert list(source.read("train", 32).labels) == [0, 0, 1, 1, 2, 2]
    notes = capsys.readouterr().err
    assert "passed over, files of other kinds than pictures: notes.txt\n" in notes
    assert "passed over, as they stand beside train/, val/ and test/: drafts" in notes
    assert "test has no pictures of b\n" in notes


def test_names_with_spaces_in_another_script_and_in_two_spellings_are_one_class(tmp_path):
    root = tmp_path / "mes photos"
    name = unicodedata.normalize("NFC", "été à la mer 海")
    fill(root / "train", [name, "b"], n=2)
    fill(root / "test", [unicodedata.normalize("NFD", name), "b"], n=1)
    source = folder.source(root)
    assert source.class_names == ("b", name)
    assert list(source.read("test", 32).labels) == [0, 1]


def test_a_folder_is_never_taken_for_data_of_another_kind(tmp_path):
    assert folder.source(fill(tmp_path / "cifar10", ["a", "b"], n=1)).name == "cifar10-folder"


def test_links_are_followed(tmp_path):
    fill(tmp_path / "elsewhere", ["a"], n=3)
    root = fill(tmp_path / "photos", ["b"], n=3)
    (root / "a").symlink_to(tmp_path / "elsewhere" / "a")
    (root / "b" / "link.png").symlink_to(tmp_path / "elsewhere" / "a" / "0.png")
    (root / "b" / "loop").symlink_to(root)
    assert list(np.bincount(folder.source(root).read("train", 32).labels)) == [3, 4]


def test_folders_that_are_no_data_are_refused_in_a_line(tmp_path):
    def refused(words):
        with pytest.raises(Problem, match=words):
            folder.source(tmp_path / "photos")

    (tmp_path / "photos").mkdir()
    refused("photos holds no folders; put the pictures of each class into a folder of its own")
    fill(tmp_path / "photos" / "train", ["a", "b"])
    (tmp_path / "photos" / "train" / "empty").mkdir()
    refused("photos/train/empty holds no pictures of a kind that is read; fill it, or remove it")
    (tmp_path / "photos" / "train" / "empty").rmdir()
    fill(tmp_path / "photos" / "test", ["a", "wasps"])
    refused("test has classes that train lacks: wasps; rename or remove")
    for name in ("val", "valid"):
        fill(tmp_path / "photos" / name, ["a"])
    refused("two folders for validation; keep one of val, valid and validation")


@pytest.fixture
def odd(tmp_path):
    """A folder of pictures of every odd kind, and enough plain ones that they are few."""
    root = tmp_path / "odd"
    fill(root / "train", ["a", "b"], n=25)
    picture(root / "train/a/grey.png", (90, 90, 90), kind="L")
    picture(root / "train/a/cmyk.jpg", (200, 0, 0), kind="CMYK")
    Image.fromarray(np.full((30, 40), 65535, "uint16")).save(root / "train/a/deep.png")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    half = Image.new("RGB", (60, 40), "black")
    half.paste("white", (0, 0, 30, 40))  # white on the left: on top when turned
    half.save(root / "train/a/turned.jpg", exif=exif, quality=95)
    (root / "train/b/text.jpg").write_text("no picture")
    whole = picture(root / "train/b/whole.jpg", (1, 2, 3), size=(400, 300)).read_bytes()
    (root / "train/b/whole.jpg").unlink()
    (root / "train/b/cut.jpg").write_bytes(whole[: len(whole) // 2])
    fill(root / "test", ["a", "b"], n=2)
    picture(root / "train/a/twin.bmp", (7, 8, 9))
    picture(root / "test/a/twin.png", (7, 8, 9))
    picture(root / "train/a/same1.png", (70, 80, 90))
    picture(root / "train/a/same2.png", (70, 80, 90))
    picture(root / "train/b/same3.png", (70, 80, 90))
    return root


def test_each_odd_picture_is_read_as_predict_reads_it_or_named(odd, capsys):
    source = folder.source(odd)
    data = splits.load(source, validation=0.1, size=32)
    train = source.read("train", 32)
    pixels = {os.path.basename(file): train.images[np.array([row])][0] for row, file in enumerate(train.files)}
    assert (pixels["grey.png"] == 90).all() and (pixels["deep.png"] == 255).all()
    assert (pixels["cmyk.jpg"][..., 0] > 180).all() and (pixels["cmyk.jpg"][..., 1:] < 30).all()
    assert pixels["turned.jpg"][0].min() > 200 and pixels["turned.jpg"][-1].max() < 50
    assert not {"text.jpg", "cut.jpg"} & set(pixels)
    lines, notes = str(data).splitlines(), capsys.readouterr().err
    listing = next((store.ROOT).glob("odd-32-*/unreadable.txt"))
    assert lines[2].strip() == "train: 32 a · 26 b" and lines[3].strip() == "test: 3 a · 2 b"
    assert "sizes 40 x 30 to 40 x 60" in lines[4]
    said = " ".join(str(data).split())
    assert "more than once" not in said  # but for those that are named elsewhere
    assert f"2 files cannot be read: {os.path.join('train', 'b', 'cut.jpg')}, " in notes
    assert "cannot be read as an image" in listing.read_text() and "damaged" in listing.read_text()
    assert "1 picture there with different labels: train/a/same1.png = train/a/same2.png" in said
    assert "stand in train and in test: 1; left out of train" in notes
    assert "twin.bmp" not in {os.path.basename(file) for file in [*data.train.files, *data.validation.files]}


def test_a_folder_that_mostly_cannot_be_read_is_refused(tmp_path):
    root = fill(tmp_path / "photos", ["a", "b"], n=4)
    (root / "a" / "bad.png").write_bytes(b"")
    with pytest.raises(Problem, match="1 of the 9 pictures in .*photos cannot be read; mend or remove them: a/bad.png"):
        splits.load(folder.source(root), size=32)


def test_a_class_of_which_nothing_can_be_read_is_refused(tmp_path):
    root = fill(tmp_path / "photos", ["a", "b"], n=30)
    (root / "c").mkdir()
    (root / "c" / "0.png").write_bytes(b"")
    with pytest.raises(Problem, match="no picture of c can be read: 1 file cannot be read: c/0.png"):
        splits.load(folder.source(root), size=32)


def test_names_that_cannot_be_kept_are_refused(tmp_path):
    root = fill(tmp_path / "photos", [unicodedata.normalize("NFC", "café"), "b"], n=1)
    fill(root, [unicodedata.normalize("NFD", "café")], n=1)
    with pytest.raises(Problem, match="photos has two folders called café; put them together"):
        folder.source(root)
    raw = fill(tmp_path / "raw", ["a", "b"], n=1)
    os.rename(raw / "b", os.fsencode(raw) + b"/\xff")
    with pytest.raises(Problem, match="raw: rename .*; its name is not UTF-8"):
        folder.source(raw)


def test_a_class_may_be_called_train_and_a_level_too_high_is_seen(tmp_path):
    source = folder.source(fill(tmp_path / "transport", ["bus", "car", "train"], n=1))
    assert source.class_names == ("bus", "car", "train") and source.splits == ("train",)
    fill(tmp_path / "deep" / "photos" / "train", ["a", "b"], n=1)
    with pytest.raises(Problem, match="deep holds no folders of classes; did you mean .*deep/photos?"):
        folder.source(tmp_path / "deep")


def test_pictures_that_differ_where_they_are_cut_off_are_no_copies(tmp_path):
    for number in range(2):
        wide = Image.new("RGB", (90, 40), "blue")
        wide.putpixel((0, 0), (255, 255, number))
        (tmp_path / "photos" / "ab"[number]).mkdir(parents=True)
        wide.save(tmp_path / "photos" / "ab"[number] / "0.png")
    split = folder.source(tmp_path / "photos").read("train", 32)
    assert (split.images[np.array([0])] == split.images[np.array([1])]).all()
    assert split.prints[0] != split.prints[1]


def test_a_folder_is_known_by_its_names_and_contents(tmp_path):
    root = fill(tmp_path / "photos", ["a", "b"], n=2)
    known = folder.source(root).fingerprint()
    read = folder.source(root)
    read.read("train", 32)
    copy = fill(tmp_path / "copy", ["a", "b"], n=2)
    for file in root.rglob("*.png"):
        (copy / file.relative_to(root)).write_bytes(file.read_bytes())
    assert len(known) == 32 and known == read.fingerprint() == folder.source(copy).fingerprint()
    (root / "a" / "0.png").rename(root / "a" / "9.png")
    assert folder.source(root).fingerprint() != known
    picture(copy / "a" / "0.png", (250, 0, 0))
    assert folder.source(copy).fingerprint() != known


def test_a_store_is_made_once_a_size_and_anew_when_a_file_changes(tmp_path, capsys):
    root = fill(tmp_path / "photos", ["a", "b"], n=2)
    for size, made in ((32, True), (32, False), (48, True)):
        assert folder.source(root).read("train", size).images[np.arange(1)].shape == (1, size, size, 3)
        assert ("store of 4 pictures" in capsys.readouterr().err) == made
    picture(root / "a" / "0.png", (250, 0, 0))
    os.utime(root / "a" / "0.png", ns=(1, 1))
    assert folder.source(root).read("train", 32).images[np.arange(1)][0, 0, 0, 0] == 250
