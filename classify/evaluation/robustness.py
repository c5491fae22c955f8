"""How accurate a model stays on corrupted images."""

import numpy as np

from classify.evaluation.corruptions import CORRUPTIONS
from classify.inference.predictor import predict
from classify.progress import bar

SEVERITIES = range(1, 6)


class Corrupted:
    """Images under one corruption, made a slice at a time as they are read, so that no copy of them all is held.

    A slice's noise depends on where the slice begins alone: the same for each model, and at each severity the same
    pattern at another strength.
    """

    def __init__(self, images, corruption, severity):
        self.images, self.corruption, self.severity = images, corruption, severity

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        return CORRUPTIONS[self.corruption](self.images[rows], self.severity, np.random.default_rng(rows.start))


def sample(split, n):
    """Return ``n`` images of a ``Split``, always the same ones; all of them if it has fewer."""
    return split.take(np.sort(np.random.default_rng(0).permutation(len(split))[:n]))


def measure(model, split, name):
    """Return a model's accuracy on a ``Split`` under each corruption at each severity, with a bar that bears ``name``.

    ``corruptions`` holds five ``accuracies`` each, of severity 1 to 5, and their ``mean``; ``mean`` is that of all,
    with its 95 % ``interval``, normal, over images. ``clean`` is the accuracy on the ``n`` images as they are.
    """
    found = {corruption: [] for corruption in CORRUPTIONS}
    conditions = [(corruption, severity) for corruption in CORRUPTIONS for severity in SEVERITIES]
    shares = np.zeros(len(split))  # of the conditions under which an image is classified rightly
    for corruption, severity in bar(conditions, f"{name}, corrupted"):
        right = _right(model, Corrupted(split.images, corruption, severity), split.labels)
        found[corruption].append(float(right.mean()))
        shares += right / len(conditions)
    mean, half = shares.mean(), 1.959964 * shares.std() / np.sqrt(len(split))
    return {
        "n": len(split),
        "clean": float(_right(model, split.images, split.labels).mean()),
        "corruptions": {name: {"accuracies": each, "mean": float(np.mean(each))} for name, each in found.items()},
        "mean": float(mean),
        "interval": [float(max(0, mean - half)), float(min(1, mean + half))],
    }


def _right(model, images, labels):
    return predict(model, images, doing=None).argmax(axis=1) == labels
