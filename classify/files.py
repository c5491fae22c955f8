"""Files that appear whole or not at all."""

import contextlib
import errno
import json
import os
import shutil

from classify.command import Problem, printable


class DiskFull(Problem, OSError):
    """A file that the disk has no room for: also an ``OSError``, as whoever writes files expects one."""


@contextlib.contextmanager
def whole(path, size=None, sync=True):
    """Yield a path beside ``path`` to write to; what was written becomes ``path`` at once, or not at all.

    It may be a folder too, which takes the place of a former folder.

    Args:
        path: the file.
        size: about how many bytes it will have, if that is known, for the message when the disk is full.
        sync: whether to wait until it is on the disk. One of many small files need not, if a copy of it is elsewhere.

    Raises:
        DiskFull: what was half written is removed.
    """
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield beside
        if beside.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif sync:
            with open(beside, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        if not _is_full(error):
            raise
        _remove(beside)  # first, so that the room it took counts as free
        needed = f" it needs about {_megabytes(size)}," if size else ""
        free = _megabytes(shutil.disk_usage(path.parent).free)
        raise DiskFull(f"{printable(path)} cannot be written, the disk is full:{needed} {free} are free") from error
    finally:
        _remove(beside)


def _is_full(error):
    # HDF5, which writes a model's weights, has the number in its message alone.
    return error.errno in (errno.ENOSPC, errno.EDQUOT) or f"errno = {errno.ENOSPC}" in str(error)


def _megabytes(size):
    return f"{size / 1e6:,.1f} MB"


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def write_text(path, text):
    """Write a text file whole, in UTF-8; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path, content):
    """Write a JSON file whole, indented for a person to read."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
