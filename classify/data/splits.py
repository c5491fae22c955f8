"""A source's train, validation and test splits; validation is cut from train."""

import hashlib

import numpy as np

from classify.command import Problem, printable
from classify.data.dataset import Data

SEED = 0  # the same for all runs, so that all of them are compared on the same validation images
BLOCK = 1024  # images that a fingerprint reads at a time


def load(source, validation=0.1, limit=None):
    """Read all splits of a source, as ``Data``.

    Args:
        source: a ``Source`` with a train and a test split.
        validation: the share of the train split, 0 to 1, that becomes the validation split; 0 for none. Each class
            has the same share in both parts. The choice is random, with a fixed seed.
        limit: keep only this many of the training images that remain, the first ones; None keeps all.

    Raises:
        Problem: a split is missing, damaged, or not labelled, the train split is of one class, or it is too small to
            be cut so.
    """
    for name in ("train", "test"):
        if name not in source.splits:
            raise Problem(f"{source.title} has no {name} split, so it cannot be trained on ({source.where})")
    train, test = _read(source, "train"), _read(source, "test")
    if (train.labels == train.labels[0]).all():
        class_name = printable(source.class_names[train.labels[0]])
        raise Problem(f"all train images of {source.title} are of one class, {class_name} ({source.where})")
    train, validation_split = _cut(train, validation)
    if limit is not None:
        train = train.take(np.arange(min(limit, len(train))))
    return Data(source, train, validation_split, test)


def read_split(source, split, validation=0.1):
    """Read one split, 'train', 'validation' or 'test', the same as ``load`` returns it.

    Raises:
        Problem: the source has no such split, or it is damaged, not labelled, or too small to be cut so.
    """
    name = "train" if split == "validation" else split
    if name not in source.splits:
        raise Problem(f"{source.title} has no {name} split ({source.where})")
    if name == "test":
        return _read(source, name)
    train, validation_split = _cut(_read(source, name), validation)
    return validation_split if split == "validation" else train


def _read(source, name):
    """Read a split. Wrong labels raise a ``Problem`` here, before training starts."""
    names, classes = source.class_names, len(source.class_names)
    if classes < 2:
        raise Problem(
            f"{source.title} has fewer than two classes: {printable(', '.join(names) or 'none')} ({source.where})"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Problem(f"{source.title} has several classes of one name: {printable(', '.join(twice))} ({source.where})")
    split = source.read(name)
    if not len(split):
        raise Problem(f"the {name} split of {source.title} has no images ({source.where})")
    wrong = np.count_nonzero((split.labels < 0) | (split.labels >= classes))
    if wrong:
        images = f"{wrong:,} of the {len(split):,} {name} images of {source.title}"
        raise Problem(f"{images} are not labelled: their labels are not 0 to {classes - 1} ({source.where})")
    return split


def fingerprint(split):
    """Return what tells a split's images and labels from any others: 32 hexadecimal digits of their SHA-256.

    The images are read block by block, in the order of the split.
    """
    digest = hashlib.sha256(split.labels.astype("<i8").tobytes())
    for first in range(0, len(split), BLOCK):
        rows = np.arange(first, min(first + BLOCK, len(split)))
        digest.update(np.ascontiguousarray(split.images[rows]))
    return digest.hexdigest()[:32]


def _cut(split, validation):
    """Return the train and the validation part of a split, both in a seeded random order."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(split))
    if validation == 0:
        return split.take(np.random.default_rng(SEED).permutation(rows)), split.take(rows[:0])
    try:
        train_rows, validation_rows = train_test_split(
            rows, test_size=validation, stratify=split.labels, random_state=SEED
        )
    except ValueError as error:
        raise Problem(f"--validation {validation:g} of {len(split)} images cannot be cut: {error}") from error
    return split.take(train_rows), split.take(validation_rows)
