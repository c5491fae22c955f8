"""A labelled data set: where it comes from, its images and labels, its three splits."""

import dataclasses
import functools
import textwrap
from collections.abc import Callable
from typing import Protocol

import numpy as np

from classify.command import printable

TITLES = {"cifar10": "CIFAR-10"}  # how a data set is written for a person, if not by its name


class Images(Protocol):
    """Images that are read by their rows: a NumPy array, or a store on disk that is larger than memory.

    Whoever takes ``Images`` uses these two operations and nothing else: no slice, no ``shape``.
    """

    def __len__(self):
        """Return how many images there are."""

    def __getitem__(self, rows):
        """Return the images of the given rows, in that order, as one array: uint8 of shape (len(rows), H, W, 3).

        ``rows`` is an array of integers from 0 to ``len(self) - 1``; a row may stand in it more than once.
        What a frozen network says of images can stand in their place: float32 of shape (len(rows), features).
        """


@dataclasses.dataclass(frozen=True)
class Subset:
    """Some rows of other ``Images``. It reads an image only when somebody asks for it."""

    images: Images
    rows: np.ndarray

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, rows):
        return self.images[self.rows[rows]]


class Joined:
    """Several ``Images``, one after the other."""

    def __init__(self, parts):
        self.parts = parts
        self.starts = np.cumsum([0, *map(len, parts)], dtype=int)

    def __len__(self):
        return int(self.starts[-1])

    def __getitem__(self, rows):
        none = self.parts[0][np.arange(0)]  # knows the shape and the type of all
        result = np.empty((len(rows), *none.shape[1:]), none.dtype)
        parts, rows = self.places(rows)
        for number in np.unique(parts):
            here = parts == number
            result[here] = self.parts[number][rows[here]]
        return result

    def places(self, rows):
        """Return the number of the part that each row lies in, and which row of that part it is."""
        parts = np.searchsorted(self.starts, rows, side="right") - 1
        return parts, rows - self.starts[parts]


@dataclasses.dataclass(frozen=True)
class Split:
    """Images and their labels.

    Attributes:
        images: see ``Images``.
        labels: int64 of shape (N,).
        files: the pictures' file names, an object array of shape (N,); None where the images are no files.
        prints: a number for each image that only copies of it share, uint64 of shape (N,); None where nobody looked.
    """

    images: Images
    labels: np.ndarray
    files: np.ndarray | None = None
    prints: np.ndarray | None = None

    def __len__(self):
        return len(self.labels)

    def take(self, rows):
        """Return the given rows, an array of integers, as another ``Split``.

        Rows of a NumPy array are copied. Rows of any other ``Images`` are read later, when they are used, since
        all of them together may be larger than memory.
        """
        images = self.images[rows] if isinstance(self.images, np.ndarray) else Subset(self.images, rows)
        files, prints = (None if column is None else column[rows] for column in (self.files, self.prints))
        return Split(images, self.labels[rows], files, prints)


@dataclasses.dataclass(frozen=True)
class Source:
    """A labelled data set that was found and is not read yet.

    Attributes:
        name: what runs call it.
        option: what ``--data`` takes to find it again.
        where: says to a person where it lies.
        class_names: by label.
        splits: the names of its splits, of which train, validation and test count.
        read: a function that takes the name of a split, and the pixels a side of the square that the images shall
            have, and returns a ``Split``. It may leave the images at the ``shape`` they have.
        mirror: whether training may mirror its images, left to right.
        shape: the (height, width) of all images; None where they differ in size.
        side: the shorter side, in pixels, that half of the images reach.
        fingerprint: of one's own pictures, a function that returns what tells their names and contents from any
            others', 32 hexadecimal digits; None for a data set that its name tells from others.
        findings: of one's own pictures that were read, a function that returns lines on what a person should know of
            them; None for other data.
    """

    name: str
    option: str
    where: str
    class_names: tuple[str, ...]
    splits: tuple[str, ...]
    read: Callable[[str, int | None], Split]
    mirror: bool = True
    shape: tuple[int, int] | None = (32, 32)
    side: int = 32
    fingerprint: Callable[[], str] | None = None
    findings: Callable[[], list[str]] | None = None

    @property
    def of_pictures(self):
        """Whether these are a person's own images, or photographs of many sizes."""
        return self.fingerprint is not None or self.shape is None

    @property
    def title(self):
        """Its name as a person writes it, in one line."""
        return TITLES.get(self.name) or printable(self.name)


@dataclasses.dataclass(frozen=True)
class Data:
    """A data set read for training: its source and three splits. The validation split may have no images."""

    source: Source
    train: Split
    validation: Split
    test: Split

    @property
    def class_names(self):
        return self.source.class_names

    @property
    def image_shape(self):
        """(H, W, 3), which all images share."""
        return self.train.images[np.arange(1)].shape[1:]

    def __str__(self):
        parts = ((self.train, "train"), (self.validation, "validation"), (self.test, "test"))
        counts = " · ".join(f"{len(split):,} {name}" for split, name in parts if len(split))
        found = self.source.findings() if self.source.findings else []
        indent = " " * len(self.source.title)
        lines = [f"{self.source.title}   {counts}", f"{'from':{len(indent)}}   {self.source.where}"]
        fill = functools.partial(textwrap.fill, width=80, break_long_words=False, break_on_hyphens=False)
        margin = indent + "   "
        return "\n".join(lines + [fill(line, initial_indent=margin, subsequent_indent=margin) for line in found])
