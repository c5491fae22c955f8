import dataclasses

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
        splits.read_split(dataclasses.replace(source, splits=("test",)), "more")


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
        lambda name, size: Split(stored[name], arrays.read(name).labels),
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


def test_without_a_train_split_there_is_no_training():
    source = Source("toy", "toy", "a folder", ("light", "dark"), ("validation",), None)
    with pytest.raises(Problem, match="toy has no train split, so it cannot be trained on .a folder."):
        splits.load(source)
    with pytest.raises(Problem, match="toy has no test split .a folder."):
        splits.read_split(source, "test")


def named(labels, prints=None):
    """A source whose images show the number of their row; ``labels`` and ``prints`` by the name of the split."""
    images = {name: np.full((len(v), 32, 32, 3), np.arange(len(v))[:, None, None, None]) for name, v in labels.items()}

    def read(name, size):
        given = None if prints is None else np.array(prints[name], "uint64")
        files = np.array([f"{name}{row}" for row in range(len(labels[name]))], object)
        return Split(images[name].astype("uint8"), np.array(labels[name], "int64"), files, given)

    return Source("toy", "toy", "f", ("a", "b"), tuple(labels), read, fingerprint=prints and (lambda: "0"))


def test_a_test_split_that_is_not_there_is_cut_from_train():
    source = named({"train": [0] * 50 + [1] * 100})
    data = splits.load(source, validation=0.1, test=0.2)
    assert [list(np.bincount(part.labels)) for part in (data.train, data.validation, data.test)] == [
        [36, 72],
        [4, 8],
        [10, 20],
    ]
    shown = [set(part.images[:, 0, 0, 0]) for part in (data.train, data.validation, data.test)]
    assert set.union(*shown) == set(range(150)) and sum(map(len, shown)) == 150
    for name in ("train", "validation", "test"):
        again = splits.read_split(source, name, 0.1, 0.2)
        np.testing.assert_array_equal(again.images, getattr(data, name).images)
    with pytest.raises(
        Problem, match="toy: --test 0.001 of 150 images leaves one side fewer .* classes, 2; add images"
    ):
        splits.load(source, test=0.001)
    with pytest.raises(Problem, match="toy has one image of b for both sides of --test 0.2; add images of it"):
        splits.load(named({"train": [0] * 9 + [1]}))


def test_a_validation_split_of_the_datas_own_is_taken_unless_none_is_wanted(capsys):
    source = named({"train": [0, 1] * 10, "validation": [1, 0, 1], "test": [0, 1]})
    data = splits.load(source)
    assert len(data.train) == 20 and list(data.validation.labels) == [1, 0, 1]
    assert list(splits.read_split(source, "validation").labels) == [1, 0, 1]
    assert not capsys.readouterr().err
    splits.load(source, validation=0.3, test=0.5)
    assert capsys.readouterr().err == (
        "--validation 0.3 is not used: toy has a validation split of its own\n"
        "--test 0.5 is not used: toy has a test split of its own\n"
    )
    data = splits.load(source, validation=0)
    assert len(data.train) == 20 and len(data.validation) == 0


def test_copies_stay_in_test_before_validation_before_train(capsys):
    labels = {"train": [0, 1] * 5, "validation": [0, 1, 0], "test": [0, 1, 1]}
    prints = {"train": range(10), "validation": [7, 20, 31], "test": [30, 31, 8]}
    source = named(labels, prints)
    data = splits.load(source)
    assert set(data.train.prints) == {0, 1, 2, 3, 4, 5, 6, 9}
    assert list(data.validation.files) == ["validation0", "validation1"] and len(data.test) == 3
    notes = capsys.readouterr().err.splitlines()
    assert notes == [
        "pictures that stand in validation and in test: 1; left out of validation",
        "pictures that stand in train and in test: 1; left out of train",
        "pictures that stand in train and in validation: 1; left out of train",
    ]
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(splits.read_split(source, name).files, getattr(data, name).files)
    assert not capsys.readouterr().err
    copied = named(
        {"train": [0, 1] * 5, "validation": [0], "test": [0, 1]},
        {"train": range(10), "validation": [31], "test": [30, 31]},
    )
    with pytest.raises(Problem, match="all validation images of toy stand in its test split too; remove one of both"):
        splits.load(copied)
    everywhere = named({"train": [0, 1], "test": [0, 1]}, {"train": [1, 2], "test": [1, 2]})
    with pytest.raises(Problem, match="no train images of toy are left"):
        splits.load(everywhere, validation=0)


def test_images_are_resized_to_the_size_asked_for_and_small_ones_are_enlarged():
    images = np.zeros((20, 8, 16, 3), "uint8")
    images[:, :, 8:] = 200
    labels = np.array([0, 1] * 10)
    source = Source("toy", "toy", "f", ("a", "b"), ("train", "test"), lambda name, size: Split(images, labels))
    data = splits.load(source)
    assert data.image_shape == (32, 64, 3) and (data.test.images[:, :, 48:] == 200).all()
    assert splits.read_split(source, "test", size=48).images.shape == (20, 48, 48, 3)
    with pytest.raises(Problem, match="toy in 100000000 pixels needs .* GB of memory"):
        splits.read_split(source, "test", size=10**8)


def toy(labels, classes=2, test=(0, 1)):
    """A source of 2x2 images with the given train and test labels."""
    labels = {"train": np.array(labels, "int64"), "test": np.array(test, "int64")}
    class_names = tuple("abcdef"[:classes])
    images = {name: np.zeros((len(values), 2, 2, 3), "uint8") for name, values in labels.items()}
    return Source("toy", "toy", "f", class_names, tuple(labels), lambda name, size: Split(images[name], labels[name]))


@pytest.mark.parametrize("test", [[-1] * 4, [0, 1, 2, 1]])
def test_labels_that_stand_for_no_class_are_a_problem_before_any_training(test):
    """TFDS labels a test split -1 where nobody published its labels."""
    source = toy([0, 1] * 10, test=test)
    for read in (splits.load, lambda source: splits.read_split(source, "test")):
        with pytest.raises(Problem, match="of the 4 test images of toy .* label.* 0 to 1"):
            read(source)
    with pytest.raises(Problem, match="1 of the 20 train images of toy"):
        splits.load(toy([0, 1] * 9 + [0, -1]))


def test_data_of_one_class_are_a_problem_before_any_training():
    with pytest.raises(Problem, match="toy has fewer than two classes: a"):
        splits.load(toy([0] * 20, classes=1, test=[0, 0]))
    with pytest.raises(Problem, match="toy has fewer than two classes: a"):
        splits.read_split(toy([0] * 20, classes=1, test=[0, 0]), "test")
    with pytest.raises(Problem, match="all train images of toy are of one class, b"):
        splits.load(toy([1] * 20))


def test_classes_of_one_name_are_a_problem_before_any_training():
    """Their figures could not be told apart."""
    source = dataclasses.replace(toy([0, 1, 2] * 9), class_names=("cat", "dog", "cat"))
    with pytest.raises(Problem, match="toy has several classes of one name: cat "):
        splits.load(source)


def test_a_split_without_images_is_a_problem_before_any_training():
    for source in (toy([0, 1] * 10, test=[]), toy([])):
        with pytest.raises(Problem, match="toy has no images"):
            splits.load(source)


def test_a_split_of_one_class_can_be_measured():
    assert len(splits.read_split(toy([0, 1], test=[1, 1]), "test")) == 2


def test_a_fingerprint_is_of_the_images_and_labels_in_their_order(rng):
    images, labels = rng.integers(0, 256, (2500, 2, 2, 3), dtype="uint8"), rng.integers(0, 3, 2500)
    known = splits.fingerprint(Split(images, labels))
    assert len(known) == 32 and set(known) <= set("0123456789abcdef")
    assert splits.fingerprint(Split(Stored(images), labels.astype("int32"))) == known
    pixel, label = images.copy(), labels.copy()
    pixel[2400, 1, 1, 2] ^= 1
    label[2400] ^= 1
    others = [
        Split(pixel, labels),
        Split(images, label),
        Split(images[::-1], labels[::-1]),
        Split(images[1:], labels[1:]),
    ]
    assert len({known, *map(splits.fingerprint, others)}) == 5


def test_new_pictures_are_the_test_split_or_all_of_them(rng):
    images = {name: rng.integers(0, 256, (n, 4, 4, 3), dtype="uint8") for name, n in (("train", 4), ("validation", 2))}
    read = {"train": [0, 1, 1, 0], "validation": [1, 0], "test": [1]}

    def source(files=True, **more):
        def split(name, size):
            rows = np.array([f"{name}/{i}" for i in range(len(read[name]))], object) if files else None
            return Split((images | more)[name], np.array(read[name]), rows)

        return Source("photos", "/photos", "/photos", ("a", "b"), tuple(images | more), split, shape=None)

    everything = splits.read_new(source(), 4)
    np.testing.assert_array_equal(everything.images[np.arange(6)], np.concatenate(list(images.values())))
    assert list(everything.labels) == [0, 1, 1, 0, 1, 0] and everything.files[4] == "validation/0"
    assert splits.read_new(source(files=False), 4).files is None
    test = splits.read_new(source(test=images["train"][:1]), 4)
    assert list(test.labels) == [1] and list(test.files) == ["test/0"]
