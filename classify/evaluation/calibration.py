"""Probabilities that mean what they say: one temperature, fitted on the validation split and built into the model."""

import os

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from classify.command import Problem, describe, printable
from classify.evaluation import metrics
from classify.evaluation.subject import Subject
from classify.inference import ood
from classify.inference.predictor import predict
from classify.inference.saving import save_model
from classify.runs import description
from classify.runs.folder import Run

CHANGED = ("model.keras", "model.tflite", "metrics.json", "run.json")  # by a calibration, of a run's files
MAY_BE = "these may be in its training data"
HOTTEST = 100  # above this temperature a model's probabilities say nothing


def calibrate(model, saved, source):
    """Fit a temperature on the validation images of a run and build it into its model, which is not yet saved.

    Args:
        model: the opened Keras model.
        saved: its ``SavedModel``.
        source: the ``Source`` that it was trained on.

    Returns the ``temperature``, the number ``n`` of validation images, their ``metrics.calibration`` ``before`` and
    ``after``, and run.json's ``unsure`` entry for them. The temperature is 1 where no other lowers the loss.

    Raises:
        Problem: the model is no run's, its run has no validation split, or no temperature fits; or the model does not
            end in a Dense layer and a softmax, so that the temperature does not do what it should.
    """
    _check(saved)
    split = Subject(source, "validation", saved.options).sized(*model.input_shape[1:3])
    check_validation(saved, split.fingerprint)
    probabilities = predict(model, split.images, f"{saved.name}, validation")
    try:
        temperature = best_temperature(split.labels, probabilities)
    except Problem as problem:
        raise Problem(f"{printable(saved.name)} cannot be calibrated: {problem}") from problem
    before, rebuilt = metrics.calibration(split.labels, probabilities), probabilities
    if temperature != 1:
        build_in(model, temperature)
        rebuilt = predict(model, split.images, f"{saved.name}, calibrated")
    after = metrics.calibration(split.labels, rebuilt)
    same_answers = (rebuilt.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    if temperature != 1 and (after["nll"] >= before["nll"] or not same_answers):
        raise Problem(f"{printable(saved.path)} does not end in a Dense layer and a softmax: it cannot be calibrated")
    rule = ood.make_rule(rebuilt, split.images, ood.known(saved.info.get("unsure")))
    return {"temperature": temperature, "n": len(split), "before": before, "after": after, "unsure": rule}


def _check(saved):
    """Raise ``Problem`` unless a ``SavedModel`` is a run's own, with a validation split that it did not train on."""
    if saved.path.name != "model.keras" or not (saved.path.parent / "run.json").is_file():
        raise Problem(f"{printable(saved.path)}: only a run's model.keras, beside its run.json, can be calibrated")
    if not saved.info.get("splits", {}).get("validation"):
        raise Problem(f"{printable(saved.name)} was trained with --validation 0: no images are left to calibrate on")


def check_validation(saved, fingerprint):
    """Raise ``Problem`` unless a model's training left out the validation images that were read.

    Args:
        saved: the ``SavedModel``.
        fingerprint: ``splits.fingerprint`` of those images; None where there are none.
    """
    name = printable(saved.name)
    if "validation_fingerprint" not in saved.info:
        raise Problem(f"{name} does not say which images validated it: {MAY_BE}; train it again")
    if saved.info["validation_fingerprint"] != fingerprint:
        raise Problem(f"{name} was trained with other validation images: {MAY_BE}; train it again")


def best_temperature(labels, probabilities):
    """Return ``fit``'s temperature, or 1 where it does not lower the loss, as for a calibrated model."""
    temperature = fit(labels, probabilities)
    loss, lowest = (
        metrics.calibration(labels, rows)["nll"] for rows in (probabilities, tempered(probabilities, temperature))
    )
    return temperature if lowest <= loss - 1e-6 else 1.0


def fit(labels, probabilities):
    """Return the temperature that minimises the negative log-likelihood of ``tempered`` probabilities.

    Args:
        labels: true classes, whole numbers of shape (N,).
        probabilities: softmax rows of shape (N, classes).

    Temperature scaling, Guo et al. (2017), arXiv:1706.04599. The probabilities' logarithms stand for the logits: in
    each row they differ from them by one number, which softmax ignores. In 1 / temperature the function is convex, so
    it has one minimum.

    Raises:
        Problem: every image is classified right, so the colder the better, or the model is no better than chance.
    """
    if (probabilities.argmax(axis=1) == labels).all():
        raise Problem(f"it makes no mistake on the {len(labels):,} validation images")
    logits, rows = _logits(probabilities), np.arange(len(labels))

    def loss(log_temperature):
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean()

    bounds = (-np.log(HOTTEST), np.log(HOTTEST))
    temperature = float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x))
    if temperature > 0.99 * HOTTEST:
        raise Problem("it is no better than chance on the validation images")
    return temperature


def tempered(probabilities, temperature):
    """Return the softmax rows, shape (N, classes), of a model whose logits are divided by ``temperature``."""
    return softmax(_logits(probabilities) / temperature, axis=1)


def _logits(probabilities):
    # A probability of 0 is one below float32's smallest number.
    return np.log(np.maximum(np.asarray(probabilities, "float64"), np.finfo("float32").tiny))


def build_in(model, temperature):
    """Divide kernel and bias of the last Dense layer, however deep it is nested, by ``temperature``."""
    layer = _last_dense(model)
    if layer is not None:
        layer.set_weights([weight / np.float32(temperature) for weight in layer.get_weights()])


def _last_dense(model):
    import keras  # here, so that a benchmark can start it quietly first

    for layer in reversed(model.layers):
        last = _last_dense(layer) if isinstance(layer, keras.Model) else layer
        if isinstance(last, keras.layers.Dense):
            return last
    return None


def save(model, saved, calibrated, measured):
    """Rewrite the files of a run that ``calibrate`` changes, all or none: the model, metrics.json, run.json.

    Args:
        model, saved: as ``calibrate`` took them.
        calibrated: what it returned. run.json's ``temperature`` says how much the model differs from what was trained:
            it is the product of all temperatures so far. Its ``unsure`` entry is replaced if there is one.
        measured: metrics.json's new content, of which the loss has changed.

    An interrupt leaves the old run or the new one. If the process is killed while the files change places, run.json is
    missing, and so nobody takes the folder for a finished run.

    Raises:
        Problem: the files cannot be written.
    """
    made = saved.path.with_name("run.json").stat()
    info = saved.info | {"temperature": saved.info.get("temperature", 1.0) * calibrated["temperature"]}
    if info.get("unsure"):
        info["unsure"] = calibrated["unsure"]
    try:
        with Run(saved.path.parent) as run:
            if description.read(saved.path.with_name("run.json")) != saved.info:
                raise Problem(f"{printable(saved.name)} was trained anew meanwhile; calibrate that")
            run.interrupts.release()
            save_model(model, run.work / "model.keras")
            run.save_json("metrics.json", measured)
            run.save_json("run.json", info)
            os.utime(run.work / "run.json", ns=(made.st_atime_ns, made.st_mtime_ns))  # it becomes no newer run
            run.take_place(CHANGED)
    except OSError as error:
        raise Problem(f"{printable(saved.name)} cannot be calibrated: {describe(error)}") from error
