"""CIFAR-10 as its author gives it away: the binary or the Python archive, or the folder that was in it.

A batch is images of 3x32x32 bytes, all red ones, then green, then blue. In the binary form the label stands before
them, one byte. In the Python form they are a pickled NumPy array, and the labels are a list.
"""

import contextlib
import hashlib
import io
import pickle
import re
import tarfile

import numpy as np

from classify.command import Problem, describe, note, printable
from classify.data.dataset import Source, Split
from classify.data.listing import natural
from classify.data.sources import prepared

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
VALUES = 3 * 32 * 32  # of an image
SHOWN = 10  # labels in a message
BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}

ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
PYTHON_ARCHIVE = "cifar-10-python.tar.gz"


def classes(place, texts, like_cifar10=True):
    """Return the names of the classes, and the labels of each split by its name: int64 of shape (N,).

    Args:
        place: what the data are called in a message.
        texts: the labels of each split, lists of texts, by its name. Train must be one.
        like_cifar10: whether the images are such as CIFAR-10's. Then labels 0 to 9 are CIFAR-10's, which have names.

    The names stand in natural order.

    Raises:
        Problem: a split has a label that train lacks.
    """
    names = sorted(set(texts["train"]), key=natural)
    for split, labels in texts.items():
        unknown = sorted(set(labels) - set(names), key=natural)
        if unknown:
            shown = printable(", ".join(unknown[:SHOWN]))
            raise Problem(f"{place}: {split} has labels that train lacks: {shown}; mend or remove these images")
    index = {name: i for i, name in enumerate(names)}
    if like_cifar10 and names == [str(i) for i in range(10)]:
        note(f"labels 0 to 9 are taken for CIFAR-10's: {', '.join(CLASS_NAMES)}")
        names = CLASS_NAMES
    by_split = {split: np.array([index[text] for text in labels], "int64") for split, labels in texts.items()}
    return tuple(names), by_split


def images(values):
    """Return rows of values in CIFAR's order, uint8 of shape (N, 3072), as images of shape (N, 32, 32, 3)."""
    return np.ascontiguousarray(values.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def is_folder(path):
    """Return whether a folder holds CIFAR-10's batches."""
    return any((path / f"{BATCHES['train'][0]}{ending}").is_file() for ending in ("", ".bin"))


def source(path, option=None):
    """Return the ``Source`` of CIFAR-10's batches.

    A file ``cifar-10-binary.tar.gz`` must be the official one, since nothing else in the binary form shows damage.

    Args:
        path: an archive, or a folder with batches.
        option: what ``--data`` takes to find it again; None is the path.

    Raises:
        Problem: there are no batches, or the binary archive is not the official one, by its SHA-256.
    """
    if path.name == ARCHIVE and path.is_file():
        _check_official(path)
    first = BATCHES["train"][0]
    with _refusing(path):
        found = _contents(path, {first, f"{first}.bin"}, one=True)
    if not found:
        raise Problem(
            f"{printable(path)} holds no {first}; --data takes an {ARCHIVE} or {PYTHON_ARCHIVE}, or its folder"
        )
    binary = f"{first}.bin" in found

    def read(split, size=None):
        names = [f"{name}.bin" if binary else name for name in BATCHES[split]]
        with _refusing(path):
            contents = _contents(path, names)
            lacking = [name for name in names if name not in contents]
            if lacking:
                raise Problem(f"{printable(path)} lacks {', '.join(lacking)}; download or unpack it again")
            parts = [(_records if binary else _pickled)(contents[name]) for name in names]
        values, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return Split(images(values), labels.astype("int64"))

    where = prepared.short_path(path)
    return Source("cifar10", option or str(path.resolve()), where, _class_names(path, binary), tuple(BATCHES), read)


def _check_official(path):
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != ARCHIVE_SHA256:
        differ = f"its SHA-256 is {sha256[:12]}…, not {ARCHIVE_SHA256[:12]}…"
        raise Problem(f"{printable(path)} is not the official {ARCHIVE}: {differ}; download it again")


@contextlib.contextmanager
def _refusing(path):
    """Turn what damaged or foreign content raises into a ``Problem``."""
    try:
        yield
    except Problem:
        raise
    except OSError as error:
        reason = describe(error) if error.filename else f"{printable(path)} is damaged; download it again"
        raise Problem(reason) from error
    except pickle.UnpicklingError as error:
        reason = printable(error)
        raise Problem(f"{printable(path)} is refused, it is not CIFAR-10's ({reason}); download it again") from error
    except Exception as error:  # such content can make pickle and tarfile raise almost anything
        raise Problem(f"{printable(path)} is damaged or not CIFAR-10's; download it again") from error


def _contents(path, names, one=False):
    """Return the contents of the files of these names that are there, or of the first one only: bytes by name."""
    contents = {}
    if path.is_dir():
        return {name: (path / name).read_bytes() for name in names if (path / name).is_file()}
    with tarfile.open(path) as archive:
        for member in archive:  # in their order, as unpacking goes forward only
            name = member.name.rpartition("/")[2]
            if name in names and member.isfile():
                contents[name] = archive.extractfile(member).read()
            if len(contents) == (1 if one else len(names)):
                break
    return contents


def _class_names(path, binary):
    """Return the names that the batches bring, or CIFAR-10's."""
    name = "batches.meta.txt" if binary else "batches.meta"
    with _refusing(path):
        content = _contents(path, [name]).get(name)
        if content is None:
            return CLASS_NAMES
        if binary:
            return tuple(content.decode().split())
        return tuple(_text(name) for name in _unpickle(content)["label_names"])


def _records(content):
    """Return the values and the labels of a binary batch."""
    records = np.frombuffer(content, "uint8").reshape(-1, 1 + VALUES)
    return records[:, 1:], records[:, 0]


def _pickled(content):
    """Return the values and the labels of a Python batch."""
    batch = _unpickle(content)
    values, labels = (_array(batch[key]) for key in ("data", "labels"))
    if values.dtype != np.uint8 or values.shape != (len(labels), VALUES):
        raise ValueError("not CIFAR-10's data")
    return values, labels


def _unpickle(content):
    """Return a pickled dictionary with texts as its keys. It was written by Python 2, whose texts are bytes here."""
    return {_text(key): value for key, value in _Unpickler(io.BytesIO(content), encoding="bytes").load().items()}


def _text(name):
    return name.decode() if isinstance(name, bytes) else name


class _Numpy:
    """Stands for NumPy's array, its type and what makes both, and keeps what the file says of them."""

    def __init__(self, *parts):
        self.parts = parts

    def __setstate__(self, state):
        self.state = state


def _encode(text, encoding):
    """How Python 3 writes bytes for Python 2."""
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    """Reads plain values and NumPy arrays. A pickle can name any function and call it, so it knows no others."""

    KNOWN = {("_codecs", "encode"): _encode, ("numpy", "ndarray"): _Numpy, ("numpy", "dtype"): _Numpy}
    for package in ("numpy.core", "numpy._core"):
        KNOWN |= {(f"{package}.multiarray", "_reconstruct"): _Numpy, (f"{package}.numeric", "_frombuffer"): _Numpy}

    def find_class(self, module, name):
        try:
            return self.KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it wants to call {module}.{name}") from None


def _array(value):
    """Return the array that the file describes, of integers."""
    if isinstance(value, list):
        if not all(type(label) is int for label in value):
            raise ValueError("labels that are no integers")
        return np.array(value, "int64")
    if hasattr(value, "state"):  # of _reconstruct
        _, shape, kind, by_columns, content = value.state
    else:  # of _frombuffer
        content, kind, shape, order = value.parts
        by_columns = _text(order) == "F"
    name = _text(kind.state[1]) + _text(kind.parts[0])
    if not re.fullmatch(r"[<>|=][iu][1248]", name):
        raise ValueError("an array of no integers")
    return np.frombuffer(content, name).reshape(shape, order="F" if by_columns else "C")
