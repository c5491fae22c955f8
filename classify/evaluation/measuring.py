"""Models measured on a split of the data they share, and what the differences between them are worth."""

import functools
import sys
import time
from dataclasses import dataclass

import numpy as np

from classify import precision as arithmetics
from classify.command import Problem, note, printable
from classify.evaluation import calibration, metrics, robustness
from classify.evaluation.subject import is_of
from classify.files import Unwritable
from classify.inference import tta
from classify.inference.loading import load_keras
from classify.inference.predictor import BATCH_SIZE, predict
from classify.progress import track
from classify.runs.saved import SavedModel

TOLERANCE = 1e-4  # how far a probability may be from the saved model's
CHECKED, ALIKE = 200, 0.99  # images, and the share of them to which bfloat16 must give the class that float32 gives


@dataclass(frozen=True, eq=False)
class Measurement:
    """What is known of one model once it is measured.

    Attributes:
        saved: its ``SavedModel``.
        probabilities: for the split's images, float32 of shape (N, classes).
        row: its entry in evaluate.py's JSON.
    """

    saved: SavedModel
    probabilities: np.ndarray
    row: dict


class Reordered:
    """A model whose classes are put into another order, for ``predict``.

    Args:
        model: a Keras model.
        order: the number of the model's class for each class in the new order, whole numbers.
    """

    def __init__(self, model, order):
        self.model, self.order, self.output_shape = model, order, model.output_shape

    def predict_on_batch(self, images):
        return self.model.predict_on_batch(images)[:, self.order]


def measure(saved, subject, calibrate=False, with_tta=False, robust_images=0, precision="auto", shortcut=None):
    """Measure a ``SavedModel`` on a ``Subject``; return the ``Measurement``.

    Args:
        saved, subject: the model and what it is measured on.
        calibrate: fit a temperature first, measure with it, and build it into the run's files when all is measured.
        with_tta: measure the accuracy with test-time augmentation too.
        robust_images: on how many corrupted images to measure the accuracy too; 0 for no such thing.
        precision: what ``--precision`` takes: of augmented and corrupted images, if there is a shortcut. All other
            figures are the saved model's in float32.
        shortcut: returns a quicker way to ask a Keras model, such as a ``Shortcut``, or None if it knows none.

    Raises:
        Problem: the model cannot be opened, does not fit the data, or cannot be calibrated, or these cannot be read.
    """
    model = load_keras(saved.path, saved.trust)
    order = _order(saved, model, subject.source)
    split, calibrated = _read(saved, model, subject), None
    if calibrate:
        _say(f"calibrating {saved.name} on its validation images")
        calibrated = calibration.calibrate(model, saved, subject.found)
    asked, way = _reordered(model, order), shortcut(model) if shortcut else None
    _say(f"measuring {saved.name} on {len(split):,} images")
    try:
        probabilities, speed = _answers(asked, way, order, split, saved.name)
    except Problem as problem:
        raise Problem(f"{printable(saved.name)}: {problem}") from problem
    measured = {"data": split.source.name, "split": split.name}
    measured |= metrics.measure(split.labels, probabilities, split.source.class_names)
    row = {"name": saved.name, **measured, "calibration": metrics.calibration(split.labels, probabilities)}
    if calibrate:
        row["calibrated"] = calibrated
    views = {"precision": "float32"}
    if way and (with_tta or robust_images):
        asked, views["precision"] = _for_views(way, order, split, probabilities, precision, saved.name)
    if with_tta:
        _say(f"measuring {saved.name} with test-time augmentation")
        row["tta"] = _accuracy_with_tta(asked, split, probabilities, saved) | views
    if robust_images:
        sample = robustness.sample(split, robust_images)
        _say(f"measuring {saved.name} on {len(sample):,} corrupted images")
        row["robustness"] = robustness.measure(asked, sample, saved.name) | views
    if calibrate and calibrated["temperature"] != 1:  # the last step: a measurement that fails changes no file
        calibration.save(model, saved, calibrated, measured)
    row |= {
        "parameters": model.count_params(),
        "bytes": saved.path.stat().st_size,
        "images_per_second": round(speed, 1),
    }
    return Measurement(saved, probabilities, row)


def _say(text):
    """Say what is under way where no bar does."""
    if not sys.stderr.isatty():
        note(printable(text))


def compare(measurements, split):
    """Return how the most accurate model compares with each other one: ``metrics.compare``, with both ``models``."""
    ranked = sorted(measurements, key=lambda measurement: -measurement.row["accuracy"])
    answers = [measurement.probabilities.argmax(axis=1) for measurement in ranked]
    return [
        {
            "models": [ranked[0].saved.name, ranked[i].saved.name],
            **metrics.compare(split.labels, answers[0], answers[i], split.source.class_names),
        }
        for i in range(1, len(ranked))
    ]


def _order(saved, model, source):
    """Return the number of the model's class for each class of the data, or raise ``Problem`` if it has others."""
    class_names = saved.class_names(model.output_shape[-1])
    if not saved.info.get("class_names") and len(class_names) == len(source.class_names):
        return list(range(len(class_names)))  # nobody knows them: they are taken for the data's
    if set(class_names) != set(source.class_names):
        raise Problem(f"{printable(saved.name)} has other classes than {printable(source.title)}")
    return [class_names.index(name) for name in source.class_names]


def _read(saved, model, subject):
    """Return the ``NamedSplit`` for a model, or raise ``Problem`` if the model cannot be measured on it."""
    split, name = subject.sized(*model.input_shape[1:3]), printable(saved.name)
    cut_alike = saved.options.get("test", split.test) == split.test
    if split.name == "test" and "test" not in split.source.splits and is_of(saved, split.source) and not cut_alike:
        raise Problem(f"{name} was trained with another --test; evaluate it alone")
    if split.name != "test":
        _check_its_own(saved, split)
    if model.input_shape[1:] != split.images[np.arange(1)].shape[1:]:
        raise Problem(f"{name} takes images of another size than those of {split.source.title}")
    return split


def _check_its_own(saved, split):
    """Raise ``Problem`` unless a validation or train split is the one that a model was trained with."""
    name = printable(saved.name)
    if saved.options.get("validation", split.validation) != split.validation:
        raise Problem(f"{name} was trained with another --validation; evaluate it alone")
    if split.name == "train" and saved.options.get("limit") != split.limit:
        raise Problem(f"{name} was trained with another --limit; evaluate it alone")
    if not len(split):
        raise Problem(f"{name} was trained with --validation 0, so it has no validation split")
    nothing_left_out = saved.info.get("splits", {}).get("validation") == 0
    if not nothing_left_out and (saved.info or split.name == "validation"):
        calibration.check_validation(saved, split.fingerprint)


def _reordered(model, order):
    return model if order == sorted(order) else Reordered(model, order)


def _answers(asked, way, order, split, name):
    """Return the probabilities of a split's images, and how many images a second the saved model answers."""
    few = split.images[np.arange(min(BATCH_SIZE, len(split)))]
    if way is None:
        return _predict(asked, split.images, name)
    predict(asked, few, doing=None)  # compiles
    start = time.perf_counter()
    expected = predict(asked, few, doing=None)
    speed = len(few) / (time.perf_counter() - start)
    try:
        probabilities = way.predict(split.images, split.name)[:, order]
    except Unwritable as error:
        note(f"no features are kept: {error}")
    else:
        if np.abs(probabilities[: len(few)] - expected).max() <= TOLERANCE:
            return probabilities, speed
        note(f"{printable(name)} gives other answers than its kept features; it is asked itself")
    return _predict(asked, split.images, name)


def _predict(model, images, name):
    """Return the images' probabilities, and how many of them a second were answered."""
    last = len(images) % BATCH_SIZE  # the size of the last batch: both sizes are compiled first
    predict(model, images[np.arange(min(len(images), BATCH_SIZE + last))], doing=None)
    start = time.perf_counter()
    probabilities = predict(model, images, name)
    return probabilities, len(images) / (time.perf_counter() - start)


def _for_views(way, order, split, probabilities, precision, name):
    """Return what to ask about augmented and corrupted images, and its arithmetic.

    That is bfloat16 where ``precision`` allows it and the processor is fast at it, if it gives nearly all of some
    images of the split the class that float32 gives.
    """
    chosen, _ = arithmetics.choose(precision)
    if chosen == "bfloat16":
        quick = _reordered(way.folded(chosen), order)
        rows = np.sort(np.random.default_rng(0).permutation(len(split))[:CHECKED])
        alike = predict(quick, split.images[rows], doing=None).argmax(axis=1) == probabilities[rows].argmax(axis=1)
        enough = alike.mean() >= ALIKE
        views = "bfloat16:" if enough else "float32: in bfloat16 only"
        verdict = f"{alike.sum()} of {len(rows)} images get the class that float32 gives"
        note(printable(f"{name}: augmented and corrupted images in {views} {verdict}"))
        if enough:
            return quick, chosen
    return _reordered(way.folded("float32"), order), "float32"


def _accuracy_with_tta(model, split, probabilities, saved):
    """Return the accuracy with test-time augmentation, with its interval; of plain images the answers are known."""
    ask, n = functools.partial(predict, model, doing=None), len(split)
    doing = f"{saved.name}, with test-time augmentation"
    mirror = saved.mirror if saved.data else split.source.mirror  # of a model that does not say it, the data do

    def right_answers():
        for first in range(0, n, BATCH_SIZE):
            rows = np.arange(first, min(first + BATCH_SIZE, n))
            averaged = tta.average(ask, split.images[rows], mirror, probabilities[rows])
            yield averaged.argmax(axis=1) == split.labels[rows]

    right = sum(int(answers.sum()) for answers in track(right_answers(), n, doing))
    return {"accuracy": right / n, "accuracy_interval": metrics.wilson_interval(right, n)}
