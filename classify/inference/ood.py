"""Out-of-distribution pictures, which show none of a model's classes: how unsure it is, and when it must say so."""

import numpy as np

SCORE = "generalized entropy"
GAMMA = 0.1  # the paper's own
SHARE = 0.05  # of the validation images, which do show one of the classes, that count as unsure


def generalized_entropy(probabilities):
    """Return how unsure a model is of each prediction, of shape (N,): 0 where it is certain, and larger the less it is.

    Args:
        probabilities: softmax rows of shape (N, classes).

    It is the sum of p^0.1 (1 - p)^0.1 over the classes: Liu, Lochman & Zach (2023), GEN: Pushing the Limits of
    Softmax-Based Out-of-Distribution Detection, CVPR. Unlike the largest probability alone it also sees how the rest is
    spread. Unlike the energy it needs no logits. ``benchmarks/ood.py`` compares the three.
    """
    p = np.clip(np.asarray(probabilities, "float64"), 0, 1)
    return ((p * (1 - p)) ** GAMMA).sum(axis=1)


def threshold(probabilities):
    """Return run.json's ``unsure`` entry: the score's name, and the value that 5 % of these images exceed.

    Args:
        probabilities: the model's softmax rows for the validation images, which it was not trained on, of shape
            (N, classes). When the model's probabilities are calibrated, the threshold must be computed anew.
    """
    return {"score": SCORE, "threshold": float(np.quantile(generalized_entropy(probabilities), 1 - SHARE))}


def unsure(probabilities, rule):
    """Return a list that says of each prediction whether it is unsure, True or False; None where there is no rule.

    Args:
        probabilities: softmax rows of shape (N, classes).
        rule: run.json's ``unsure`` entry, or None if it has none.
    """
    if not rule or rule["score"] != SCORE:
        return [None] * len(probabilities)
    return (generalized_entropy(probabilities) > rule["threshold"]).tolist()
