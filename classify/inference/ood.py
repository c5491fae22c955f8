"""Pictures of something else: how unsure a model is of an answer, and from where on it must say so."""

import numpy as np

SCORE = "generalized entropy"
GAMMA = 0.1  # the paper's own
SHARE = 0.05  # of the validation images, which do show one of the classes, that are called unsure


def generalized_entropy(probabilities):
    """Return how unsure a model is of each answer: 0 for a certain one, larger the less certain.

    Args:
        probabilities: softmax rows of shape (N, classes).

    The sum of p^0.1 (1 - p)^0.1 over the classes: Liu, Lochman & Zach (2023), GEN: Pushing the Limits of Softmax-Based
    Out-of-Distribution Detection, CVPR. Unlike the largest probability alone it also sees how the rest is spread, and
    unlike the energy it needs no logits. ``benchmarks/outsiders.py`` compares the three.
    """
    p = np.clip(np.asarray(probabilities, "float64"), 0, 1)
    return ((p * (1 - p)) ** GAMMA).sum(axis=1)


def threshold(probabilities):
    """Return run.json's ``unsure`` entry: the score's name, and the value that 5 % of these images exceed.

    Args:
        probabilities: the model's softmax rows for validation images, which it was not trained on: of shape
            (N, classes). They must be computed anew when the model's probabilities are calibrated.
    """
    return {"score": SCORE, "threshold": float(np.quantile(generalized_entropy(probabilities), 1 - SHARE))}


def unsure(probabilities, rule):
    """Return for each softmax row whether its answer is unsure; None for each where there is no rule to tell by.

    Args:
        probabilities: of shape (N, classes).
        rule: run.json's ``unsure`` entry, None if it has none.
    """
    if not rule or rule["score"] != SCORE:
        return [None] * len(probabilities)
    return (generalized_entropy(probabilities) > rule["threshold"]).tolist()
