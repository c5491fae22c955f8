"""What finishes a run: the model is calibrated, saved, measured on the test split, drawn and told of."""

import textwrap
import time

from classify.command import Problem, interrupted_status, note, printable
from classify.data.decoding import REDUCTION
from classify.data.splits import fingerprint
from classify.distribution.processes import processes
from classify.environment import processor
from classify.evaluation import calibration, metrics
from classify.inference import ood
from classify.inference.predictor import predict
from classify.inference.saving import save_keras, save_litert
from classify.progress import duration
from classify.reporting import plots, terminal
from classify.runs.folder import RUN_FILES


def conclude(run, model, data, state, settings, precision, started, name=None, validate=None, shortcut=None):
    """Calibrate and save a trained model, measure it, draw its training and its mistakes, write run.json, print it all.

    Ctrl-C waits until the model is saved. Then it ends the measuring, as an error does, and what was not reached is
    missing: the LiteRT copy, metrics.json, the pictures. Of several processes that trained the first one does all this.

    Args:
        run: the open ``Run``.
        model: the float32 model to save.
        data: the ``Data`` it was trained on.
        state: the ``TrainingState`` at the end of the training.
        settings: the ``TrainingSettings``.
        precision: the arithmetic of the training.
        started: ``time.perf_counter()`` at the run's start.
        name: what to call the model in print and pictures, if not by its recipe.
        validate: returns the model's probabilities for the validation images, if there is a quicker way than to ask it.
        shortcut: likewise, a ``transfer.Shortcut`` to the model that is saved.
    """
    processes.leave()
    if not run.leads:
        return
    name, path, measured, failure = name or settings.recipe, run.work / "model.keras", None, None
    if state.interrupted:
        after = f"interrupted after epoch {len(state.history)}"
        note(f"\n{after}; saving and measuring the best (Ctrl-C: do not measure)")
    probabilities, temperature = validation_probabilities(model, data, validate), None
    if settings.calibrate and len(probabilities):
        probabilities, temperature = calibrate(model, data, probabilities)
    made_from = save_keras(model, path)
    try:
        run.interrupts.release()
        save_litert(model, path, made_from, shortcut)
        measured = measure(run, model, data, shortcut)
        draw(run, data, state, measured, name)
    except KeyboardInterrupt as error:
        state.interrupted = state.interrupted or interrupted_status(error)
        note("\ninterrupted; the rest of the measuring is left out")
    except (Problem, OSError) as error:  # the model is worth a run that lacks the rest
        failure = error
    run.interrupts.hold()
    seconds = run.earlier + time.perf_counter() - started
    record(run, data, state, settings, precision, probabilities, temperature, seconds)
    tell(run, data, state, measured, name, temperature, seconds)
    if failure:
        raise failure


def validation_probabilities(model, data, validate):
    """Return the model's probabilities for the validation images; [] where there are none, or the model gives none."""
    if not len(data.validation):
        return []
    try:
        return validate() if validate else predict(model, data.validation.images, "calibrating")
    except Problem as problem:  # the model is saved all the same
        note(f"not measured on the validation images: {problem}")
        return []


def calibrate(model, data, probabilities):
    """Build the temperature that suits the validation images best into the model, which is not yet saved.

    Returns the calibrated model's probabilities for them, and the temperature: 1 where no other can be told.
    """
    try:
        temperature = calibration.best_temperature(data.validation.labels, probabilities)
    except Problem as problem:
        note(f"\nnot calibrated: {problem}")
        temperature = 1.0
    if temperature == 1:
        return probabilities, temperature
    calibration.build_in(model, temperature)
    return calibration.tempered(probabilities, temperature), temperature


def measure(run, model, data, shortcut=None):
    """Read the test split, once, and write metrics.json; return its content."""
    images = data.test.images
    probabilities = shortcut.predict(images, "test") if shortcut else predict(model, images, "measuring")
    measured = {"data": data.source.name, "split": "test"}
    measured |= metrics.measure(data.test.labels, probabilities, data.class_names)
    run.save_json("metrics.json", measured)
    return measured


def draw(run, data, state, measured, name):
    """Write curves.png and confusion.png."""
    what = f"{name}, {data.source.title}"
    run.save_figure("curves.png", plots.curves(state.history, state.best_epoch, f"{what}: training"))
    run.save_figure("confusion.png", plots.confusion(measured, f"{what} test, {len(data.test):,} images"))


def record(run, data, state, settings, precision, probabilities, temperature, seconds):
    """Write run.json, which marks the run as finished.

    Args:
        probabilities: the saved model's for the validation images; [] if there are none.
        temperature: what is built into it; None for a model that was not calibrated.
        The rest is as ``conclude`` takes it.
    """
    run.finish(
        "interrupted" if state.interrupted else "finished",
        recipe=settings.recipe,
        options=settings.options() | {"data": data.source.option},
        data=data.source.name,
        data_fingerprint=data.source.fingerprint() if data.source.fingerprint else None,
        reduction=reduction_for(data.source, settings.recipe),
        mirror=data.source.mirror,
        class_names=list(data.class_names),
        unsure=ood.make_rule(probabilities, data.validation.images, ood.typical(data.train.images))
        if len(probabilities)
        else None,
        **({"temperature": temperature} if temperature else {}),
        validation_fingerprint=fingerprint(data.validation) if len(data.validation) else None,
        splits={"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        seed=settings.seed,
        processor=processor(),
        precision=precision,
        seconds=round(seconds, 1),
    )


def reduction_for(source, recipe):
    """Return the way to reduce pictures for a network that a recipe trained on a ``Source``, of ``REDUCTIONS``.

    Training images that came small, as CIFAR-10's, do not say how they were made so. benchmarks/reduction.py compares.
    """
    if source.of_pictures:
        return REDUCTION  # the training reduced them itself
    return "centre-box" if recipe == "inception" else "centre-bilinear"


def tell(run, data, state, measured, name, temperature, seconds):
    """Print the results, and on standard error which epoch was kept, where the files are and what to type next."""
    folder = printable(run.folder)
    if len(data.validation):
        accuracy = state.history[state.best_epoch - 1]["val_accuracy"]
        calibrated = f"; calibrated with temperature {temperature:.3f}" if temperature not in (None, 1) else ""
        note(f"\nbest epoch {state.best_epoch}, validation accuracy {accuracy:.4f}{calibrated}")
    if measured:
        images = f"{data.source.title} test, {len(data.test):,} images"
        terminal.show(f"\n{printable(name)}", images, terminal.headline(measured), "")
        terminal.show(terminal.per_class([measured]))
    made = [file for file in RUN_FILES if (run.folder / file).exists()]
    names = textwrap.fill(", ".join(made), 80, initial_indent="  ", subsequent_indent="  ")
    note(f"\n{folder}   {duration(seconds)}\n{names}")
    if data.source.findings:
        note(f"next: python predict.py new-pictures/ --model {folder} --sort-into sorted/")
        note(f"      python evaluate.py {folder} --check-labels")
    else:
        note(f"next: python predict.py image.png --model {folder}\n      python evaluate.py")
