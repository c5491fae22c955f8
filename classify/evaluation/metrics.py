"""Numbers from (labels, probabilities)."""

import numpy as np
from scipy.sparse import csr_array
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, confusion_matrix, log_loss, precision_recall_fscore_support

RESAMPLES = 2000  # of a bootstrap: the ends of its interval are then known to a few per cent of its width


def measure(labels, probabilities, class_names):
    """Return what ``metrics.json`` holds about one model's predictions on one split.

    Args:
        labels: true classes, whole numbers of shape (N,).
        probabilities: softmax rows of shape (N, classes).
        class_names: one name a class.

    Precision, recall and F1 are scikit-learn's; a class that is never predicted has precision 0. ``macro`` is the
    mean over the classes that the images show, ``macro_intervals`` its 95 % intervals, ``weighted`` weights it by each
    class's number of images. ``loss`` is the mean cross-entropy in nats.
    """
    classes, shown = np.arange(len(class_names)), np.unique(labels)
    probabilities = _rows_of_one(probabilities)
    predicted = np.argmax(probabilities, axis=1)
    correct = int(np.sum(predicted == labels))

    def scores(average, of):
        values = precision_recall_fscore_support(labels, predicted, labels=of, average=average, zero_division=0)
        return dict(zip(("precision", "recall", "f1", "support"), values, strict=True))

    each = scores(None, classes)
    each["support"] = each["support"].astype(int)  # scikit-learn's are floats where no answer is right
    means = {average: scores(average, shown) for average in ("macro", "weighted")}
    confusion = confusion_matrix(labels, predicted, labels=classes)
    return {
        "n": len(labels),
        "accuracy": correct / len(labels),
        "accuracy_interval": list(wilson_interval(correct, len(labels))),
        "loss": float(log_loss(labels, probabilities, labels=classes)),
        **{
            average: {key: float(values[key]) for key in ("precision", "recall", "f1")}
            for average, values in means.items()
        },
        "macro_intervals": bootstrap_intervals(confusion),
        "per_class": {
            name: {key: values[i].item() for key, values in each.items()} for i, name in enumerate(class_names)
        },
        "confusion_matrix": confusion.tolist(),
        "class_names": list(class_names),
    }


def wilson_interval(successes, n):
    """Return the (low, high) of Wilson's 95 % score interval of a share, both within 0 to 1.

    Wilson, E. B. (1927), Journal of the American Statistical Association 22, 209-212. Unlike the normal
    approximation it is right near 0 and 1 too.
    """
    low, high = binomtest(successes, n).proportion_ci(method="wilson")
    return float(low), float(high)


def bootstrap_intervals(confusion, resamples=RESAMPLES, seed=0):
    """Return the 95 % intervals of macro precision, recall and F1, by the percentile bootstrap.

    Args:
        confusion: numbers of images, whole, of shape (classes, classes), true classes as rows. A class without images
            does not count in the mean.
        resamples: how often as many images are drawn anew, with replacement.
        seed: of the drawing.

    Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13. To draw images is to draw cells of the
    confusion matrix, so the work does not grow with the number of images. Where nothing is wrong the interval has no
    width, unlike Wilson's.
    """
    classes, n = len(confusion), confusion.sum()
    true, predicted = np.nonzero(confusion)
    drawn = np.random.default_rng(seed).multinomial(n, confusion[true, predicted] / n, size=resamples)

    def total(class_of, share=1.0):
        """Sum the drawn images by the class of their cell: shape (resamples, classes)."""
        cells = np.arange(len(true))
        return drawn @ csr_array((np.full(len(true), share), (cells, class_of)), shape=(len(true), classes))

    hits, support, called = total(true, true == predicted), total(true), total(predicted)
    # A class that is missing has no hits, so dividing them by 1 gives the 0 that scikit-learn gives.
    ratios = [hits / np.maximum(images, 1) for images in (called, support, (called + support) / 2)]
    shown = confusion.any(axis=1)
    ends = np.quantile([ratio[:, shown].mean(axis=1) for ratio in ratios], (0.025, 0.975), axis=1)
    return {key: ends[:, i].tolist() for i, key in enumerate(("precision", "recall", "f1"))}


def calibration(labels, probabilities, bins=15):
    """Return how far a model's probabilities can be believed.

    Args:
        labels: true classes, whole numbers of shape (N,).
        probabilities: softmax rows of shape (N, classes).
        bins: how many bins of equal width the confidence, the probability of the predicted class, is cut into.

    ``nll`` is the mean negative log-likelihood in nats, ``brier`` Brier's score as he defined it, the mean over images
    of the squared error summed over classes, 0 to 2 (Brier 1950, Monthly Weather Review 78, 1-3). ``ece`` is the
    expected calibration error: how far confidence and accuracy are apart, mean over bins weighted by their ``count``
    (Guo et al. 2017, arXiv:1706.04599). ``bins`` lists for each bin its bounds, above ``low`` up to and with ``high``,
    and its mean ``confidence`` and ``accuracy``, None where no image falls into it.
    """
    probabilities = _rows_of_one(probabilities)
    classes = np.arange(probabilities.shape[1])
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    bin_of = np.digitize(confidence, edges[1:-1], right=True)
    counts = np.bincount(bin_of, minlength=bins)
    means = [np.bincount(bin_of, values, bins) / np.maximum(counts, 1) for values in (confidence, right)]
    return {
        "nll": float(log_loss(labels, probabilities, labels=classes)),
        "ece": float(np.sum(counts * np.abs(means[0] - means[1])) / len(labels)),
        "brier": float(brier_score_loss(labels, probabilities, labels=classes, scale_by_half=False)),
        "bins": [
            {
                "low": float(edges[i]),
                "high": float(edges[i + 1]),
                "confidence": float(means[0][i]) if counts[i] else None,
                "accuracy": float(means[1][i]) if counts[i] else None,
                "count": int(counts[i]),
            }
            for i in range(bins)
        ],
    }


def compare(labels, predicted, other, class_names):
    """Return how much more accurate a model is than another on the same images, and whether that may be chance.

    Args:
        labels, predicted, other: true classes and two models' answers, whole numbers of shape (N,).
        class_names: one name a class.

    ``difference`` is in accuracy, ``interval`` its 95 % interval: Wald's for paired shares with half an image added to
    each cell, after Agresti & Min (2005), Statistics in Medicine 24, 729-740. ``p`` is McNemar's exact test:
    how often two equally good models would differ at least this much.
    ``both_right``, ``only_first_right``, ``only_second_right`` and ``both_wrong`` add up to all images;
    ``disagreements`` are those to which the two give different answers, ``disagreements_both_wrong`` those of them on
    which neither is right. ``recall`` is the difference a class.
    """
    right, other_right = predicted == labels, other == labels
    gains, losses, n = int(np.sum(right & ~other_right)), int(np.sum(~right & other_right)), len(labels)
    disagreements = int(np.sum(predicted != other))
    middle = (gains - losses) / (n + 2)
    half = 1.959964 * np.sqrt(gains + losses + 1 - (n + 2) * middle**2) / (n + 2)
    classes = [(name, labels == index) for index, name in enumerate(class_names)]
    return {
        "difference": (gains - losses) / n,
        "interval": [float(middle - half), float(middle + half)],
        "p": float(binomtest(gains, gains + losses).pvalue) if gains + losses else 1.0,
        "both_right": int(np.sum(right & other_right)),
        "only_first_right": gains,
        "only_second_right": losses,
        "both_wrong": int(np.sum(~right & ~other_right)),
        "disagreements": disagreements,
        "disagreements_both_wrong": disagreements - gains - losses,
        "recall": {name: float(right[of].mean() - other_right[of].mean()) for name, of in classes if of.any()},
    }


def _rows_of_one(probabilities):
    """Softmax rows in float64 that sum to 1; in float32 they do so within 1e-7 only."""
    probabilities = np.asarray(probabilities, "float64")
    return probabilities / probabilities.sum(axis=1, keepdims=True)
