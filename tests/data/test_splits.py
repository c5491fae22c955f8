import numpy as np
import pytest

from classify.command import Problem
from classify.data import splits
from classify.data.dataset import Source, Split
from classify.data.sources import digits


def test_validation_is_stratified_disjoint_and_the_same_each_time():
    source = digits.source()
    first, second = splits.load(source, validation=0.2), splits.load(source, validation=0.2)
    assert (len(first.train), len(first.validation), len(first.test)) == (1149, 288, 360)
    np.testing.assert_allclose(np.bincount(first.validation.labels), 28.8, atol=1)
    np.testing.assert_array_equal(first.validation.images, second.validation.images)
    together = np.concatenate([first.train.images, first.validation.images]).reshape(1437, -1)
    whole = source.read("train").images.reshape(1437, -1)
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(whole, axis=0))


def test_limit_takes_the_first_of_the_same_training_images():
    source = digits.source()
    whole, limited = splits.load(source), splits.load(source, limit=50)
    np.testing.assert_array_equal(limited.train.images, whole.train.images[:50])
    np.testing.assert_array_equal(limited.validation.images, whole.validation.images)
    assert len(limited.test) == 360


def test_no_validation_trains_on_everything():
    dataset = splits.load(digits.source(), validation=0)
    assert len(dataset.train) == 1437 and len(dataset.validation) == 0


def test_a_share_that_cannot_be_cut_is_a_problem():
    with pytest.raises(Problem, match="--validation 0.001"):
        splits.load(digits.source(), validation=0.001)


def test_read_split_gives_the_splits_of_load():
    source = digits.source()
    loaded = splits.load(source, validation=0.2)
    for name in ("train", "validation", "test"):
        read = splits.read_split(source, name, validation=0.2)
        np.testing.assert_array_equal(read.images, getattr(loaded, name).images)
    with pytest.raises(Problem, match="no more split"):
        splits.read_split(source, "more")


class Stored:
    """Images that stay elsewhere; counts the rows that are read."""

    def __init__(self, images):
        self.images, self.read = images, 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        assert isinstance(rows, np.ndarray) and rows.dtype.kind == "i"
        self.read += len(rows)
        return self.images[rows]


@pytest.mark.parametrize("validation", [0, 0.2])
def test_images_that_are_no_array_are_cut_alike_and_read_only_when_asked_for(validation):
    arrays = digits.source()
    stored = {name: Stored(arrays.read(name).images) for name in arrays.splits}
    source = Source(
        "stored",
        "stored",
        "",
        arrays.class_names,
        arrays.splits,
        lambda name: Split(stored[name], arrays.read(name).labels),
    )
    expected, dataset = (splits.load(each, validation, limit=50) for each in (arrays, source))
    assert str(dataset) and len(dataset.train) == 50 and stored["train"].read == stored["test"].read == 0
    for name in ("train", "validation", "test"):
        part, array = getattr(dataset, name), getattr(expected, name)
        np.testing.assert_array_equal(part.labels, array.labels)
        np.testing.assert_array_equal(part.images[np.arange(len(part))], array.images)
    assert stored["train"].read == len(dataset.train) + len(dataset.validation)
    assert dataset.image_shape == expected.image_shape == (32, 32, 3)
    assert stored["train"].read == len(dataset.train) + len(dataset.validation) + 1


def test_a_split_that_is_missing_is_a_problem():
    source = Source("toy", "toy", "a folder", ("light", "dark"), ("train",), None)
    with pytest.raises(Problem, match="toy has no test split, so it cannot be trained on .a folder."):
        splits.load(source)
    with pytest.raises(Problem, match="toy has no test split .a folder."):
        splits.read_split(source, "test")
