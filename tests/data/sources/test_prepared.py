import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from classify.command import Problem
from classify.data import sources


def change_info(folder, **entries):
    """Change entries of a prepared folder's dataset_info.json."""
    file = Path(folder) / "dataset_info.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


@pytest.fixture
def prepare(tmp_path):
    """A function that lets TFDS prepare a split of 4x4 images, and returns the folder.

    Its arguments are the features beside the image, their values in each example, and TFDS's supervised keys.
    """
    import tensorflow_datasets as tfds

    def make(features, examples, supervised=None, name="toy"):
        features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(4, 4, 3)), **features})
        images = [np.full((4, 4, 3), i, "uint8") for i in range(len(examples))]
        examples = [(i, {"image": image, **rest}) for i, (image, rest) in enumerate(zip(images, examples, strict=True))]
        tfds.dataset_builders.store_as_tfds_dataset(
            name, "1.0.0", features, {"train": examples}, data_dir=tmp_path, disable_shuffling=True
        )
        folder = tmp_path / name / "1.0.0"
        if supervised:
            change_info(folder, supervisedKeys={"tuple": {"items": [{"featureKey": key} for key in supervised]}})
        return str(folder)

    return make


@pytest.fixture
def two_labels(prepare):
    """A function that prepares images with a coarse and a fine label, as CIFAR-100 has them."""
    import tensorflow_datasets as tfds

    labels = {"fine": tfds.features.ClassLabel(num_classes=9), "coarse": tfds.features.ClassLabel(num_classes=3)}
    return lambda supervised=None: prepare(labels, [{"fine": 7, "coarse": 2}, {"fine": 4, "coarse": 1}], supervised)


@pytest.mark.parametrize("option", ["cifar10", "folder"])
def test_a_prepared_folder_is_read_to_the_byte_and_in_order(prepared_cifar10, option):
    root, arrays = prepared_cifar10
    source = sources.find("cifar10", root) if option == "cifar10" else sources.find(str(root / "cifar10" / "3.0.2"))
    assert source.name == "cifar10" and source.class_names == ("frog", "ship", "horse") and source.mirror
    for split, (images, labels) in arrays.items():
        read = source.read(split)
        np.testing.assert_array_equal(read.images, images)
        np.testing.assert_array_equal(read.labels, labels)
        assert read.labels.dtype == np.int64


def test_the_environment_says_where_data_sets_are_prepared(prepared_cifar10, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared_cifar10[0]))
    assert len(sources.find().read("test")) == 21


def test_a_damaged_record_is_a_problem_that_names_the_folder(prepared_cifar10, tmp_path):
    folder = shutil.copytree(prepared_cifar10[0] / "cifar10" / "3.0.2", tmp_path / "copy")
    records = next(folder.glob("*test.tfrecord*"))
    content = bytearray(records.read_bytes())
    content[len(content) // 2] ^= 255
    records.write_bytes(content)
    with pytest.raises(Problem, match="copy.*test split cannot be read"):
        sources.find(str(folder)).read("test")
    records.unlink()
    with pytest.raises(Problem, match="copy"):
        sources.find(str(folder)).read("test")


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_a_folder_that_tfds_did_not_prepare_is_a_problem(content, tmp_path):
    (tmp_path / "dataset_info.json").write_text(content)
    with pytest.raises(Problem, match="TFDS prepared"):
        sources.find(str(tmp_path))


@pytest.mark.parametrize(("label", "classes", "values"), [("fine", 9, [7, 4]), ("coarse", 3, [2, 1])])
def test_of_several_labels_the_supervised_one_is_learned_and_none_by_chance(two_labels, label, classes, values):
    source = sources.find(two_labels(("image", label)))
    assert len(source.class_names) == classes
    np.testing.assert_array_equal(source.read("train").labels, values)


def test_of_several_labels_none_is_taken_by_chance_but_the_one_asked_for(two_labels):
    folder = two_labels()
    with pytest.raises(Problem, match="several class labels, choose one by --label: coarse, fine"):
        sources.find(folder)
    assert len(sources.find(folder, label="fine").class_names) == 9
    np.testing.assert_array_equal(sources.find(folder, label="coarse").read("train").labels, [2, 1])
    with pytest.raises(Problem, match="has no class label rough; it has coarse, fine"):
        sources.find(folder, label="rough")


def test_the_label_asked_for_wins_over_the_supervised_one(two_labels):
    assert len(sources.find(two_labels(("image", "fine")), label="coarse").class_names) == 3


@pytest.mark.parametrize("image", ["image", "mask"])
def test_of_several_images_none_is_taken_by_chance(prepare, image):
    import tensorflow_datasets as tfds

    features = {"mask": tfds.features.Image(shape=(2, 2, 3)), "label": tfds.features.ClassLabel(num_classes=2)}
    examples = [{"mask": np.zeros((2, 2, 3), "uint8"), "label": 1}]
    shape = {"image": (1, 4, 4, 3), "mask": (1, 2, 2, 3)}[image]
    assert sources.find(prepare(features, examples, (image, "label"))).read("train").images.shape == shape
    with pytest.raises(Problem, match="several images .*: image, mask"):
        sources.find(prepare(features, examples, name="undecided"))


def test_a_data_set_with_ids_is_read_in_their_order_by_number(prepare):
    import tensorflow_datasets as tfds

    features = {"id": tfds.features.Text(), "label": tfds.features.ClassLabel(num_classes=20)}
    shuffled = [9, 11, 0, 10, 3]
    folder = prepare(features, [{"id": f"train_{number}", "label": number} for number in shuffled])
    read = sources.find(folder).read("train")
    np.testing.assert_array_equal(read.labels, [0, 3, 9, 10, 11])
    np.testing.assert_array_equal(read.images[:, 0, 0, 0], [2, 4, 0, 3, 1])


@pytest.mark.parametrize(
    "ids", [("train_2", "cat", "train_1"), ("train_2", "train_1", "train_1"), ("a_2", "b_3", "a_1"), ("2", "", "1")]
)
def test_ids_that_do_not_number_the_images_leave_the_order_as_it_is(prepare, ids):
    import tensorflow_datasets as tfds

    features = {"id": tfds.features.Text(), "label": tfds.features.ClassLabel(num_classes=3)}
    folder = prepare(features, [{"id": identifier, "label": i} for i, identifier in enumerate(ids)])
    np.testing.assert_array_equal(sources.find(folder).read("train").labels, [0, 1, 2])


def test_images_of_floating_point_numbers_are_refused(prepare):
    """TFDS stores each number of theirs as the four bytes of a pixel, which would be read as a picture."""
    import tensorflow_datasets as tfds

    features = {
        "image": tfds.features.Image(shape=(4, 4, 1), dtype=np.float32),
        "label": tfds.features.ClassLabel(num_classes=2),
    }
    folder = prepare(features, [{"image": np.zeros((4, 4, 1), "float32"), "label": 1}])
    with pytest.raises(Problem, match="float32"):
        sources.find(folder)


def test_a_split_larger_than_memory_is_a_problem_at_once(prepare):
    import tensorflow_datasets as tfds

    folder = prepare({"label": tfds.features.ClassLabel(num_classes=2)}, [{"label": 1}])
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    change_info(folder, splits=[{"name": "train", "shardLengths": [str(10**15)], "filepathTemplate": template}])
    with pytest.raises(Problem, match="48,000,000 GB of memory"):
        sources.find(folder).read("train")


@pytest.mark.parametrize("file_format", ["array_record", "riegeli"])
def test_a_file_format_that_cannot_be_read_is_a_problem(prepare, file_format):
    import tensorflow_datasets as tfds

    folder = prepare({"label": tfds.features.ClassLabel(num_classes=2)}, [{"label": 1}])
    change_info(folder, fileFormat=file_format)
    with pytest.raises(Problem, match="as tfrecord files"):
        sources.find(folder).read("train")


@pytest.mark.parametrize(
    ("name", "mirror"),
    [
        ("cifar100", True),
        ("fashion_mnist", True),
        ("mnist", False),
        ("mnist_corrupted", False),
        ("emnist", False),
        ("svhn_cropped", False),
        ("binary_alpha_digits", False),
    ],
)
def test_data_sets_of_characters_are_not_mirrored(prepare, name, mirror):
    import tensorflow_datasets as tfds

    folder = prepare({"label": tfds.features.ClassLabel(num_classes=2)}, [{"label": 1}], name=name)
    assert sources.find(folder).mirror is mirror


@pytest.mark.parametrize("name", ["fi\nne", "fi\x1b[2Jne"])
def test_a_feature_name_cannot_forge_lines_on_the_terminal(prepare, name):
    import tensorflow_datasets as tfds

    labels = {name: tfds.features.ClassLabel(num_classes=2), "coarse": tfds.features.ClassLabel(num_classes=2)}
    folder = prepare(labels, [{name: 1, "coarse": 0}])
    with pytest.raises(Problem, match="coarse, fi") as problem:
        sources.find(folder)
    assert str(problem.value).isprintable()
