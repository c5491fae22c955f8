"""What one training step sees: a shuffled, augmented batch."""

import math

import numpy as np

from classify.training.augmentation import augment, jitter

PURPOSES = "order", "shifts", "mirrors", "mirrored features", "jitter"  # of random numbers


class Batches:
    """The training images in batches, shuffled anew and augmented in each epoch.

    ``batch(epoch, step)`` depends on its two numbers and the seed alone. So nothing of the input needs saving to
    resume a run, and any thread may make any batch. Each epoch shows all images: batches differ in size by at most one.

    Args:
        split: a ``Split`` of the training images.
        classes: the number of classes.
        batch_size: the largest number of images in a batch.
        seed: a whole number.
        augment: whether to mirror and shift, and to change brightness and contrast by ``jitter``.
        mirror: whether images of this data set may be mirrored. Half of them, drawn once, are mirrored in the first
            epoch and the other half in the next, in turn, so that two epochs show each image both ways. Mirroring
            at random repeats itself half of the time (Jordan 2024, arXiv:2404.00498).
        jitter: how much, 0 to 1, as ``augmentation.jitter`` takes it.
        label_smoothing: the share of each label that is spread evenly over all classes (Szegedy et al. 2015,
            arXiv:1512.00567), so that a network gains nothing by being ever more certain.
        class_weight: ``"balanced"`` to give each image the weight n / (classes * images of its class), so that rare
            classes count as much as frequent ones; None to weigh nothing. (Keras's own ``class_weight`` does not work
            with a stream of batches.)
    """

    def __init__(
        self,
        split,
        classes,
        batch_size,
        seed=0,
        augment=True,
        mirror=True,
        jitter=0.0,
        label_smoothing=0.0,
        class_weight=None,
    ):
        self.split = split
        self.classes = classes
        self.batch_size = batch_size
        self.num_batches = math.ceil(len(split) / batch_size)
        self.seed = seed
        self.augment = augment
        self.jitter = jitter
        mirrored_first = random_stream("mirrors", seed).random(len(split)) < 0.5
        self.mirrored_first = mirrored_first if mirror else None
        self.label_smoothing = label_smoothing
        self.weights = None
        if class_weight:
            from sklearn.utils.class_weight import compute_sample_weight

            self.weights = compute_sample_weight(class_weight, split.labels).astype("float32")
        self._shuffled = None, None

    def batch(self, epoch, step, part=slice(None)):
        """Return (images, labels) of a step in an epoch, both counted from 0; and weights, if classes have them.

        ``part`` is a slice: which of the batch's images are returned. They are those of the whole batch to the bit.

        Images are uint8 of shape (N, H, W, 3), labels float32 rows that sum to 1, of shape (N, classes), weights
        float32 of shape (N,).
        """
        whole = self.rows(epoch, step)
        rows = whole[part]
        images = self.split.images[rows]
        if self.augment:
            rng = random_stream("shifts", self.seed, epoch, step)
            images = augment(images, rng, self.mirrored(epoch, rows), part=(part, len(whole)))
            if self.jitter:
                rng = random_stream("jitter", self.seed, epoch, step)
                images = jitter(images, rng, self.jitter, part=(part, len(whole)))
        labels = self.smoothed_labels(rows)
        return (images, labels) if self.weights is None else (images, labels, self.weights[rows])

    def rows(self, epoch, step):
        """Return which training images a batch shows, int of shape (N,)."""
        shuffled, batches = self._shuffled  # kept for an epoch: to shuffle for each batch would take as long as it
        if shuffled != epoch:
            order = random_stream("order", self.seed, epoch).permutation(len(self.split))
            batches = np.array_split(order, self.num_batches)
            self._shuffled = epoch, batches
        return batches[step]

    def mirrored(self, epoch, rows):
        """Return which of these training images are mirrored in an epoch, bool of shape (N,), or None for none."""
        return None if self.mirrored_first is None else self.mirrored_first[rows] ^ (epoch % 2 == 1)

    def smoothed_labels(self, rows):
        labels = one_hot(self.split.labels[rows], self.classes)
        return labels * (1 - self.label_smoothing) + self.label_smoothing / self.classes


def random_stream(purpose, seed, epoch=0, step=0):
    """Return a ``numpy.random.Generator`` that no other purpose, seed, epoch or step shares.

    Always of four numbers: NumPy fills up fewer with zeros, so that (7, 3) and (7, 3, 0) would be one stream.
    """
    return np.random.default_rng((seed, epoch, step, 1 + PURPOSES.index(purpose)))


def one_hot(labels, classes):
    """Return labels of shape (N,) as float32 rows of shape (N, classes)."""
    return np.eye(classes, dtype="float32")[labels]
