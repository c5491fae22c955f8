"""A labelled data set: where it comes from, its images and labels, its three splits."""

import dataclasses
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


@dataclasses.dataclass(frozen=True)
class Split:
    """Images (see ``Images``) and their labels, int64 of shape (N,)."""

    images: Images
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    def take(self, rows):
        """Return the given rows, an array of integers, as another ``Split``.

        Rows of a NumPy array are copied. Rows of any other ``Images`` are read later, when they are used, since
        all of them together may be larger than memory.
        """
        images = self.images[rows] if isinstance(self.images, np.ndarray) else Subset(self.images, rows)
        return Split(images, self.labels[rows])


@dataclasses.dataclass(frozen=True)
class Source:
    """A labelled data set that was found and is not read yet.

    Attributes:
        name: what runs call it.
        option: what ``--data`` takes to find it again.
        where: says to a person where it lies.
        class_names: by label.
        splits: the names of its splits.
        read: a function that takes the name of a split and returns a ``Split``.
        mirror: whether training may mirror its images, left to right.
    """

    name: str
    option: str
    where: str
    class_names: tuple[str, ...]
    splits: tuple[str, ...]
    read: Callable[[str], Split]
    mirror: bool = True

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
        return f"{self.source.title}   {counts}\n{'from':{len(self.source.title)}}   {self.source.where}"
