"""Numbers from (labels, probabilities)."""

import itertools

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support


def measure(labels, probabilities, class_names):
    """Return what ``metrics.json`` holds about one model's predictions on one split.

    Args:
        labels: true classes, whole numbers of shape (N,).
        probabilities: softmax rows of shape (N, classes).
        class_names: one name a class.

    Precision, recall and F1 are scikit-learn's; a class that is never predicted has precision 0. ``macro`` is the
    mean over classes, ``weighted`` weights it by each class's number of images. ``loss`` is the mean
    cross-entropy in nats.
    """
    classes = np.arange(len(class_names))
    probabilities = np.asarray(probabilities, "float64")
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)  # float32 rows sum to 1 within 1e-7 only
    predicted = np.argmax(probabilities, axis=1)
    correct = int(np.sum(predicted == labels))

    def scores(average):
        values = precision_recall_fscore_support(labels, predicted, labels=classes, average=average, zero_division=0)
        return dict(zip(("precision", "recall", "f1", "support"), values, strict=True))

    each, means = scores(None), {average: scores(average) for average in ("macro", "weighted")}
    return {
        "n": len(labels),
        "accuracy": correct / len(labels),
        "accuracy_interval": list(wilson_interval(correct, len(labels))),
        "loss": float(log_loss(labels, probabilities, labels=classes)),
        **{
            average: {key: float(values[key]) for key in ("precision", "recall", "f1")}
            for average, values in means.items()
        },
        "per_class": {
            name: {key: values[i].item() for key, values in each.items()} for i, name in enumerate(class_names)
        },
        "confusion_matrix": confusion_matrix(labels, predicted, labels=classes).tolist(),
        "class_names": list(class_names),
    }


def wilson_interval(successes, n, z=1.959964):
    """Return the (low, high) of Wilson's score interval of a share, 95 % by default.

    Wilson, E. B. (1927), Journal of the American Statistical Association 22, 209-212. Unlike the normal
    approximation it stays within 0 to 1 and is right near both.
    """
    share = successes / n
    centre = share + z * z / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return float((centre - half) / scale), float((centre + half) / scale)


def compare(labels, predicted, other, class_names):
    """Return how much more accurate one model's predictions are than another's on the same images, and how surely.

    Args:
        labels, predicted, other: true classes and two models' answers, whole numbers of shape (N,).
        class_names: one name a class.

    ``difference`` is in accuracy, ``interval`` its 95 % interval: Wald's for paired shares with half an image added to
    each cell, after Agresti & Min (2005), Statistics in Medicine 24, 729-740. ``p`` is McNemar's exact test: the
    chance that the images on which only one of the two is right are split so unevenly if both are equally good.
    ``recall`` is the difference a class.
    """
    right, other_right = predicted == labels, other == labels
    gains, losses, n = int(np.sum(right & ~other_right)), int(np.sum(~right & other_right)), len(labels)
    middle = (gains - losses) / (n + 2)
    half = 1.959964 * np.sqrt(gains + losses + 1 - (n + 2) * middle**2) / (n + 2)
    classes = [(name, labels == index) for index, name in enumerate(class_names)]
    return {
        "difference": (gains - losses) / n,
        "interval": [float(middle - half), float(middle + half)],
        "p": float(binomtest(gains, gains + losses).pvalue) if gains + losses else 1.0,
        "only_first_right": gains,
        "only_second_right": losses,
        "recall": {name: float(right[of].mean() - other_right[of].mean()) for name, of in classes if of.any()},
    }


def calibration(labels, probabilities, bins=15):
    """Return how far a model's confidence, the probability of its answer, can be believed.

    Args:
        labels: true classes, whole numbers of shape (N,).
        probabilities: softmax rows of shape (N, classes).
        bins: how many bins of equal width confidence is sorted into; each holds its upper edge.

    ``ece`` is the expected calibration error, the mean over images of the distance between confidence and accuracy
    within their bin: Guo et al. (2017), arXiv:1706.04599. ``brier`` is the mean squared distance between
    probabilities and the truth, summed over classes, 0 to 2: Brier (1950), Monthly Weather Review 78, 1-3. ``nll``
    is the mean cross-entropy in nats. ``confidence`` and ``accuracy`` of a bin without images are None.
    """
    probabilities = np.asarray(probabilities, "float64")
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)  # float32 rows sum to 1 within 1e-7 only
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    edges = list(itertools.pairwise(np.linspace(0, 1, bins + 1)))
    of_bin = [np.flatnonzero((confidence > low) & (confidence <= high)) for low, high in edges]
    truth = np.eye(probabilities.shape[1])[labels]
    return {
        "nll": float(log_loss(labels, probabilities, labels=np.arange(probabilities.shape[1]))),
        "ece": float(sum(abs(right[rows].sum() - confidence[rows].sum()) for rows in of_bin) / len(labels)),
        "brier": float(((probabilities - truth) ** 2).sum(axis=1).mean()),
        "bins": [
            {
                "low": float(low),
                "high": float(high),
                "confidence": float(confidence[rows].mean()) if len(rows) else None,
                "accuracy": float(right[rows].mean()) if len(rows) else None,
                "count": len(rows),
            }
            for (low, high), rows in zip(edges, of_bin, strict=True)
        ],
    }
