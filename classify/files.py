"""Files that appear whole or not at all, and locks."""

import contextlib
import errno
import json
import os
import shutil

import filelock

from classify.command import Problem, describe, printable

ELSEWHERE = "work in another folder, or name one that you may write to (--out)"
REMEDIES = {
    errno.EACCES: ELSEWHERE,
    errno.EPERM: ELSEWHERE,
    errno.EROFS: ELSEWHERE,
    errno.ENOENT: "was its folder removed? Earlier results are as they were",
    errno.ENOTDIR: "a file is where a folder should be; move it away",
    errno.EEXIST: "a file is where a folder should be; move it away",
}


class Unwritable(Problem, OSError):
    """A file that cannot be written: also an ``OSError``, as whoever writes files expects one."""


class DiskFull(Unwritable):
    """A file that the disk has no room for."""


@contextlib.contextmanager
def whole(path, size=None, sync=True):
    """Yield a path beside ``path`` to write to; what was written becomes ``path`` at once, or not at all.

    It may be a folder too, which takes the place of a former folder.

    Args:
        path: the file.
        size: about how many bytes it will have, if that is known, for the message when the disk is full.
        sync: whether to wait until it is on the disk. One of many small files need not, if a copy of it is elsewhere.

    Raises:
        Unwritable: what was half written is removed. Where the disk is full it is a ``DiskFull``.
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
            raise _unwritable(path, error) from error
        _remove(beside)  # first, so that the room it took counts as free
        needed = f" it needs about {_megabytes(size)}," if size else ""
        free = _megabytes(shutil.disk_usage(path.parent).free)
        raise DiskFull(f"{printable(path)} cannot be written, the disk is full:{needed} {free} are free") from error
    finally:
        _remove(beside)


def clear(folder, name="*"):
    """Remove what killed processes have left of a file, or of all that match ``name``, in a folder that is locked."""
    for left in folder.glob(f".[0-9]*-{name}"):
        _remove(left)


def make_folder(path):
    """Make a folder, and those above it, if it is not there.

    Raises:
        Unwritable: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def lock(path, wait=False):
    """Return a held ``filelock.FileLock``, which a process that dies lets go of; None if another process holds it.

    Args:
        path: the lock's file.
        wait: whether to wait until the other process lets go of it.

    Raises:
        Unwritable: there can be no such file.
    """
    held = filelock.FileLock(path, blocking=wait)
    try:
        held.acquire()
    except filelock.Timeout:
        return None
    except OSError as error:
        raise _unwritable(path, error) from error
    return held


def unlock(held):
    """Let go of what ``lock`` returned, and remove the file."""
    with contextlib.suppress(OSError):  # Windows removes no open file
        os.unlink(held.lock_file)
    held.release()


def each_locked(paths):
    """Yield each of the locks' ``paths`` while this process holds it, so that several processes share the work.

    Those that others hold come last: this process waits for them, and then finds their work done.
    """
    busy = []
    for wait, some in ((False, paths), (True, busy)):
        for path in some:
            held = lock(path, wait)
            if held is None:
                busy.append(path)
                continue
            try:
                yield path
            finally:
                unlock(held)


def _unwritable(path, error):
    """Return an ``OSError`` as an ``Unwritable`` that says what to do, if that is known."""
    if isinstance(error, Problem) or error.errno not in REMEDIES:
        return error
    reason = describe(OSError(error.errno, os.strerror(error.errno)))
    return Unwritable(f"{printable(path)} cannot be written: {reason}; {REMEDIES[error.errno]}")


def _is_full(error):
    # HDF5, which writes a model's weights, has the number in its message alone.
    return error.errno in (errno.ENOSPC, errno.EDQUOT) or f"errno = {errno.ENOSPC}" in str(error)


def _megabytes(size):
    return f"{size / 1e6:,.1f} MB"


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):  # where it could not be written, it is not there
        path.unlink()


def write_text(path, text):
    """Write a text file whole, in UTF-8; its folder is made."""
    make_folder(path.parent)
    with whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path, content):
    """Write a JSON file whole, indented for a person to read."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
