"""A person's own pictures: a folder with one subfolder a class, or such folders under train/, val/ and test/."""

import dataclasses
import functools
import hashlib
import os

import numpy as np

from classify.command import Problem, note, printable
from classify.data import decoding, listing, pictures, store, survey
from classify.data.dataset import Source, Split
from classify.data.sources import prepared

TAKEN = {"cifar10", "digits"}  # names of other data
LOOKED_AT = 1000  # pictures, about, whose size is read to know the typical one
LONGEST = 60  # characters of the folder's name in that of its store


def source(path):
    """Return the ``Source`` of a folder of pictures; they are decoded when a split is read.

    Classes stand in natural order, ``class2`` before ``class10``. A split's classes are matched to train's by name.

    Args:
        path: the folder.

    Raises:
        Problem: as ``listing.by_split`` says.
    """
    by_split = listing.by_split(path)
    class_names = tuple(next(iter(by_split.values())))
    files, labels, splits = [], [], []
    for name, classes in by_split.items():
        for class_name, names in classes.items():
            files += names
            labels += [class_names.index(class_name)] * len(names)
            splits += [name] * len(names)
    labels, splits = np.array(labels, "int64"), np.array(splits)
    stores = []

    def read(split, size):
        opened = pictures_of(size)
        return opened.pictures.take(np.flatnonzero((splits == split) & opened.readable))

    @functools.cache
    def pictures_of(size):
        stores.append(_open(path, files, labels, size, class_names))
        return stores[-1]

    def findings():
        opened = stores[-1]
        rows = np.flatnonzero(opened.readable)
        facts = (fact for fact in opened.facts if "problem" not in fact)
        return survey.findings(opened.pictures.take(rows), facts, class_names, splits[rows])

    def fingerprint():
        facts = stores[0].facts if stores else ({"sha256": _sha256(path / file)} for file in files)
        known = np.fromiter((fact["sha256"] for fact in facts), "S64", len(files))
        digest = hashlib.sha256()
        for row in np.argsort(np.array(files, object)):
            digest.update(f"{files[row]}\0{known[row].decode()}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:32]

    resolved = path.resolve()
    return Source(
        f"{resolved.name}-folder" if resolved.name in TAKEN else resolved.name or "pictures",
        str(resolved),
        prepared.short_path(resolved),
        class_names,
        tuple(by_split),
        read,
        shape=None,
        side=pictures.typical_side(path / file for file in files[:: max(1, len(files) // LOOKED_AT)]),
        fingerprint=functools.cache(fingerprint),
        findings=findings,
    )


@dataclasses.dataclass(frozen=True)
class _Opened:
    """A store: its pictures as a ``Split``, what is known of each, and which could be read."""

    pictures: Split
    facts: store.Facts
    readable: np.ndarray


def _open(path, files, labels, size, class_names):
    """Return the ``_Opened`` store of all files at a size, which is made first if it is not there."""
    folder = store.ROOT / f"{path.resolve().name[:LONGEST]}-{size}-{_key(path, files, size)}"
    read = functools.partial(_read, path, size=size)
    doing = f"looking through {len(files):,} files"
    images, facts = store.make(folder, len(files), lambda first, last: files[first:last], read, size, doing)
    unreadable = survey.check_readable(path, folder, files, facts)
    prints = np.fromiter((int(fact.get("print", "0"), 16) for fact in facts), "uint64", len(facts))
    readable = np.fromiter(("problem" not in fact for fact in facts), bool, len(facts))
    for label in sorted(set(labels) - set(labels[readable])):
        raise Problem(f"no picture of {printable(class_names[label])} can be read: {unreadable}")
    if unreadable:
        note(unreadable)
    return _Opened(Split(images, labels, np.array(files, object), prints), facts, readable)


def _key(path, files, size):
    """Return the part of a store's name that stands for its files, as the file system knows them, and their use."""
    digest = hashlib.sha256(f"{os.fspath(path.resolve())}\0{size}\0{decoding.REDUCTION}".encode("utf-8", "replace"))
    for file in files:
        try:
            status = os.stat(path / file)
            digest.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
        except OSError:  # a link to nothing; reading it will say so
            digest.update(f"{file}\0\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:12]


def _read(path, file, size):
    """Return a picture's pixels, or None, and what the survey and the fingerprint want to know of it."""
    file = path / file
    try:
        pixels, shown, digest = pictures.load_with_facts(file, size, size)
        fact = {"size": shown, "print": digest}
    except Problem as problem:
        pixels, fact = None, {"problem": str(problem).removeprefix(f"{printable(file)}: ")}
    return pixels, fact | {"sha256": _sha256(file)}


def _sha256(file):
    """Return a file's SHA-256, or an empty text where it cannot be read."""
    try:
        with open(file, "rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return ""
