"""Numbered pictures beside a CSV file of ``id,label``, such as Kaggle's: trainLabels.csv and train/1.png, …"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from classify.command import Problem, printable
from classify.data import pictures
from classify.data.dataset import Source, Split
from classify.data.sources import batches, table
from classify.environment import cores
from classify.progress import track

LISTING = "trainLabels.csv"  # Kaggle's


def is_listing(file):
    """Return whether a CSV file names pictures and holds none: it is Kaggle's, or has two columns."""
    return file.name == LISTING or len(table.fields(next(table.lines(file), (1, ""))[1])) == 2


def source(path, listing):
    """Return the ``Source`` of numbered pictures of one size. They are one split, train.

    Args:
        path: what ``--data`` was given: the list, or the folder in which it lies.
        listing: the CSV file; each row is the number of a picture and its label. A header row may stand before them.
            The pictures lie in ``train/`` beside it if there is such a folder, else beside it.

    Raises:
        Problem: it is no such list, or pictures are missing or cannot be read.
    """
    shown, beside = printable(listing), listing.parent
    folder = beside / "train" if (beside / "train").is_dir() else beside
    numbers, texts = _listed(listing)
    names = [f"{number}.png" for number in numbers]
    missing = sorted(set(names) - set(os.listdir(folder)), key=len)
    if missing:
        raise Problem(
            f"{shown} lists {len(missing):,} pictures that are not there, such as {printable(folder / missing[0])};"
            " unpack the pictures' archive beside it"
        )
    files = [folder / name for name in names]
    size = pictures.size(files[0])
    if size is None:
        raise Problem(f"{printable(files[0])}: cannot be read as an image; unpack the pictures' archive again")
    shape = size[::-1]
    class_names, labels = batches.classes(shown, {"train": texts}, shape == (32, 32))

    def load(file):
        if pictures.size(file) not in (size, None):  # what is no picture gets its message below
            raise Problem(
                f"{printable(file)}: is not {size[0]} x {size[1]} pixels as {names[0]} is; for pictures of many sizes"
                " make a folder for each class"
            )
        return pictures.load(file, *shape)

    def read(split, wanted=None):
        images = np.empty((len(files), *shape, 3), "uint8")
        with ThreadPoolExecutor(cores()) as threads:
            loaded = track(threads.map(load, files), len(files), f"reading {len(files):,} pictures", lambda _: 1)
            for row, image in enumerate(loaded):
                images[row] = image
        return Split(images, labels[split], np.array([str(file.relative_to(beside)) for file in files], object))

    who = table.identity(path, [listing, *files], class_names, ("train",), shape)
    return Source(**who, class_names=class_names, splits=("train",), read=read)


def _listed(listing):
    """Return the numbers and the labels in a list, two lists of texts. Rows of a header are left out."""
    rows = [(number, table.fields(line)) for number, line in table.lines(listing)]
    if rows and not rows[0][1][0].isdecimal():
        rows = rows[1:]
    for number, row in rows:
        if len(row) != 2 or not row[0].isdecimal() or not row[1]:
            raise Problem(f"{printable(listing)}, row {number:,}: is not a picture's number and its label; mend it")
    if not rows:
        raise Problem(f"{printable(listing)} lists no pictures")
    return [row[0] for _, row in rows], [row[1] for _, row in rows]
