import numpy as np
import pytest

from classify.command import Problem
from classify.data import sources
from classify.data.sources import batches


def write(path, shape=(32, 32, 3), seed=0, **others):
    """An .npz of 12 training and 4 test images, with labels 0 to 9; ``others`` replace arrays, None leaves one out."""
    rng = np.random.default_rng(seed)
    arrays = {
        "x_train": rng.integers(0, 256, (12, *shape), "uint8"),
        "y_train": np.arange(12) % 10,
        "x_test": rng.integers(0, 256, (4, *shape), "uint8"),
        "y_test": np.array([3, 1, 4, 1]),
    } | others
    arrays = {name: array for name, array in arrays.items() if array is not None}
    np.savez(path, **arrays)
    return str(path), arrays


@pytest.mark.parametrize("shape", [(32, 32, 3), (8, 10, 3), (8, 10, 1), (8, 10)])
@pytest.mark.parametrize("column", [True, False])
def test_arrays_are_read_as_they_were_written(shape, column, tmp_path):
    labels = {name: np.array(y)[:, None] if column else np.array(y) for name, y in (("y_test", [3, 1, 4, 1]),)}
    path, arrays = write(tmp_path / "data.npz", shape, **labels)
    source = sources.find(path)
    for split in ("train", "test"):
        read, images = source.read(split, None), arrays[f"x_{split}"]
        images = images if shape[2:] == (3,) else np.stack([images.reshape(len(images), *shape[:2])] * 3, axis=-1)
        np.testing.assert_array_equal(read.images, images)
        np.testing.assert_array_equal(read.labels, arrays[f"y_{split}"].ravel())
        assert read.images.dtype == np.uint8 and read.labels.dtype == np.int64
    like_cifar10 = shape == (32, 32, 3)
    assert source.shape == shape[:2] and source.side == min(shape[:2])
    assert source.name == ("cifar10" if like_cifar10 else "data")
    assert source.class_names == (batches.CLASS_NAMES if like_cifar10 else tuple("0123456789"))


def test_a_compressed_file_of_other_whole_numbers_is_read(tmp_path):
    images = np.arange(2 * 4 * 4).reshape(2, 4, 4)
    np.savez_compressed(tmp_path / "data.npz", x_train=images, y_train=np.array(["dog", "cat"]))
    source = sources.find(str(tmp_path / "data.npz"))
    assert source.class_names == ("cat", "dog") and source.splits == ("train",)
    np.testing.assert_array_equal(source.read("train", None).images[..., 1], images)
    np.testing.assert_array_equal(source.read("train", None).labels, [1, 0])


def test_the_name_and_the_content_tell_data_apart(tmp_path):
    mnist = sources.find(write(tmp_path / "mnist.npz", (28, 28))[0])
    other = sources.find(write(tmp_path / "other.npz", (28, 28), seed=1)[0])
    assert mnist.name == "mnist" and not mnist.mirror and other.mirror
    assert len(mnist.fingerprint()) == 32 and mnist.fingerprint() != other.fingerprint()
    assert sources.find(write(tmp_path / "cifar.npz")[0]).fingerprint is None


def objects():
    return np.array([np.zeros((2, 2)), np.zeros((3, 3))] + [None] * 10, dtype=object)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"x_train": None}, "lacks x_train; save the arrays by these names"),
        ({"x_train": objects()}, "x_train holds Python objects; save whole numbers from 0 to 255"),
        ({"y_train": objects()}, "y_train holds Python objects; save whole numbers or texts"),
        ({"x_test": np.zeros((4, 32, 32, 3), "float32")}, "x_test holds float32 numbers; save whole numbers"),
        ({"y_train": np.zeros((12, 10), int)}, "y_train is 12 x 10; it must hold a label for each of the 12 images"),
        ({"y_train": np.arange(11)}, "y_train is 11; it must hold"),
        ({"x_train": np.zeros((12, 3, 32, 32), "uint8")}, "x_train is 12 x 3 x 32 x 32; its shape must be"),
        ({"x_train": np.zeros((0, 32, 32, 3), "uint8")}, "its shape must be"),
        ({"x_test": np.zeros((4, 16, 16, 3), "uint8")}, "images of test differ in size from those of train; resize"),
        ({"y_test": np.array([3, 1, 4, 77])}, "test has labels that train lacks: 77"),
        ({"x_train": np.full((12, 32, 32, 3), 256)}, "x_train has values below 0 or above 255; scale them"),
        ({"x_train": np.full((12, 32, 32, 3), -1)}, "x_train has values below 0 or above 255; scale them"),
    ],
)
def test_arrays_of_another_kind_are_a_line(others, message, tmp_path):
    with pytest.raises(Problem, match=message):
        sources.find(write(tmp_path / "data.npz", **others)[0]).read("train", None)


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x93NUMPY"])
def test_what_is_no_npz_is_a_line(content, tmp_path):
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(Problem, match="data.npz is damaged or no .npz file; save it again"):
        sources.find(str(tmp_path / "data.npz"))


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_cut_file_is_a_line(share, tmp_path):
    path, _ = write(tmp_path / "data.npz")
    content = (tmp_path / "data.npz").read_bytes()
    (tmp_path / "data.npz").write_bytes(content[: int(share * len(content))])
    with pytest.raises(Problem, match="damaged"):
        sources.find(path)


def test_a_file_whose_content_is_damaged_is_a_line(tmp_path):
    path, _ = write(tmp_path / "data.npz")
    content = bytearray((tmp_path / "data.npz").read_bytes())
    content[1000] ^= 255  # in x_train, whose checksum is wrong now
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(Problem, match="damaged"):
        sources.find(path).read("train", None)
