"""How accurate a model stays on corrupted images."""

import numpy as np

from classify.evaluation.corruptions import CORRUPTIONS
from classify.inference.predictor import predict
from classify.progress import track

SEVERITIES = range(1, 6)


class Corrupted:
    """Images under one corruption, made as they are read, so that no copy of them all is held.

    It has ``len`` and takes rows by an array of indices, as all images here do. The noise depends on the first of the
    rows alone: it is the same for each model, and at each severity the same pattern at another strength.
    """

    def __init__(self, images, corruption, severity):
        self.images, self.corruption, self.severity = images, corruption, severity

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        rng = np.random.default_rng(int(rows[0]))
        return CORRUPTIONS[self.corruption](self.images[rows], self.severity, rng)


def sample(split, n):
    """Return ``n`` images of a ``Split``, always the same ones; all of them if it has fewer."""
    return split.take(np.sort(np.random.default_rng(0).permutation(len(split))[:n]))


def measure(model, split, name):
    """Return a model's accuracy on a ``Split`` under each corruption at each severity, with a bar that bears ``name``.

    ``corruptions`` holds five ``accuracies`` each, of severity 1 to 5, and their ``mean``; ``mean`` is that of all,
    with its 95 % ``interval``, normal, over images. ``clean`` is the accuracy on the ``n`` images as they are.
    """
    accuracies = {corruption: [] for corruption in CORRUPTIONS}
    conditions = [(corruption, severity) for corruption in CORRUPTIONS for severity in SEVERITIES]
    answers = (
        (corruption, _right(model, Corrupted(split.images, corruption, severity), split.labels))
        for corruption, severity in conditions
    )
    shares = np.zeros(len(split))  # of the conditions under which an image is classified rightly
    for corruption, right in track(answers, len(conditions), f"{name}, corrupted", size=lambda answer: 1):
        accuracies[corruption].append(float(right.mean()))
        shares += right / len(conditions)
    mean, half = shares.mean(), 1.959964 * shares.std() / np.sqrt(len(split))
    return {
        "n": len(split),
        "clean": float(_right(model, split.images, split.labels).mean()),
        "corruptions": {
            corruption: {"accuracies": values, "mean": float(np.mean(values))}
            for corruption, values in accuracies.items()
        },
        "mean": float(mean),
        "interval": [float(max(0, mean - half)), float(min(1, mean + half))],
    }


def _right(model, images, labels):
    """Return whether each answer is right, without a bar of its own."""
    return predict(model, images, doing=None).argmax(axis=1) == labels
