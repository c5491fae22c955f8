"""A folder in which TFDS, TensorFlow Datasets, prepared a data set."""

import contextlib
import functools
import hashlib
import io
import os
import re
from pathlib import Path

import numpy as np

from classify.command import Problem, note, printable
from classify.data import decoding, pictures, store
from classify.data.dataset import Source, Split

# Words in the names of data sets that show digits or letters. A mirrored 2 is no 2.
CHARACTERS = {"digits", "mnist", "emnist", "kmnist", "qmnist", "svhn", "omniglot", "cmaterdb"}
NUMBERED = re.compile(rb"(.*_)(\d{1,18})", re.DOTALL)  # an ``id`` as TFDS makes it of a split and an index: train_16399
LOOKED_AT = 200  # images whose size is read to know the typical one


def data_folder(data_dir=None):
    """Return the folder where TFDS prepares data sets; ``data_dir`` is the one that the user gave, or None."""
    return Path(os.path.expanduser(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"))


def source(folder, option=None, label=None):
    """Return the ``Source`` of a folder that TFDS prepared.

    Args:
        folder: the one with ``dataset_info.json`` in it. Each example has an image and a class label.
        option: what ``--data`` takes to find it again; None is the folder's path.
        label: the name of the class label, for a data set that has several; None is the one that TFDS calls the
            supervised one, or the only one.

    Raises:
        Problem: TFDS did not prepare the folder, or its data set has no labelled images, or there are several images
            or labels and nothing says which to take.
    """
    place = printable(folder)
    if not (folder / "dataset_info.json").is_file():
        raise Problem(f"{place} is not a folder that TFDS prepared: it has no dataset_info.json")
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
        splits = tuple(builder.info.splits)
    except Exception as error:  # whatever TFDS raises on a folder of unknown content
        raise Problem(f"{place} is not a data set that TFDS prepared") from error
    image, label = choose(builder, place, label)
    shape = builder.info.features[image].shape
    if None in shape[:2]:
        read, shape, side = functools.partial(_stored, builder, image, label), None, _typical_side(builder, image)
    else:
        read, shape, side = functools.partial(_read, builder, image, label), shape[:2], min(shape[:2])
    return Source(
        "-".join(filter(None, (builder.name, builder.info.config_name))),
        option or str(folder.resolve()),
        f"TFDS, {short_path(folder)}",
        tuple(builder.info.features[label].names),
        splits,
        read,
        mirror=not shows_characters(builder.name),
        shape=shape,
        side=side,
    )


def choose(builder, place, label=None):
    """Return the names of the image and of the class label in a data set's examples.

    Args:
        builder: what TFDS knows of it.
        place: what it is called in a message.
        label: as in ``source``.

    Raises:
        Problem: as in ``source``.
    """
    import tensorflow_datasets as tfds

    try:
        features, supervised = builder.info.features, builder.info.supervised_keys or ()
        images = [name for name in sorted(features) if isinstance(features[name], tfds.features.Image)]
        labels = [name for name in sorted(features) if isinstance(features[name], tfds.features.ClassLabel)]
    except Exception as error:  # whatever TFDS raises on features of another kind
        raise Problem(f"{place} is not a data set of images") from error
    if not images or not labels:
        raise Problem(f"{place} is not a data set of images with one class label each that TFDS prepared")
    if label is None:
        label = _chosen(labels, supervised, f"{place} has several class labels, choose one by --label")
    elif label not in labels:
        raise Problem(f"{place} has no class label {printable(label)}; it has {printable(', '.join(labels))}")
    image = _chosen(images, supervised, f"{place} has several images an example, and does not say which to take")
    if features[image].np_dtype == np.float32:  # TFDS stores such a number as the four bytes of a pixel
        raise Problem(f"the images in {place} are of float32 numbers; images of whole numbers are needed")
    return image, label


def _chosen(names, supervised, several):
    """Return the feature that TFDS's supervised keys name, or the only one; else raise a ``Problem`` that names all."""
    candidates = [name for name in names if name in supervised] or names
    if len(candidates) > 1:
        raise Problem(f"{several}: {printable(', '.join(candidates))}")
    return candidates[0]


def shows_characters(name):
    """Return whether a data set of this name is known to show digits or letters."""
    return not CHARACTERS.isdisjoint(name.split("_")) and name != "fashion_mnist"


def short_path(path):
    """Return an absolute path as a line of text, with ~ for the home folder."""
    path = Path(path).absolute()
    return printable(f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else path)


def _read(builder, image, label, split, size=None):
    """Decode a split of images of one shape in parallel batches, straight into one array.

    50,000 CIFAR-10 images take about two seconds. TFDS shuffles what it prepares. The images come back in the order of
    their ids, if these number them: such an id is the image's index in the original archive.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    features = builder.info.features
    shape = features[image].shape

    def decode(batch):
        images = tf.map_fn(
            lambda file: tf.io.decode_image(file, channels=3, expand_animations=False),
            batch[image],
            fn_output_signature=tf.TensorSpec((*shape[:2], 3), tf.uint8),
        )
        return images, batch[label], batch["id"] if has_ids else ()

    has_ids = "id" in features and isinstance(features["id"], tfds.features.Text)
    n = builder.info.splits[split].num_examples
    try:
        images, labels = np.empty((n, *shape[:2], 3), "uint8"), np.empty(n, "int64")
    except (MemoryError, ValueError) as error:
        needed = n * shape[0] * shape[1] * 3 / 1e9
        place = printable(builder.data_path)
        raise Problem(f"{place}: the {split} split needs {needed:,.0f} GB of memory") from error
    ids, done = [], 0
    with _refusing(builder, split):
        files = _encoded(builder, split, image, batch_size=1024)
        for decoded, classes, batch_ids in files.map(decode, num_parallel_calls=tf.data.AUTOTUNE):
            rows = slice(done, done + len(classes))
            images[rows], labels[rows] = decoded, classes
            ids += list(np.asarray(batch_ids))
            done += len(classes)
    _check_whole(builder, split, done, n)
    order = _order(ids)
    return Split(images, labels) if order is None else Split(images, labels).take(order)


def _encoded(builder, split, image, **options):
    """Return the examples of a split as a ``tf.data.Dataset``, their images as the bytes of picture files."""
    import tensorflow_datasets as tfds

    return builder.as_dataset(split=split, decoders={image: tfds.decode.SkipDecoding()}, **options)


@contextlib.contextmanager
def _refusing(builder, split):
    """Turn what damaged files raise when they are read into a ``Problem``."""
    import tensorflow as tf

    try:
        yield
    except (tf.errors.OpError, AssertionError, OSError, ValueError, NotImplementedError, ImportError) as error:
        place = printable(builder.data_path)
        raise Problem(f"{place}: the {split} split cannot be read; prepare it anew, as tfrecord files") from error


def _check_whole(builder, split, read, expected):
    if read != expected:
        place = printable(builder.data_path)
        raise Problem(f"{place}: the {split} split has {read} of its {expected} images; prepare it anew")


def _order(ids):
    """Return the rows in the order of the numbers in their ids, or None if the ids do not number the images."""
    matches = [NUMBERED.fullmatch(identifier) for identifier in ids]
    if not all(matches) or len({match[1] for match in matches}) != 1:
        return None
    numbers = np.array([int(match[2]) for match in matches])
    return np.argsort(numbers) if len(np.unique(numbers)) == len(ids) else None


def _stored(builder, image, label, split, size):
    """Return a split of images of many sizes from its store, where each is a square of ``size`` pixels a side."""

    def items(first, last):
        with _refusing(builder, split):
            part = _encoded(builder, f"{split}[{first}:{last}]", image)
            examples = [(example[image], int(example[label])) for example in part.as_numpy_iterator()]
        _check_whole(builder, split, len(examples), last - first)
        return examples

    def read(example):
        content, class_label = example
        try:
            return pictures.load(io.BytesIO(content), size, size), {"label": class_label}
        except Problem:
            return None, {"label": class_label, "problem": "cannot be read"}

    folder = store.ROOT / f"{builder.name}-{split}-{size}-{_key(builder, split, size)}"
    count = builder.info.splits[split].num_examples
    images, facts = store.make(folder, count, items, read, size, f"decoding {count:,} images")
    readable = np.flatnonzero(np.fromiter(("problem" not in fact for fact in facts), bool, count))
    if len(readable) < count:
        note(f"{count - len(readable):,} of the {count:,} images of the {split} split cannot be read; left out")
    return Split(images, np.fromiter((fact["label"] for fact in facts), "int64", count)).take(readable)


def _key(builder, split, size):
    """Return the part of a store's name that stands for the files that it was made from and their use."""
    lines = [f"{Path(builder.data_path).resolve()}\0{split}\0{size}\0{decoding.REDUCTION}"]
    for file in sorted(Path(builder.data_path).iterdir()):
        lines.append(f"{file.name}\0{file.stat().st_size}\0{file.stat().st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _typical_side(builder, image):
    """Return the shorter side, in pixels, that half of the first images reach."""
    split = next(iter(builder.info.splits))
    with _refusing(builder, split):
        examples = _encoded(builder, split, image).take(LOOKED_AT).as_numpy_iterator()
        return pictures.typical_side(io.BytesIO(example[image]) for example in examples)
