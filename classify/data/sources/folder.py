"""A person's own pictures: a folder with one subfolder a class, or such folders under train/, val/ and test/."""

import dataclasses
import functools
import hashlib
import os
import re
import unicodedata
from pathlib import Path

import numpy as np

from classify.command import Problem, note, printable
from classify.data import decoding, pictures, store, survey
from classify.data.dataset import Source, Split

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
PASSED_OVER = {"__macosx", "thumbs.db", "desktop.ini"}  # and all whose name begins with a dot
TAKEN = {"cifar10", "digits"}  # names of other data
LOOKED_AT = 1000  # pictures whose size is read to know the typical one


def source(path):
    """Return the ``Source`` of a folder of pictures; they are decoded when a split is read.

    Classes stand in natural order, ``class2`` before ``class10``. A split's classes are matched to train's by name.

    Args:
        path: the folder.

    Raises:
        Problem: it holds no pictures in folders of classes, a class folder is empty, or a split has a class that
            train lacks.
    """
    by_split = _listed(path)
    first = by_split.get("train") or next(iter(by_split.values()))
    class_names = tuple(first)
    for name, classes in by_split.items():
        _check_classes(path, name, classes, class_names)
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
        stores.append(_open(path, files, labels, size))
        return stores[-1]

    def findings():
        opened = stores[-1]
        rows = np.flatnonzero(opened.readable)
        facts = [opened.facts[row] for row in rows]
        lines = survey.findings(opened.pictures.take(rows), facts, class_names, splits[rows])
        return [*lines, *filter(None, [opened.unreadable])]

    def fingerprint():
        known = [fact["sha256"] for fact in stores[0].facts] if stores else [_sha256(path / file) for file in files]
        lines = "".join(f"{file}\0{sha256}\n" for file, sha256 in sorted(zip(files, known, strict=True)))
        return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    resolved = path.resolve()
    return Source(
        f"{resolved.name}-folder" if resolved.name in TAKEN else resolved.name or "pictures",
        str(resolved),
        printable(_short(resolved)),
        class_names,
        tuple(by_split),
        read,
        shape=None,
        side=_typical_side(path, files),
        fingerprint=functools.cache(fingerprint),
        findings=findings,
    )


def _short(path):
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else path


def natural(name):
    """Return what names are sorted by, so that ``class2`` comes before ``class10``."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts], name


def _listed(path):
    """Return the files by split and class, each a path below the folder as text, all in natural order."""
    folders = _folders(path)
    given = [folder for folder in folders if folder.name.casefold() in SPLITS]
    if not given:
        return {"train": _classes(path, path, folders)}
    by_split = {}
    for folder in given:
        name = SPLITS[folder.name.casefold()]
        if name in by_split:
            raise Problem(f"{printable(path)} has two folders for {name}; keep one of val, valid and validation")
        by_split[name] = _classes(path, folder, _folders(folder))
    others = [folder.name for folder in folders if folder not in given]
    if others:
        note(f"passed over, as they stand beside train/, val/ and test/: {printable(', '.join(others))}")
    return {name: by_split[name] for name in ("train", "validation", "test") if name in by_split}


def _entries(path):
    """Return what is in a folder, in natural order, without what systems leave there."""
    names = (entry for entry in os.listdir(path) if not entry.startswith(".") and entry.casefold() not in PASSED_OVER)
    return [path / name for name in sorted(names, key=natural)]


def _folders(path):
    return [entry for entry in _entries(path) if entry.is_dir()]


def _classes(path, folder, class_folders):
    """Return the pictures of each class folder, by the class's name."""
    if not class_folders:
        raise Problem(f"{printable(folder)} holds no folders; put the pictures of each class into a folder of its own")
    classes = {}
    for class_folder in class_folders:
        name = unicodedata.normalize("NFC", class_folder.name)  # some systems write é as two characters
        files = list(_pictures(class_folder))
        if not files:
            raise Problem(f"{printable(class_folder)} holds no pictures; fill it, or remove it if it is no class")
        classes[name] = [os.fspath(file.relative_to(path)) for file in files]
    return classes


def _pictures(folder):
    """Yield the pictures in a folder and in those below it, in natural order."""
    for entry in _entries(folder):
        if entry.is_dir():
            if not entry.is_symlink():  # it may lead back here
                yield from _pictures(entry)
        elif entry.suffix.lower() in pictures.EXTENSIONS and not entry.name.endswith(pictures.EXPLAINED):
            yield entry


def _check_classes(path, split, classes, class_names):
    """Refuse a class that train does not know; name those that a split lacks."""
    unknown = [name for name in classes if name not in class_names]
    if unknown:
        raise Problem(
            f"{printable(path)}: {split} has classes that train lacks: {printable(', '.join(unknown))}; rename or"
            " remove their folders"
        )
    lacking = [name for name in class_names if name not in classes]
    if lacking:
        note(f"{split} has no pictures of {printable(', '.join(lacking))}")


def _typical_side(path, files):
    """Return the shorter side, in pixels, that half of the readable pictures reach; 32 where none can be read."""
    step = max(1, len(files) // LOOKED_AT)
    sides = []
    for file in files[::step]:
        size = pictures.size(path / file)
        if size:
            sides.append(min(size))
    return int(np.median(sides)) if sides else 32


@dataclasses.dataclass(frozen=True)
class _Opened:
    """A store: its pictures as a ``Split``, what is known of each, which could be read, and a line on the others."""

    pictures: Split
    facts: list
    readable: np.ndarray
    unreadable: str


def _open(path, files, labels, size):
    """Return the ``_Opened`` store of all files at a size, which is made first if it is not there."""
    folder = store.ROOT / f"{path.resolve().name}-{size}-{_key(path, files, size)}"
    read = functools.partial(_read, path, size=size)
    doing = f"looking through {len(files):,} files"
    images, facts = store.make(folder, len(files), lambda first, last: files[first:last], read, size, doing)
    unreadable = survey.check_readable(path, folder, files, facts)
    prints = np.array([int(fact.get("print", "0"), 16) for fact in facts], "uint64")
    readable = np.array(["problem" not in fact for fact in facts])
    return _Opened(Split(images, labels, np.array(files, object), prints), facts, readable, unreadable)


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
    try:
        pixels = pictures.load(path / file, size, size)
        fact = {"size": pictures.size(path / file)}
        fact["print"] = hashlib.blake2b(pixels, digest_size=8).hexdigest()
    except Problem as problem:
        pixels, fact = None, {"problem": str(problem).removeprefix(f"{printable(path / file)}: ")}
    return pixels, fact | {"sha256": _sha256(path / file)}


def _sha256(file):
    """Return a file's SHA-256, or an empty text where it cannot be read."""
    try:
        with open(file, "rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return ""
