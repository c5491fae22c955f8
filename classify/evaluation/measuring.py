"""Models measured on a split of the data they share, and what the differences between them are worth."""

import functools
import sys
import time
from dataclasses import dataclass

import numpy as np

from classify.command import Problem, note, printable
from classify.data import sources, splits
from classify.data.dataset import Source, Split
from classify.evaluation import calibration, metrics, robustness
from classify.inference import tta
from classify.inference.loading import load_keras
from classify.inference.predictor import BATCH_SIZE, predict
from classify.progress import track
from classify.runs.saved import SavedModel


@dataclass(frozen=True, kw_only=True)
class NamedSplit(Split):
    """A ``Split`` that knows what it is.

    Attributes:
        source: the data set.
        name: 'test', 'validation' or 'train'.
        validation: the share of the training images, 0 to 1, that is the validation split.
        limit: how many of the other training images were trained on; None for all of them.
        fingerprint: ``splits.fingerprint`` of the validation split beside it. None for the test split, and where there
            are no validation images.
    """

    source: Source
    name: str
    validation: float
    limit: int | None = None
    fingerprint: str | None = None


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


def read(models, name, data=None, data_dir=None, label=None):
    """Read the split that models are measured on, as a ``NamedSplit``.

    Args:
        models: ``SavedModel``s of the same data.
        name: 'test', 'validation' or 'train'.
        data: what ``--data`` takes; None for the data that the models were trained on.
        data_dir: where TFDS data sets are prepared; None for where the training found them.
        label: the name of the label, for data with several; None for the one that the models were trained on.

    Raises:
        Problem: the data cannot be had, or have no such split.
    """
    trained = next((model.options for model in models if model.data), {})
    option = data or trained.get("data") or next(model.data for model in models if model.data)
    label = label or (None if data else trained.get("label"))
    source = sources.find(option, data_dir or trained.get("data_dir"), label)
    validation, limit = trained.get("validation", 0.1), trained.get("limit")
    split, fingerprint = splits.read_split(source, name, validation), None
    if name != "test":
        beside = split if name == "validation" else splits.read_split(source, "validation", validation)
        fingerprint = splits.fingerprint(beside) if len(beside) else None
    if name == "train" and limit is not None:
        split = split.take(np.arange(min(limit, len(split))))
    return NamedSplit(
        split.images,
        split.labels,
        split.files,
        source=source,
        name=name,
        validation=validation,
        limit=limit,
        fingerprint=fingerprint,
    )


def measure(saved, split, calibrate=False, with_tta=False, sample=None):
    """Measure a ``SavedModel`` on a ``NamedSplit``; return the ``Measurement``.

    Args:
        saved, split: the model and what it is measured on.
        calibrate: fit a temperature first, measure with it, and build it into the run's files when all is measured.
        with_tta: measure the accuracy with test-time augmentation too.
        sample: a ``Split`` on which to measure the accuracy on corrupted images too; None for no such thing.

    Raises:
        Problem: the model cannot be opened, does not fit the data, or cannot be calibrated.
    """
    model, calibrated = _open(saved, split), None
    if calibrate:
        _say(f"calibrating {saved.name} on its validation images")
        calibrated = calibration.calibrate(model, saved, split.source)
    _say(f"measuring {saved.name} on {len(split):,} images")
    try:
        probabilities, seconds = _predict(model, split.images, saved.name)
    except Problem as problem:
        raise Problem(f"{printable(saved.name)}: {problem}") from problem
    measured = {"data": split.source.name, "split": split.name}
    measured |= metrics.measure(split.labels, probabilities, split.source.class_names)
    row = {"name": saved.name, **measured, "calibration": metrics.calibration(split.labels, probabilities)}
    if calibrate:
        row["calibrated"] = calibrated
    if with_tta:
        _say(f"measuring {saved.name} with test-time augmentation")
        row["tta"] = _accuracy_with_tta(model, split, saved)
    if sample:
        _say(f"measuring {saved.name} on {len(sample):,} corrupted images")
        row["robustness"] = robustness.measure(model, sample, saved.name)
    if calibrate and calibrated["temperature"] != 1:  # the last step: a measurement that fails changes no file
        calibration.save(model, saved, calibrated, measured)
    row |= {
        "parameters": model.count_params(),
        "bytes": saved.path.stat().st_size,
        "images_per_second": round(len(split) / seconds, 1),
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


def _open(saved, split):
    """Return the Keras model, or raise ``Problem`` if it cannot be measured on this split."""
    if split.name != "test":
        _check_its_own(saved, split)
    model = load_keras(saved.path)
    class_names = saved.class_names(model.output_shape[-1])
    expected = split.source.class_names
    name, data = printable(saved.name), printable(split.source.title)
    if len(class_names) != len(expected) or (saved.info and class_names != expected):
        raise Problem(f"{name} has other classes than {data}")
    if model.input_shape[1:] != split.images[np.arange(1)].shape[1:]:
        raise Problem(f"{name} takes images of another size than those of {data}")
    return model


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


def _predict(model, images, name):
    """Return the images' probabilities and the seconds they took."""
    last = len(images) % BATCH_SIZE  # the size of the last batch: both sizes are compiled first
    predict(model, images[np.arange(min(len(images), BATCH_SIZE + last))], doing=None)
    start = time.perf_counter()
    probabilities = predict(model, images, name)
    return probabilities, time.perf_counter() - start


def _accuracy_with_tta(model, split, saved):
    """Return the accuracy with test-time augmentation, with its interval."""
    ask, n = functools.partial(predict, model, doing=None), len(split)
    doing = f"{saved.name}, with test-time augmentation"
    mirror = saved.mirror if saved.data else split.source.mirror  # of a model that does not say it, the data do

    def right_answers():
        for first in range(0, n, BATCH_SIZE):
            rows = np.arange(first, min(first + BATCH_SIZE, n))
            probabilities = tta.average(ask, split.images[rows], mirror)
            yield probabilities.argmax(axis=1) == split.labels[rows]

    right = sum(int(answers.sum()) for answers in track(right_answers(), n, doing))
    return {"accuracy": right / n, "accuracy_interval": metrics.wilson_interval(right, n)}
