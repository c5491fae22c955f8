import numpy as np
import pytest
from PIL import Image

from classify.command import Problem
from classify.data import sources
from classify.data.sources import batches


def write(folder, images, labels, header="id,label\n", beside="train"):
    """Pictures 1.png, 2.png, … and their list, as Kaggle has them."""
    (folder / beside).mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images, 1):
        Image.fromarray(image).save(folder / beside / f"{number}.png")
    lines = "".join(f"{number},{label}\n" for number, label in enumerate(labels, 1))
    (folder / "trainLabels.csv").write_text(header + lines)
    return folder


@pytest.mark.parametrize("header", ["id,label\n", ""])
@pytest.mark.parametrize("beside", ["train", "."])
@pytest.mark.parametrize("given", ["folder", "list"])
def test_numbered_pictures_are_read_as_they_were_written(header, beside, given, rng, tmp_path):
    images, labels = rng.integers(0, 256, (12, 32, 32, 3), "uint8"), np.arange(12) % 10
    folder = write(tmp_path / "kaggle", images, [batches.CLASS_NAMES[label] for label in labels], header, beside)
    source = sources.find(str(folder if given == "folder" else folder / "trainLabels.csv"))
    read = source.read("train", None)
    np.testing.assert_array_equal(read.images, images)
    np.testing.assert_array_equal(read.labels, labels)
    assert source.fingerprint and source.class_names == batches.CLASS_NAMES and source.splits == ("train",)
    assert source.shape == (32, 32) and read.files[9] == ("train/10.png" if beside == "train" else "10.png")


@pytest.fixture
def pets(rng, tmp_path):
    """Four pictures of 8 x 10 pixels."""
    return write(tmp_path / "pets", rng.integers(0, 256, (4, 8, 10, 3), "uint8"), ["dog", "cat", "dog", "cat"])


def test_pictures_of_another_kind_are_ones_own_data(pets):
    source = sources.find(str(pets))
    assert (
        source.name == "pets" and source.class_names == ("cat", "dog") and (source.shape, source.side) == ((8, 10), 8)
    )
    before = source.fingerprint()
    Image.new("RGB", (10, 8)).save(pets / "train" / "2.png")
    assert len(before) == 32 and sources.find(str(pets)).fingerprint() != before


def test_a_picture_that_is_missing_is_named(pets):
    (pets / "train" / "3.png").unlink()
    with pytest.raises(Problem, match="lists 1 pictures that are not there, such as .*3.png; unpack"):
        sources.find(str(pets))


def test_a_picture_of_another_size_is_named(pets):
    Image.new("RGB", (9, 9)).save(pets / "train" / "3.png")
    with pytest.raises(Problem, match="3.png: is not 10 x 8 pixels as 1.png is; .*folder for each class"):
        sources.find(str(pets)).read("train", None)


@pytest.mark.parametrize("number", [1, 4])
def test_a_damaged_picture_is_named(pets, number):
    (pets / "train" / f"{number}.png").write_bytes(b"no picture")
    with pytest.raises(Problem, match=f"{number}.png: cannot be read as an image"):
        sources.find(str(pets)).read("train", None)


@pytest.mark.parametrize("row", ["x,cat", "5,", "../../secret,cat", "5,cat,dog", "-1,cat"])
def test_a_row_that_names_no_picture_is_a_line(pets, row):
    (pets / "trainLabels.csv").write_text(f"id,label\n1,cat\n{row}\n")
    with pytest.raises(Problem, match="row 3: is not a picture's number and its label"):
        sources.find(str(pets))


@pytest.mark.parametrize(("text", "message"), [("id,label\n", "lists no pictures"), ("", "lists no"), ("1\n", "row 1")])
def test_a_list_of_no_pictures_is_a_line(pets, text, message):
    (pets / "trainLabels.csv").write_text(text)
    with pytest.raises(Problem, match=message):
        sources.find(str(pets))


def test_a_list_of_another_name_is_known_by_its_two_columns(pets):
    (pets / "trainLabels.csv").rename(pets / "train.csv")
    assert sources.find(str(pets)).class_names == ("cat", "dog")
