"""A folder in which TFDS, TensorFlow Datasets, prepared a data set."""

from pathlib import Path

import numpy as np

from classify.command import Problem
from classify.data.dataset import Source, Split


def source(folder, option=None):
    """Return the ``Source`` of a folder that TFDS prepared.

    Args:
        folder: the one with ``dataset_info.json`` in it. Each example has an image and a class label.
        option: what ``--data`` takes to find it again; None is the folder's path.

    Raises:
        Problem: TFDS did not prepare the folder, or its data set has no labelled images of one size.
    """
    if not (folder / "dataset_info.json").is_file():
        raise Problem(f"{folder} is not a folder that TFDS prepared: it has no dataset_info.json")
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
        features = builder.info.features
        image = next(name for name, kind in features.items() if isinstance(kind, tfds.features.Image))
        label = next(name for name, kind in features.items() if isinstance(kind, tfds.features.ClassLabel))
        shape = features[image].shape
        class_names = tuple(features[label].names)
    except Exception as error:  # whatever TFDS raises on a folder of unknown content
        raise Problem(f"{folder} is not a data set of images with one class label each that TFDS prepared") from error
    if None in shape[:2]:
        raise Problem(f"the images in {folder} differ in size; images of one size are needed")

    def read(split):
        return _read(builder, split, image, label, shape)

    where = f"TFDS, {short_path(folder)}"
    return Source(builder.name, option or str(folder.resolve()), where, class_names, tuple(builder.info.splits), read)


def short_path(path):
    """Return an absolute path as text, with ~ for the home folder."""
    path = Path(path).absolute()
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


def _read(builder, split, image, label, shape):
    """Decode a split in parallel batches, straight into one array: 50,000 CIFAR-10 images take about two seconds."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def decode(batch):
        images = tf.map_fn(
            lambda file: tf.io.decode_image(file, channels=3, expand_animations=False),
            batch[image],
            fn_output_signature=tf.TensorSpec((*shape[:2], 3), tf.uint8),
        )
        return images, batch[label]

    n = builder.info.splits[split].num_examples
    images, labels = np.empty((n, *shape[:2], 3), "uint8"), np.empty(n, "int64")
    done = 0
    try:
        files = builder.as_dataset(split=split, decoders={image: tfds.decode.SkipDecoding()}, batch_size=1024)
        for decoded, classes in files.map(decode, num_parallel_calls=tf.data.AUTOTUNE):
            rows = slice(done, done + len(classes))
            images[rows], labels[rows] = decoded, classes
            done += len(classes)
    except (tf.errors.OpError, AssertionError, OSError, ValueError) as error:
        raise Problem(f"{builder.data_path}: the {split} split cannot be read; prepare it anew") from error
    if done != n:
        raise Problem(f"{builder.data_path}: the {split} split has {done} of its {n} images; prepare it anew")
    return Split(images, labels)
