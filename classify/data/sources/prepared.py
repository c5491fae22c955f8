"""A folder in which TFDS, TensorFlow Datasets, prepared a data set."""

import re
from pathlib import Path

import numpy as np

from classify.command import Problem, printable
from classify.data.dataset import Source, Split

# Words in the names of data sets that show digits or letters. A mirrored 2 is no 2.
CHARACTERS = {"digits", "mnist", "emnist", "kmnist", "qmnist", "svhn", "omniglot", "cmaterdb"}
NUMBERED = re.compile(rb"(.*_)(\d{1,18})", re.DOTALL)  # an ``id`` as TFDS makes it of a split and an index: train_16399


def source(folder, option=None, label=None):
    """Return the ``Source`` of a folder that TFDS prepared.

    Args:
        folder: the one with ``dataset_info.json`` in it. Each example has an image and a class label.
        option: what ``--data`` takes to find it again; None is the folder's path.
        label: the name of the class label, for a data set that has several; None is the one that TFDS calls the
            supervised one, or the only one.

    Raises:
        Problem: TFDS did not prepare the folder, or its data set has no labelled images of one size, or there are
            several images or labels and nothing says which to take.
    """
    place = printable(folder)
    if not (folder / "dataset_info.json").is_file():
        raise Problem(f"{place} is not a folder that TFDS prepared: it has no dataset_info.json")
    import tensorflow_datasets as tfds

    unusable = f"{place} is not a data set of images with one class label each that TFDS prepared"
    try:
        builder = tfds.builder_from_directory(folder)
        features, splits = builder.info.features, tuple(builder.info.splits)
        supervised = builder.info.supervised_keys or ()
        images = [name for name in sorted(features) if isinstance(features[name], tfds.features.Image)]
        labels = [name for name in sorted(features) if isinstance(features[name], tfds.features.ClassLabel)]
    except Exception as error:  # whatever TFDS raises on a folder of unknown content
        raise Problem(unusable) from error
    if not images or not labels:
        raise Problem(unusable)
    if label is None:
        label = _chosen(labels, supervised, f"{place} has several class labels, choose one by --label")
    elif label not in labels:
        raise Problem(f"{place} has no class label {printable(label)}; it has {printable(', '.join(labels))}")
    image = _chosen(images, supervised, f"{place} has several images an example, and does not say which to take")
    shape, dtype = features[image].shape, features[image].np_dtype
    if None in shape[:2]:
        raise Problem(f"the images in {place} differ in size; images of one size are needed")
    if dtype == np.float32:  # TFDS stores such a number as the four bytes of a pixel
        raise Problem(f"the images in {place} are of float32 numbers; images of whole numbers are needed")

    def read(split, size=None):
        return _read(builder, split, image, label, shape)

    where, mirror = f"TFDS, {short_path(folder)}", not _shows_characters(builder.name)
    class_names = tuple(features[label].names)
    option = option or str(folder.resolve())
    return Source(builder.name, option, where, class_names, splits, read, mirror, shape[:2], min(shape[:2]))


def _chosen(names, supervised, several):
    """Return the feature that TFDS's supervised keys name, or the only one; else raise a ``Problem`` that names all."""
    candidates = [name for name in names if name in supervised] or names
    if len(candidates) > 1:
        raise Problem(f"{several}: {printable(', '.join(candidates))}")
    return candidates[0]


def _shows_characters(name):
    """Return whether a data set of this name is known to show digits or letters."""
    return not CHARACTERS.isdisjoint(name.split("_")) and name != "fashion_mnist"


def short_path(path):
    """Return an absolute path as a line of text, with ~ for the home folder."""
    path = Path(path).absolute()
    return printable(f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else path)


def _read(builder, split, image, label, shape):
    """Decode a split in parallel batches, straight into one array: 50,000 CIFAR-10 images take about two seconds.

    TFDS shuffles what it prepares. The images come back in the order of their ids, if these number them: such an id is
    the image's index in the original archive.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def decode(batch):
        images = tf.map_fn(
            lambda file: tf.io.decode_image(file, channels=3, expand_animations=False),
            batch[image],
            fn_output_signature=tf.TensorSpec((*shape[:2], 3), tf.uint8),
        )
        return images, batch[label], batch["id"] if has_ids else ()

    features, place = builder.info.features, printable(builder.data_path)
    has_ids = "id" in features and isinstance(features["id"], tfds.features.Text)
    n = builder.info.splits[split].num_examples
    try:
        images, labels = np.empty((n, *shape[:2], 3), "uint8"), np.empty(n, "int64")
    except (MemoryError, ValueError) as error:
        needed = n * shape[0] * shape[1] * 3 / 1e9
        raise Problem(f"{place}: the {split} split needs {needed:,.0f} GB of memory") from error
    ids, done = [], 0
    try:
        files = builder.as_dataset(split=split, decoders={image: tfds.decode.SkipDecoding()}, batch_size=1024)
        for decoded, classes, batch_ids in files.map(decode, num_parallel_calls=tf.data.AUTOTUNE):
            rows = slice(done, done + len(classes))
            images[rows], labels[rows] = decoded, classes
            ids += list(np.asarray(batch_ids))
            done += len(classes)
    except (tf.errors.OpError, AssertionError, OSError, ValueError, NotImplementedError, ImportError) as error:
        raise Problem(f"{place}: the {split} split cannot be read; prepare it anew, as tfrecord files") from error
    if done != n:
        raise Problem(f"{place}: the {split} split has {done} of its {n} images; prepare it anew")
    order = _order(ids)
    return Split(images, labels) if order is None else Split(images, labels).take(order)


def _order(ids):
    """Return the rows in the order of the numbers in their ids, or None if the ids do not number the images."""
    matches = [NUMBERED.fullmatch(identifier) for identifier in ids]
    if not all(matches) or len({match[1] for match in matches}) != 1:
        return None
    numbers = np.array([int(match[2]) for match in matches])
    return np.argsort(numbers) if len(np.unique(numbers)) == len(ids) else None
