"""Out-of-distribution pictures, which show none of a model's classes: how unsure it is, and when it must say so.

Two things are looked at: how far the model spreads its probabilities over the classes, and how unlike the pictures that
it was trained on the picture is, whatever it shows. A network is often certain of its answer to noise, to a page of
text or to a blank picture; brightness and contrast give them away.
"""

import numpy as np

from classify.command import Problem

ENTROPY = "generalized entropy"  # alone, in older runs
SCORE = "generalized entropy and picture statistics"
GAMMA = 0.1  # the paper's own
SHARE = 0.05  # of the validation images, which do show one of the classes, that count as unsure
SIZE = 32  # pixels a side, about, at which a picture's statistics are computed: finer detail is the camera's
SCALES = 4  # squares of 2, 4, 8 and 16 of these pixels
DARK = 1e-4  # of the range squared: what differs less than two or three grey values is called even
NARROW = 1e-3  # added to each variance, for data in which a statistic is always the same
PICTURE = 0.5  # how much the picture counts beside the answer: with more, fewer wrong answers are called unsure
MOST = 5000  # images are enough to know the statistics by
BATCH_SIZE = 50


def generalized_entropy(probabilities):
    """Return how unsure a model is of each prediction, of shape (N,): 0 where it is certain, and larger the less it is.

    Args:
        probabilities: softmax rows of shape (N, classes).

    It is the sum of p^0.1 (1 - p)^0.1 over the classes: Liu, Lochman & Zach (2023), GEN: Pushing the Limits of
    Softmax-Based Out-of-Distribution Detection, CVPR. Unlike the largest probability alone it also sees how the rest is
    spread. Unlike the energy it needs no logits. ``benchmarks/ood.py`` compares the three.
    """
    p = np.clip(np.asarray(probabilities, "float64"), 0, 1)
    rest, best = 1 - p, (np.arange(len(p)), p.argmax(axis=1))
    others = p.copy()
    others[best] = 0
    rest[best] = others.sum(axis=1)  # near 1, float32 is too coarse for the difference, and its power feels it
    return ((p * rest) ** GAMMA).sum(axis=1)


def statistics(images):
    """Return what a picture is like, whatever it shows: float64 of shape (N, 3 + 2 x scales).

    Args:
        images: RGB pixels, 0 to 255, of shape (N, H, W, 3).

    These are its mean brightness, how much redder and bluer than grey it is, and for each scale the logarithm of how
    much brightness and colour differ within squares: the energy of a Haar wavelet.
    """
    rgb = _squares(np.asarray(images, "float64") / 255, max(1, min(images.shape[1:3]) // SIZE)).mean(axis=(2, 4))
    grey = rgb.mean(axis=3, keepdims=True)
    values = np.concatenate([grey, rgb - grey], axis=3)
    columns = [values[..., channel].mean(axis=(1, 2)) for channel in (0, 1, 3)]
    for _ in range(min(SCALES, int(np.log2(min(values.shape[1:3]))))):
        squares = _squares(values, 2)
        values = squares.mean(axis=(2, 4))
        energy = ((squares - values[:, :, None, :, None]) ** 2).mean(axis=(1, 2, 3, 4))
        columns += [np.log(energy[:, 0] + DARK), np.log(energy[:, 1:].sum(axis=1) + DARK)]
    return np.stack(columns, axis=1)


def _squares(values, side):
    """Cut (N, H, W, channels) into squares, (N, rows, side, columns, side, channels), and leave out what is over."""
    n, height, width, channels = values.shape
    rows, columns = height // side, width // side
    return values[:, : rows * side, : columns * side].reshape(n, rows, side, columns, side, channels)


def typical(images):
    """Return what the statistics of a model's training images are like, for ``make_rule``.

    It is a dictionary of their ``mean``, of shape (K,), and of ``precision``, of shape (K, K), the inverse of their
    covariance: lists, rounded, for JSON.

    Args:
        images: the ``Images`` it was trained on, at least one.
    """
    rows = np.unique(np.linspace(0, len(images) - 1, MOST).astype(int))  # of all parts: they may be sorted by class
    values = _of_all(images, rows)
    mean = values.mean(axis=0)
    covariance = (values - mean).T @ (values - mean) / len(values) + NARROW * np.eye(len(mean))
    return {"mean": _rounded(mean), "precision": _rounded(np.linalg.inv(covariance))}


def _of_all(images, rows):
    """Return the statistics of some rows of ``Images``, read in batches."""
    starts = range(0, len(rows), BATCH_SIZE)
    return np.concatenate([statistics(images[rows[first : first + BATCH_SIZE]]) for first in starts])


def _rounded(values):
    return [_rounded(row) if np.ndim(row) else float(f"{row:.5g}") for row in values]


def distance(values, known):
    """Return how far statistics, of shape (N, K), lie from those in ``typical``'s ``known``: Mahalanobis's distance."""
    apart = values - np.array(known["mean"])
    return np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", apart, np.array(known["precision"]), apart), 0))


def make_rule(probabilities, images=None, known=None):
    """Return run.json's ``unsure`` entry: the score's name, what it needs, and the value that 5 % of the images exceed.

    The score is the generalized entropy plus ``weight`` times the distance, so weighted that the standard deviation of
    the second part is ``PICTURE`` times that of the first.

    Args:
        probabilities: the model's softmax rows for the validation images, which it was not trained on, of shape
            (N, classes). When the model's probabilities are calibrated, the rule must be made anew.
        images: these ``Images``.
        known: ``typical`` of the training images; None for a rule of the entropy alone, as older runs have it.
    """
    scores, rule = generalized_entropy(probabilities), {"score": ENTROPY}
    if known:
        far = distance(_of_all(images, np.arange(len(images))), known)
        weight = PICTURE * float(scores.std() / far.std()) if far.std() else 0.0
        scores, rule = scores + weight * far, {"score": SCORE, "weight": weight}
    rule["threshold"] = float(np.quantile(scores, 1 - SHARE))
    return rule | ({key: known[key] for key in ("mean", "precision")} if known else {})


def known(rule):
    """Return what ``typical`` gave for the run whose ``unsure`` entry is ``rule``; None where it has no such part."""
    return {key: rule[key] for key in ("mean", "precision")} if rule and "mean" in rule else None


def unsure(probabilities, images, rule):
    """Return a list that says of each prediction whether it is unsure, True or False; None where there is no rule.

    Args:
        probabilities: softmax rows of shape (N, classes).
        images: what they are of: RGB pixels, 0 to 255, of shape (N, H, W, 3).
        rule: run.json's ``unsure`` entry, or None if it has none.

    Raises:
        Problem: the rule was made for images of another size.
    """
    if not rule or rule["score"] not in (ENTROPY, SCORE):
        return [None] * len(probabilities)
    scores = generalized_entropy(probabilities)
    if "mean" in rule:
        values = statistics(images)
        if values.shape[1] != len(rule["mean"]):
            raise Problem("the statistics in its entry unsure are not those of pictures of its size")
        scores = scores + rule["weight"] * distance(values, rule)
    return (scores > rule["threshold"]).tolist()
