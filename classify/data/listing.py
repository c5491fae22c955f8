"""The files in a person's folder of pictures, by split and class."""

import os
import re
import unicodedata

from classify.command import Problem, note, printable, some
from classify.data import pictures

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
PASSED_OVER = {"__macosx", "thumbs.db", "desktop.ini"}  # and all whose name begins with a dot


def by_split(path):
    """Return the pictures of a folder by split and class, each a path below the folder as text, in natural order.

    Raises:
        Problem: it holds no pictures in folders of classes, a class folder is empty, a class stands there twice, or a
            split has a class that train lacks.
    """
    folders = _folders(path)
    # A folder of pictures called train is a class: perhaps its pictures show trains.
    given = [folder for folder in folders if folder.name.casefold() in SPLITS and _folders(folder)]
    listed, others = {}, []
    if given:
        for folder in given:
            name = SPLITS[folder.name.casefold()]
            if name in listed:
                raise Problem(f"{printable(path)} has two folders for {name}; keep one of val, valid and validation")
            listed[name] = _classes(path, folder, _folders(folder), others)
        listed = {name: listed[name] for name in ("train", "validation", "test") if name in listed}
        beside = [folder.name for folder in folders if folder not in given]
        if beside:
            note(f"passed over, as they stand beside train/, val/ and test/: {some(beside)}")
    else:
        listed["train"] = _classes(path, path, folders, others)
    if others:
        note(f"passed over, files of other kinds than pictures: {some(others)}")
    _check_splits(path, listed)
    return listed


def natural(name):
    """Return what names are sorted by, so that ``class2`` comes before ``class10``."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts], name


def _entries(path):
    """Return what is in a folder, in natural order, without what systems leave there."""
    names = (entry for entry in os.listdir(path) if not entry.startswith(".") and entry.casefold() not in PASSED_OVER)
    return [path / name for name in sorted(names, key=natural)]


def _folders(path):
    return [entry for entry in _entries(path) if entry.is_dir()]


def _classes(path, folder, class_folders, others):
    """Return the pictures of each class folder, by the class's name; files of other kinds are added to ``others``."""
    if not class_folders:
        raise Problem(f"{printable(folder)} holds no folders; put the pictures of each class into a folder of its own")
    deeper = [inner for inner in class_folders if any(entry.name.casefold() == "train" for entry in _folders(inner))]
    if deeper:
        raise Problem(f"{printable(folder)} holds no folders of classes; did you mean {printable(deeper[0])}?")
    classes = {}
    for class_folder in class_folders:
        name = unicodedata.normalize("NFC", class_folder.name)  # some systems write é as two characters
        if name in classes:
            raise Problem(f"{printable(folder)} has two folders called {printable(name)}; put them together")
        files = _pictures(class_folder, others)
        if not files:
            raise Problem(
                f"{printable(class_folder)} holds no pictures of a kind that is read; fill it, or remove it if it is no"
                " class"
            )
        classes[name] = [os.fspath(file.relative_to(path)) for file in files]
        for text in (name, *classes[name]):
            _check_text(path, text)
    return classes


def _pictures(folder, others):
    """Return the pictures in a folder and in those below it, in natural order."""
    files = []
    for entry in _entries(folder):
        if entry.is_dir():
            if not entry.is_symlink():  # it may lead back here
                files += _pictures(entry, others)
        elif entry.suffix.lower() not in pictures.EXTENSIONS:
            others.append(entry.name)
        elif not entry.name.endswith(pictures.EXPLAINED):
            files.append(entry)
    return files


def _check_text(path, name):
    """Refuse a name that no JSON file can hold."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise Problem(f"{printable(path)}: rename {printable(name)}; its name is not UTF-8") from error


def _check_splits(path, listed):
    """Refuse a split with a class that the first one does not know; name those that a split lacks."""
    first = next(iter(listed))
    for split, classes in listed.items():
        unknown = [name for name in classes if name not in listed[first]]
        if unknown:
            raise Problem(
                f"{printable(path)}: {split} has classes that {first} lacks: {some(unknown)}; rename or remove their"
                " folders"
            )
        lacking = [name for name in listed[first] if name not in classes]
        if lacking:
            note(f"{split} has no pictures of {some(lacking)}")
