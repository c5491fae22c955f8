import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest

from classify.command import Problem
from classify.data import sources
from classify.data.sources import batches

TRAIN, TEST = batches.BATCHES["train"], batches.BATCHES["test"]


@pytest.fixture
def arrays(rng):
    """Images and labels by the name of the batch, as a person would have them: (n, 32, 32, 3) and (n,)."""
    counts = {name: 2 for name in TRAIN} | {TEST[0]: 3}
    return {name: (rng.integers(0, 256, (n, 32, 32, 3), "uint8"), rng.integers(0, 10, n)) for name, n in counts.items()}


def binary_files(arrays):
    files = {"batches.meta.txt": "\n".join(batches.CLASS_NAMES).encode() + b"\n\n"}
    for name, (images, labels) in arrays.items():
        values = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        files[f"{name}.bin"] = np.column_stack([labels.astype("uint8"), values]).tobytes()
    return files


def python_files(arrays, protocol=pickle.DEFAULT_PROTOCOL):
    files = {"batches.meta": pickle.dumps({"label_names": list(batches.CLASS_NAMES)}, protocol)}
    for name, (images, labels) in arrays.items():
        values = np.ascontiguousarray(images.transpose(0, 3, 1, 2).reshape(len(images), -1))
        files[name] = pickle.dumps({"data": values, "labels": labels.tolist(), "batch_label": name}, protocol)
    return files


def written_by_python_2(arrays):
    """The opcodes that the official archive holds: texts of bytes, and NumPy under the name that it had then."""

    def text(content):
        return b"U" + struct.pack("<B", len(content)) + content

    def batch(images, labels):
        values = images.transpose(0, 3, 1, 2).tobytes()
        kind = (
            b"cnumpy\ndtype\n"
            + text(b"u1")
            + b"K\x00K\x01\x87R(K\x03"
            + text(b"|")
            + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        array += (
            b"(K\x01"
            + b"K"
            + struct.pack("<B", len(images))
            + b"M\x00\x0c\x86"
            + kind
            + b"\x89T"
            + struct.pack("<i", len(values))
            + values
            + b"tb"
        )
        numbers = b"](" + b"".join(b"K" + struct.pack("<B", label) for label in labels) + b"e"
        return b"\x80\x02}(" + text(b"labels") + numbers + text(b"data") + array + b"u."

    names = b"](" + b"".join(text(name.encode()) for name in batches.CLASS_NAMES) + b"e"
    meta = b"\x80\x02}" + text(b"label_names") + names + b"s."
    return {"batches.meta": meta} | {name: batch(*pair) for name, pair in arrays.items()}


def write(path, files, folder):
    """Write files into a folder, or into an archive if the path ends with .gz."""
    if path.suffix != ".gz":
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
        return path
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["cifar-10-batches-py", "cifar-10-python.tar.gz"])
@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5, "Python 2"])
def test_python_batches_are_read_as_they_were_written(name, protocol, arrays, tmp_path):
    files = written_by_python_2(arrays) if protocol == "Python 2" else python_files(arrays, protocol)
    check(sources.find(str(write(tmp_path / name, files, "cifar-10-batches-py"))), arrays)


@pytest.mark.parametrize("name", ["cifar-10-batches-bin", "packed-anew.tar.gz"])
def test_binary_batches_are_read_as_they_were_written(name, arrays, tmp_path):
    check(sources.find(str(write(tmp_path / name, binary_files(arrays), "cifar-10-batches-bin"))), arrays)


def check(source, arrays):
    assert source.name == "cifar10" and source.class_names == batches.CLASS_NAMES and source.shape == (32, 32)
    for split, names in batches.BATCHES.items():
        read = source.read(split, None)
        np.testing.assert_array_equal(read.images, np.concatenate([arrays[name][0] for name in names]))
        np.testing.assert_array_equal(read.labels, np.concatenate([arrays[name][1] for name in names]))
        assert read.images.dtype == np.uint8 and read.labels.dtype == np.int64


def test_python_2s_opcodes_are_those_that_pickle_knows(arrays):
    """The hand-made files of these tests: what plain pickle makes of them."""
    batch = pickle.loads(written_by_python_2(arrays)["test_batch"], encoding="bytes")
    np.testing.assert_array_equal(batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), arrays["test_batch"][0])


def test_names_that_are_missing_are_cifar10s(arrays, tmp_path):
    files = python_files(arrays)
    del files["batches.meta"]
    assert sources.find(str(write(tmp_path / "batches", files, ""))).class_names == batches.CLASS_NAMES


class Harmful:
    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.mark.parametrize("where", ["data_batch_1", "batches.meta"])
def test_code_in_a_batch_is_never_run(where, arrays, tmp_path):
    trace = tmp_path / "trace"
    files = python_files(arrays) | {where: pickle.dumps({"data": Harmful(os.mkdir, str(trace))})}
    with pytest.raises(Problem, match="refused.*mkdir") as problem:
        sources.find(str(write(tmp_path / "batches", files, ""))).read("train", None)
    assert not trace.exists() and len(str(problem.value).splitlines()) == 1


def wrong_batches():
    values = np.zeros((2, 3072), "uint8")
    return {
        "no dictionary": [1, 2],
        "no data": {"labels": [0, 1]},
        "no labels": {"data": values},
        "too few labels": {"data": values, "labels": [0]},
        "labels in lists": {"data": values, "labels": [[0], [1]]},
        "floats": {"data": values.astype("float32"), "labels": [0, 1]},
        "other size": {"data": values[:, :100], "labels": [0, 1]},
        "objects": {"data": np.array([None, None]), "labels": [0, 1]},
        "a class": {"data": np.ndarray, "labels": [0, 1]},
    }


@pytest.mark.parametrize("kind", wrong_batches())
def test_python_batches_of_other_content_are_a_line(kind, arrays, tmp_path):
    files = python_files(arrays) | {"data_batch_3": pickle.dumps(wrong_batches()[kind])}
    source = sources.find(str(write(tmp_path / "batches", files, "")))
    with pytest.raises(Problem, match="batches is damaged or not CIFAR-10's; download it again"):
        source.read("train", None)
    assert len(source.read("test", None)) == 3


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_cut_archive_is_a_line(share, arrays, tmp_path):
    path = write(tmp_path / "cifar-10-python.tar.gz", python_files(arrays), "cifar-10-batches-py")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(Problem, match="damaged.*download it again"):
        source = sources.find(str(path))
        source.read("train", None)
        source.read("test", None)


def test_a_batch_that_is_cut_or_missing_is_a_line(arrays, tmp_path):
    folder = write(tmp_path / "cifar-10-batches-bin", binary_files(arrays), "")
    (folder / "data_batch_2.bin").write_bytes(bytes(3072))
    with pytest.raises(Problem, match="damaged"):
        sources.find(str(folder)).read("train", None)
    (folder / "data_batch_4.bin").unlink()
    with pytest.raises(Problem, match="lacks data_batch_4.bin; download or unpack it again"):
        sources.find(str(folder)).read("train", None)


def test_an_archive_of_something_else_is_a_line(tmp_path):
    with pytest.raises(Problem, match="holds no data_batch_1"):
        sources.find(str(write(tmp_path / "photos.tar.gz", {"cat.jpg": b"cat"}, "photos")))
