"""What one training step sees: a shuffled, augmented batch."""

import math

import numpy as np
import tensorflow as tf

from classify.training.augmentation import augment


class Batches:
    """The training images in batches, shuffled anew and augmented in each epoch.

    A batch is a function of (seed, epoch, step) alone, so nothing of the input needs saving to resume a run,
    and any thread may make it. All images are seen in each epoch: batches differ in size by at most one image.

    Args:
        split: a ``Split``.
        classes: the number of classes.
        batch_size: the largest number of images in a batch.
        seed: a whole number.
        augment: whether to mirror and shift.
        mirror: whether images of this data set may be mirrored. Half of them, drawn once, are mirrored in the first
            epoch and the other half in the next, in turn, so that two epochs show each image both ways; mirroring
            at random repeats itself half of the time (Jordan 2024, arXiv:2404.00498).
        label_smoothing: the share of each label that is spread evenly over all classes (Szegedy et al. 2015,
            arXiv:1512.00567), so that a network gains nothing by being ever more certain.

    ``batches[step]`` is (images, labels): uint8 of shape (N, H, W, 3), and float32 rows that sum to 1, of shape
    (N, classes).
    """

    def __init__(self, split, classes, batch_size, seed=0, augment=True, mirror=True, label_smoothing=0.0):
        self.split = split
        self.classes = classes
        self.batch_size = batch_size
        self.num_batches = math.ceil(len(split) / batch_size)
        self.seed = seed
        self.augment = augment
        # (seed, epoch) shuffles and (seed, epoch, step) shifts: one word more is a stream of its own.
        mirrored_first = np.random.default_rng((seed, 0, 0, 1)).random(len(split)) < 0.5
        self.mirrored_first = mirrored_first if mirror else None
        self.label_smoothing = label_smoothing
        self.start_epoch(0)

    def start_epoch(self, epoch):
        """Shuffle for ``epoch``, counted from 0. Whoever trains calls this."""
        self.epoch = epoch
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.split))
        self.rows = np.array_split(order, self.num_batches)

    def __getitem__(self, step):
        rows = self.rows[step]
        images = self.split.images[rows]
        if self.augment:
            rng = np.random.default_rng((self.seed, self.epoch, step))
            images = augment(images, rng, self._mirrored(rows))
        return images, self._smooth(one_hot(self.split.labels[rows], self.classes))

    def _mirrored(self, rows):
        return None if self.mirrored_first is None else self.mirrored_first[rows] ^ (self.epoch % 2 == 1)

    def _smooth(self, labels):
        return labels * (1 - self.label_smoothing) + self.label_smoothing / self.classes


def one_hot(labels, classes):
    """Return labels of shape (N,) as float32 rows of shape (N, classes)."""
    return np.eye(classes, dtype="float32")[labels]


def stream(batch, steps):
    """Return a ``tf.data.Dataset`` of ``batch(0)`` to ``batch(steps - 1)`` that makes one while another is used.

    Without tf.data's autotuning, which Keras's own reading of arrays leaves on: its thread sleeps in spans that
    double up to a minute, and the end of an epoch may wait for it to wake, for as long as the epoch took.

    Args:
        batch: a function of the step; returns arrays whose first axis is the batch's.
        steps: the number of batches.
    """
    arrays = batch(0)

    def read(step):
        read_arrays = tf.numpy_function(batch, [step], [array.dtype for array in arrays])
        for tensor, array in zip(read_arrays, arrays, strict=True):
            tensor.set_shape((None, *array.shape[1:]))
        return tuple(read_arrays)

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.range(steps).map(read).prefetch(1).with_options(options)
