"""Checkpoints: what a training that was killed goes on from, as files.

They lie in the folder ``checkpoints`` of a run: ``begun.json`` says what the run was begun with, and each of the last
two checkpoints is a file of arrays, ``7.npz``, and its description, ``7.json``. All of them are removed when the run is
finished.
"""

import hashlib
import json
import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np

from classify.command import Problem, note, printable
from classify.files import make_folder, whole, write_json

FOLDER = "checkpoints"
BEGUN = "begun.json"
KEPT = 2  # where the newest is damaged there is one more


class Damaged(Exception):
    """A checkpoint's file is not what was written."""


class Checkpoints:
    """The checkpoints of a run.

    Args:
        run: the run's folder.
    """

    def __init__(self, run):
        self.folder = Path(run) / FOLDER

    @property
    def exist(self):
        """Whether the run was begun and is not finished."""
        return (self.folder / BEGUN).is_file()

    def begin(self, **entries):
        """Write down what the run is begun with; checkpoints of a former run are removed."""
        self.remove()
        _write_sealed(self.folder / BEGUN, entries)

    def begun(self):
        """Return what the run was begun with.

        Raises:
            Problem: the file is missing or damaged.
        """
        try:
            return _read_sealed(self.folder / BEGUN)
        except Damaged as error:
            raise Problem(f"{printable(self.folder / BEGUN)} {error}: train again, with --overwrite") from error

    def save(self, description, arrays):
        """Write a checkpoint, then remove all but the last ``KEPT``.

        Args:
            description: what JSON takes.
            arrays: a list of NumPy arrays.
        """
        make_folder(self.folder)
        number = max(self._numbers(), default=0) + 1
        file = self.folder / f"{number}.npz"
        with whole(file, size=sum(array.nbytes for array in arrays)) as beside:
            with open(beside, "wb") as open_file:
                np.savez(open_file, *arrays)
            digest = _sha256(beside)
        _write_sealed(self.folder / f"{number}.json", {"arrays": digest, **description})
        for path in self.folder.iterdir():
            if path.stem.isdecimal() and int(path.stem) <= number - KEPT:
                path.unlink()

    def newest(self):
        """Return (description, arrays, when it was saved) of the newest checkpoint that is whole; None if none is.

        A damaged one is named. The time is in seconds since 1970.
        """
        for number in sorted(self._numbers(), reverse=True):
            path = self.folder / f"{number}.json"
            try:
                description = _read_sealed(path)
                return description, _arrays(path.with_suffix(".npz"), description["arrays"]), path.stat().st_mtime
            except Damaged as error:
                note(f"{printable(path)} {error}; the checkpoint before it is used")
        return None

    def newest_description(self):
        """Return the newest checkpoint's description without a look at its arrays, or None."""
        for number in sorted(self._numbers(), reverse=True):
            try:
                return _read_sealed(self.folder / f"{number}.json")
            except Damaged:
                continue
        return None

    def remove(self):
        """Remove all checkpoints, and first what says that there are some."""
        (self.folder / BEGUN).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _numbers(self):
        return [int(path.stem) for path in self.folder.glob("*.json") if path.stem.isdecimal()]


def _arrays(file, digest):
    """Return the arrays of a file whose SHA-256 is ``digest``."""
    try:
        if _sha256(file) != digest:
            raise Damaged("is damaged")
        with np.load(file, allow_pickle=False) as arrays:
            return [arrays[f"arr_{i}"] for i in range(len(arrays.files))]
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise Damaged("is damaged") from error


def _write_sealed(path, content):
    """Write a JSON object with the SHA-256 of its content."""
    write_json(path, {"sha256": _digest(content), "content": content})


def _read_sealed(path):
    """Return what ``_write_sealed`` wrote.

    Raises:
        Damaged: it is missing, or not what was written.
    """
    try:
        sealed = json.loads(path.read_text(encoding="utf-8"))
        if sealed["sha256"] == _digest(sealed["content"]):
            return sealed["content"]
    except OSError as error:
        raise Damaged("cannot be read") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged("is damaged") from error
    raise Damaged("is damaged")


def _digest(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
