"""Labels worth a second look: which are probably wrong, and which pictures look like no class."""

import csv
import importlib.util
import io
from dataclasses import dataclass

import numpy as np

from classify.command import Problem, printable
from classify.data import splits
from classify.data.dataset import Split

NEIGHBOURS = 10  # of a picture; cleanlab's default
FAR = 1.7  # interquartile ranges above the third quartile are too far from the neighbours; as in cleanlab's Datalab
SURE = 0.5  # a class looks right from this probability on
COLUMNS = ("file", "split", "row", "label", "looks_like", "label_quality")


@dataclass(frozen=True, eq=False)
class LabelCheck:
    """What came of a look at the labels of a data set.

    Attributes:
        pictures: the ``Split`` of all pictures that were looked at.
        rows: those of them whose label is in doubt, the most suspicious first.
        entry: evaluate.py's JSON entry: of how many pictures, of which splits, and ``doubtful``, which says of each of
            ``rows`` its file (None where there is none), split and row there, label, what it looks like (None for no
            class) and label quality.
    """

    pictures: Split
    rows: np.ndarray
    entry: dict


def check_installed():
    """Raise ``Problem`` unless cleanlab is there."""
    if importlib.util.find_spec("cleanlab") is None:
        raise Problem("cleanlab is not installed; python -m pip install -r requirements-labels.txt")


def doubtful(labels, probabilities, features=None):
    """Return the rows of pictures whose label is in doubt, what they look like, and the quality of all labels.

    A label is in doubt where its probability is among the lowest; how many of them are wrong is estimated by confident
    learning, Northcutt et al. (2021), arXiv:1911.00068. So is that of an outlier, whose features are too far from
    those of its neighbours, Kuan & Mueller (2022), arXiv:2207.03061: it looks like none of the classes.

    Args:
        labels: classes as they are given, whole numbers of shape (N,).
        probabilities: of each class, of shape (N, classes), from a model that was not trained on that picture.
        features: what a network makes of the pictures, of shape (N, features); None for no search for outliers.

    Returns (rows, looks, quality): the rows, the most suspicious first; for each of them the class that it looks like,
    -1 for none; for each of the N labels a number from 0, surely wrong, to 1. It is the probability of the label, and
    for an outlier how typical it is among the pictures, if that is lower.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.outlier import OutOfDistribution

    probabilities = np.asarray(probabilities, "float64")
    best, quality = probabilities.argmax(axis=1), probabilities[np.arange(len(labels)), labels]
    wrong = find_label_issues(labels, probabilities, filter_by="low_self_confidence", n_jobs=1) & (best != labels)
    looks = np.where(wrong & (probabilities.max(axis=1) >= SURE), best, -1)
    if features is not None and len(labels) > NEIGHBOURS:
        typical = OutOfDistribution({"k": NEIGHBOURS}).fit_score(features=features, verbose=False)
        outliers = _too_far(-np.log(np.maximum(typical, np.finfo("float32").tiny)))  # the distances, up to a factor
        quality = np.where(outliers, np.minimum(quality, typical), quality)
        wrong |= outliers
    rows = np.flatnonzero(wrong)
    rows = rows[np.argsort(quality[rows], kind="stable")]
    return rows, looks[rows], quality


def _too_far(distances):
    low, high = np.percentile(distances, (25, 75))
    return distances > high + FAR * (high - low)


def report(parts, class_names, probabilities, features=None):
    """Return the ``LabelCheck`` of pictures.

    Args:
        parts: a dictionary of one ``Split`` for each split's name.
        class_names: by label.
        probabilities, features: as ``doubtful`` takes them, of all pictures in the order of ``parts``.
    """
    pictures = splits.joined(list(parts.values()))
    rows, looks, quality = doubtful(pictures.labels, probabilities, features)
    where = [(name, row) for name, part in parts.items() for row in range(len(part))]
    entries = [
        {
            "file": None if pictures.files is None else str(pictures.files[row]),
            "split": where[row][0],
            "row": where[row][1],
            "label": class_names[pictures.labels[row]],
            "looks_like": class_names[look] if look >= 0 else None,
            "label_quality": float(quality[row]),
        }
        for row, look in zip(rows, looks, strict=True)
    ]
    return LabelCheck(pictures, rows, {"n": len(pictures), "splits": list(parts), "doubtful": entries})


def as_csv(check):
    """Return the doubtful labels of a ``LabelCheck`` as CSV, a line each; an empty cell stands for None."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in check.entry["doubtful"]:
        texts = {key: printable(value) for key, value in entry.items() if isinstance(value, str)}
        writer.writerow(entry | texts | {"label_quality": f"{entry['label_quality']:.4f}"})
    return text.getvalue()
