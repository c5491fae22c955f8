"""CIFAR-10: the places where it is looked for."""

import hashlib

from classify.data.download import Unreachable, fetch_file, fetch_prepared
from classify.data.sources import batches, prepared

ARCHIVE_URL = f"https://www.cs.toronto.edu/~kriz/{batches.ARCHIVE}"


def source(data_dir=None):
    """Return the ``Source`` of CIFAR-10 from the first place that has it.

    The places are: a copy that TFDS prepared, the archive downloaded before, TFDS's public bucket, and the archive's
    host. What the last two send is kept in the data folder.

    Args:
        data_dir: the folder where TFDS prepares data sets; None is TFDS's own default.

    Raises:
        Unreachable: no place has it; the message is the reasons of the bucket and the host, separated by "; ".
    """
    folder = prepared.data_folder(data_dir)
    copies = sorted(filter(_version, folder.glob("cifar10/*/dataset_info.json")), key=_version)
    if copies:
        return prepared.source(copies[-1].parent, option="cifar10")
    archive = folder / "downloads" / batches.ARCHIVE
    if archive.is_file():
        return batches.source(archive, option="cifar10")
    try:
        return prepared.source(fetch_prepared("cifar10/3.0.2", folder, "CIFAR-10"), option="cifar10")
    except Unreachable as bucket:
        try:
            fetch_file(ARCHIVE_URL, archive, "CIFAR-10", hashlib.sha256(), batches.ARCHIVE_SHA256)
            return batches.source(archive, option="cifar10")
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
        f"    and pass  --data path/to/{batches.ARCHIVE}\n"
        "  · pass --data-dir with a folder where TFDS has prepared it before\n"
        "  · try everything else first with  --data digits  (no network needed)"
    )
