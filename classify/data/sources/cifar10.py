"""CIFAR-10: the places where it is looked for, and its official archive."""

import hashlib
import os
import tarfile
from pathlib import Path

import numpy as np

from classify.command import Problem, printable
from classify.data.dataset import Source, Split
from classify.data.download import Unreachable, fetch_file, fetch_prepared
from classify.data.sources import prepared

ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
ARCHIVE_FOLDER = "cifar-10-batches-bin"
ARCHIVE_FILES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}


def source(data_dir=None):
    """Return the ``Source`` of CIFAR-10 from the first place that has it.

    The places are: a copy that TFDS prepared, the archive downloaded before, TFDS's public bucket, and the archive's
    host. What the last two send is kept in the data folder.

    Args:
        data_dir: the folder where TFDS prepares data sets; None is TFDS's own default.

    Raises:
        Unreachable: no place has it; the message is the reasons of the bucket and the host, separated by "; ".
    """
    folder = Path(os.path.expanduser(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"))
    copies = sorted(filter(_version, folder.glob("cifar10/*/dataset_info.json")), key=_version)
    if copies:
        return prepared.source(copies[-1].parent, option="cifar10")
    archive = folder / "downloads" / ARCHIVE
    if archive.is_file():
        return archive_source(archive, option="cifar10")
    try:
        return prepared.source(fetch_prepared("cifar10/3.0.2", folder), option="cifar10")
    except Unreachable as bucket:
        try:
            fetch_file(ARCHIVE_URL, archive, "CIFAR-10", hashlib.sha256(), ARCHIVE_SHA256)
            return archive_source(archive, option="cifar10")
        except Unreachable as host:
            raise Unreachable(f"{bucket}; {host}") from host


def _version(info_file):
    """Return the version that a prepared folder is named by, as numbers; none for a folder of another name."""
    parts = info_file.parent.name.split(".")
    return [int(part) for part in parts] if all(part.isdecimal() for part in parts) else []


def explain(error):
    """Return a paragraph for the user: why CIFAR-10 could not be had, and what helps.

    Args:
        error: what ``source`` raised.
    """
    reasons = "".join(f"  {reason}\n" for reason in str(error).split("; "))
    return (
        f"CIFAR-10 could not be loaded:\n{reasons}"
        "Its hosts are often slow or down. Any of these helps:\n"
        f"  · download, in a browser,\n    {ARCHIVE_URL}\n"
        f"    and pass  --data path/to/{ARCHIVE}\n"
        "  · pass --data-dir with a folder where TFDS has prepared it before\n"
        "  · try everything else first with  --data digits  (no network needed)"
    )


def archive_source(path, option=None):
    """Return the ``Source`` of the official binary archive.

    Its files are records of one label byte and 3x32x32 pixel bytes: all red ones, then green, then blue.

    Args:
        path: the archive.
        option: what ``--data`` takes to find it again; None is its path.

    Raises:
        Problem: the file is not the official one, by its SHA-256.
    """
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != ARCHIVE_SHA256:
        differ = f"its SHA-256 is {sha256[:12]}…, not {ARCHIVE_SHA256[:12]}…"
        raise Problem(f"{printable(path)} is not the official {ARCHIVE}: {differ}")

    def read(split, size=None):
        records = np.frombuffer(_unpack(path, ARCHIVE_FILES[split]), "uint8").reshape(-1, 1 + 3 * 32 * 32)
        pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return Split(np.ascontiguousarray(pixels), records[:, 0].astype("int64"))

    class_names = tuple(_unpack(path, ["batches.meta.txt"]).decode().split())
    where = prepared.short_path(path)
    return Source("cifar10", option or str(path.resolve()), where, class_names, ("train", "test"), read)


def _unpack(path, names):
    """Return the content of the archive's files of these names, joined, as bytes."""
    with tarfile.open(path) as archive:
        return b"".join(archive.extractfile(f"{ARCHIVE_FOLDER}/{name}").read() for name in names)
