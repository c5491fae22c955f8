"""Probabilities of pictures from models that were not trained on them, and the labels that these doubt."""

import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from classify import precision
from classify.command import Problem, note, printable
from classify.data import splits
from classify.evaluation import labels
from classify.evaluation.calibration import check_validation
from classify.inference.loading import load_keras
from classify.inference.predictor import predict
from classify.progress import track
from classify.transfer.features import Extractor

FOLDS = 5
STRENGTH = 1e-3  # scikit-learn's C, small: a head that learnt each label by heart would doubt none


def check_labels(measurements, subject):
    """Look for doubtful labels in the data that models were trained on; return a ``LabelCheck``.

    The models' first InceptionV3 does it, else the first of them. Its row gets the entry ``labels``.

    Args:
        measurements: one ``Measurement`` a model.
        subject: the ``Subject`` that they were measured on.

    Raises:
        Problem: the model does not say what it was trained on, or there are too few pictures.
    """
    by_heads = [measurement for measurement in measurements if measurement.saved.recipe == "inception"]
    chosen = (by_heads or measurements)[0]
    saved, source = chosen.saved, subject.found
    if not saved.data:
        raise Problem(f"{printable(saved.path)} does not say what it was trained on, so its labels cannot be checked")
    model = load_keras(saved.path, saved.trust)
    height, width = model.input_shape[1:3]
    options = {name: saved.options[name] for name in ("validation", "limit", "test") if name in saved.options}
    data = splits.load(source, **options, size=height if height == width else None)
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    parts = {name: part for name, part in parts.items() if len(part)}
    if by_heads:
        probabilities, features = _of_heads(saved, model, parts, len(source.class_names))
    else:
        del parts["train"]
        probabilities, features = _of_itself(saved, model, parts, source.class_names), None
    check = labels.report(parts, source.class_names, probabilities, features)
    chosen.row["labels"] = check.entry
    return check


def _of_heads(saved, model, parts, classes):
    """Return probabilities from heads on the model's features of all splits, and these features."""
    extractor = Extractor(model, precision.choose(saved.options.get("precision", "auto"))[0])
    by_split = [extractor.extract(part.images, name) for name, part in parts.items()]  # as the training kept them
    features = np.concatenate([rows[np.arange(len(rows))] for rows in by_split])
    given = np.concatenate([part.labels for part in parts.values()])
    return out_of_fold(features, given, classes), features


def _of_itself(saved, model, parts, class_names):
    """Return the model's own probabilities for splits that it was not trained on."""
    if "validation" in parts:
        check_validation(saved, splits.fingerprint(parts["validation"]))
    note(f"{printable(saved.name)} learnt the labels of the train images, so only the others are checked")
    own = saved.class_names(model.output_shape[-1])
    probabilities = np.concatenate([predict(model, part.images, name) for name, part in parts.items()])
    return probabilities[:, [own.index(name) for name in class_names]]


def out_of_fold(features, given, classes):
    """Return each picture's probabilities from a head that was trained on the other folds' pictures.

    A head is a logistic regression on standardized features, strongly regularized.

    Args:
        features: float32 of shape (N, features).
        given: labels, whole numbers of shape (N,).
        classes: how many there are.

    Returns an array of shape (N, classes), 0 for a class that a head did not see.

    Raises:
        Problem: fewer than two classes have a picture for each fold.
    """
    if np.count_nonzero(np.bincount(given) >= FOLDS) < 2:
        raise Problem(f"labels can be checked only where at least two classes have {FOLDS} pictures each")
    probabilities = np.zeros((len(given), classes))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=splits.SEED).split(features, given))

    def held_out():
        for others, rows in folds:
            head = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=1000))
            head.fit(features[others], given[others])
            probabilities[np.ix_(rows, head.classes_)] = head.predict_proba(features[rows])
            yield rows

    for _ in track(held_out(), len(given), "checking labels"):
        pass
    return probabilities
