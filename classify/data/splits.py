"""A source's train, validation and test splits; validation is cut from train."""

import numpy as np

from classify.command import Problem
from classify.data.dataset import Data

SEED = 0  # the same for all runs, so that all of them are compared on the same validation images


def load(source, validation=0.1, limit=None):
    """Read all splits of a source, as ``Data``.

    Args:
        source: a ``Source`` with a train and a test split.
        validation: the share of the train split, 0 to 1, that becomes the validation split; 0 for none. Each class
            has the same share in both parts. The choice is random, with a fixed seed.
        limit: keep only this many of the training images that remain, the first ones; None keeps all.

    Raises:
        Problem: a split is missing or damaged, or the train split is too small to be cut so.
    """
    for name in ("train", "test"):
        if name not in source.splits:
            raise Problem(f"{source.title} has no {name} split, so it cannot be trained on ({source.where})")
    train, validation_split = _cut(source.read("train"), validation)
    if limit is not None:
        train = train.take(np.arange(min(limit, len(train))))
    return Data(source, train, validation_split, source.read("test"))


def read_split(source, split, validation=0.1):
    """Read one split, 'train', 'validation' or 'test', the same as ``load`` returns it.

    Raises:
        Problem: the source has no such split, or it is damaged or too small to be cut so.
    """
    name = "train" if split == "validation" else split
    if name not in source.splits:
        raise Problem(f"{source.title} has no {name} split ({source.where})")
    if name == "test":
        return source.read(name)
    train, validation_split = _cut(source.read(name), validation)
    return validation_split if split == "validation" else train


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
