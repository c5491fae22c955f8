"""A source's train, validation and test splits; what it does not bring is cut from train."""

import hashlib
import math

import numpy as np
from PIL import Image

from classify.command import Problem, note, printable
from classify.data import decoding
from classify.data.dataset import Data, Joined, Split

SEED = 0  # the same for all runs, so that all of them are compared on the same images
VALIDATION, TEST = 0.1, 0.2  # the usual shares of train
BLOCK = 1024  # images that a fingerprint reads at a time
SMALLEST = 32  # pixels a side: the networks' poolings need them


def load(source, validation=VALIDATION, limit=None, test=TEST, size=None):
    """Read all splits of a source, as ``Data``.

    A picture that stands in several splits falsifies what is measured: it is left out of validation where test has it,
    and out of train where one of both has it.

    Args:
        source: a ``Source`` with a train split.
        validation: the share of the train split, 0 to 1, that becomes the validation split, if the source brings none;
            0 for none in any case. Each class has the same share in both parts. The choice is random, by a fixed seed.
        limit: keep only this many of the training images that remain, the first ones; None keeps all.
        test: the share of the train split that becomes the test split in the same way, if the source brings none.
        size: pixels a side of the square that the images shall have; None leaves images of one shape as they are, or
            enlarges them so that no side is below 32 pixels.

    Raises:
        Problem: a split is missing, damaged, or not labelled, the train split is of one class, or it is too small to
            be cut so.
    """
    if "train" not in source.splits:
        raise Problem(f"{source.title} has no train split, so it cannot be trained on ({source.where})")
    splits, left_out = _apart(_all(source, validation, test, size))
    for (name, other), copies in left_out.items():
        note(f"pictures that stand in {name} and in {other}: {copies:,}; left out of {name}")
    train = splits["train"]
    if validation and not len(splits["validation"]):
        raise Problem(
            f"all validation images of {source.title} stand in its test split too; remove one of both ({source.where})"
        )
    for name, share, usual in (("validation", validation, VALIDATION), ("test", test, TEST)):
        if name in source.splits and share not in (0, usual):
            note(f"--{name} {share:g} is not used: {source.title} has a {name} split of its own")
    if not len(train):
        raise Problem(f"no train images of {source.title} are left: all stand in other splits too ({source.where})")
    if (train.labels == train.labels[0]).all():
        class_name = printable(source.class_names[train.labels[0]])
        raise Problem(f"all train images of {source.title} are of one class, {class_name} ({source.where})")
    if limit is not None:
        train = train.take(np.arange(min(limit, len(train))))
    return Data(source, train, splits["validation"], splits["test"])


def read_split(source, split, validation=VALIDATION, test=TEST, size=None):
    """Read one split, 'train', 'validation' or 'test', the same as ``load`` returns it without a limit.

    Raises:
        Problem: the source has no such split, or it is damaged, not labelled, or too small to be cut so.
    """
    if "train" not in source.splits and split not in source.splits:
        raise Problem(f"{source.title} has no {split} split ({source.where})")
    if source.fingerprint:  # of one's own pictures copies are known
        return _apart(_all(source, validation, test, size))[0][split]
    if split != "train" and split in source.splits:
        return _read(source, split, size)
    return _from_train(source, validation, test, size)[split]


def read_new(source, size=None):
    """Read one's own pictures on which nothing was trained: their test split, or all of them if they have none.

    Raises:
        Problem: as ``read_split`` does.
    """
    if "test" in source.splits:
        return _read(source, "test", size)
    return joined([_read(source, name, size) for name in source.splits])


def joined(parts):
    """Return several ``Split``s as one, in their order."""
    labels = np.concatenate([part.labels for part in parts])
    named = all(part.files is not None for part in parts)
    files = np.concatenate([part.files for part in parts]) if named else None
    return Split(Joined([part.images for part in parts]), labels, files)


def _all(source, validation, test, size):
    """Return the splits by name, as the source brings them or cut from train."""
    splits = _from_train(source, validation, test, size) if "train" in source.splits else {}
    return splits | {name: _read(source, name, size) for name in source.splits if name not in splits}


def _from_train(source, validation, test, size):
    """Return the train split and those that are cut from it, by name."""
    splits = {"train": _read(source, "train", size)}
    if "test" not in source.splits:
        splits["train"], splits["test"] = _cut(source, splits["train"], test, "--test")
    cut = 0 if "validation" in source.splits else validation
    splits["train"], splits["validation"] = _cut(source, splits["train"], cut, "--validation")
    if "validation" in source.splits and validation != 0:
        del splits["validation"]
    return splits


def _apart(splits):
    """Return the splits without the copies of pictures that another split has, and how many were left out.

    The latter is a dictionary with the name of the split and of the other one as its key.
    """
    left_out = {}
    for name, other in (("validation", "test"), ("train", "test"), ("train", "validation")):
        if name in splits and other in splits and splits[name].prints is not None:
            copies = np.isin(splits[name].prints, splits[other].prints)
            if copies.any():
                splits = splits | {name: splits[name].take(np.flatnonzero(~copies))}
                left_out[name, other] = int(copies.sum())
    return splits, left_out


def _read(source, name, size):
    """Read a split. Wrong labels raise a ``Problem`` here, before training starts."""
    names, classes = source.class_names, len(source.class_names)
    if classes < 2:
        raise Problem(
            f"{source.title} has fewer than two classes: {printable(', '.join(names) or 'none')} ({source.where})"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Problem(f"{source.title} has several classes of one name: {printable(', '.join(twice))} ({source.where})")
    split = source.read(name, size)
    if not len(split):
        raise Problem(f"the {name} split of {source.title} has no images ({source.where})")
    wrong = np.count_nonzero((split.labels < 0) | (split.labels >= classes))
    if wrong:
        images = f"{wrong:,} of the {len(split):,} {name} images of {source.title}"
        raise Problem(f"{images} are not labelled: their labels are not 0 to {classes - 1} ({source.where})")
    return _resized(split, source, size) if isinstance(split.images, np.ndarray) else split


def _resized(split, source, size):
    """Return a split of images of one shape in another size, as ``load`` says. They are an array in memory."""
    height, width = split.images.shape[1:3]
    if size is None:
        times = max(1, SMALLEST / min(height, width))
        shape = round(height * times), round(width * times)
    else:
        shape = size, size
    if shape == (height, width):
        return split
    try:
        images = np.empty((len(split), *shape, 3), "uint8")
    except (MemoryError, ValueError) as error:
        needed = len(split) * shape[0] * shape[1] * 3 / 1e9
        raise Problem(
            f"{source.title} in {shape[0]} pixels needs {needed:,.0f} GB of memory ({source.where})"
        ) from error
    for row, image in enumerate(split.images):
        images[row] = decoding.resize(Image.fromarray(image), *shape)
    return Split(images, split.labels, split.files, split.prints)


def fingerprint(split):
    """Return what tells a split's images and labels from any others: 32 hexadecimal digits of their SHA-256.

    The images are read block by block, in the order of the split.
    """
    digest = hashlib.sha256(split.labels.astype("<i8").tobytes())
    for first in range(0, len(split), BLOCK):
        rows = np.arange(first, min(first + BLOCK, len(split)))
        digest.update(np.ascontiguousarray(split.images[rows]))
    return digest.hexdigest()[:32]


def _cut(source, split, share, option):
    """Return the part of a split that remains and the part that is cut off, both in a seeded random order."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(split))
    if share == 0:
        return split.take(np.random.default_rng(SEED).permutation(rows)), split.take(rows[:0])
    counts, title = np.bincount(split.labels), source.title
    for label in np.flatnonzero(counts == 1):
        name = printable(source.class_names[label])
        raise Problem(f"{title} has one image of {name} for both sides of {option} {share:g}; add images of it")
    classes = np.count_nonzero(counts)
    if min(math.ceil(share * len(split)), math.floor((1 - share) * len(split))) < classes:
        few = f"{option} {share:g} of {len(split):,} images leaves one side fewer images than there are classes"
        raise Problem(f"{title}: {few}, {classes}; add images, or give another {option}")
    remaining, cut = train_test_split(rows, test_size=share, stratify=split.labels, random_state=SEED)
    return split.take(remaining), split.take(cut)
