"""What finishes a run: the model is saved, measured on the test split, drawn and told of."""

import textwrap
import time

from classify.command import Problem, note, printable
from classify.data.decoding import REDUCTION
from classify.data.splits import fingerprint
from classify.environment import processor
from classify.evaluation import metrics
from classify.inference import ood
from classify.inference.predictor import predict
from classify.inference.saving import save_keras, save_litert
from classify.progress import duration
from classify.reporting import plots, terminal
from classify.runs.folder import RUN_FILES


def conclude(run, model, data, state, settings, precision, started, name=None, validate=None):
    """Save a trained model, measure it, draw its training and its mistakes, write run.json and print the results.

    Ctrl-C waits until the model is saved. Then it ends the measuring, as an error does, and what was not reached is
    missing: the LiteRT copy, the threshold for "not sure", metrics.json, the pictures.

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
    """
    name, path, probabilities, measured = name or settings.recipe, run.work / "model.keras", [], None
    failure = None
    if state.interrupted:
        after = f"interrupted after epoch {len(state.history)}"
        note(f"\n{after}; saving and measuring the best (Ctrl-C: do not measure)")
    made_from = save_keras(model, path)
    try:
        run.interrupts.release()
        save_litert(model, path, made_from)
        probabilities = validate() if validate else predict(model, data.validation.images, "measuring")
        measured = measure(run, model, data)
        draw(run, data, state, measured, name)
    except KeyboardInterrupt:
        state.interrupted = True
        note("\ninterrupted; the rest of the measuring is left out")
    except (Problem, OSError) as error:  # the model is worth a run that lacks the rest
        failure = error
    run.interrupts.hold()
    seconds = time.perf_counter() - started
    record(run, data, state, settings, precision, probabilities, seconds)
    tell(run, data, state, measured, name, seconds)
    if failure:
        raise failure


def measure(run, model, data):
    """Read the test split, once, and write metrics.json; return its content."""
    probabilities = predict(model, data.test.images, "measuring")
    measured = {"data": data.source.name, "split": "test"}
    measured |= metrics.measure(data.test.labels, probabilities, data.class_names)
    run.save_json("metrics.json", measured)
    return measured


def draw(run, data, state, measured, name):
    """Write curves.png and confusion.png."""
    what = f"{name}, {data.source.title}"
    run.save_figure("curves.png", plots.curves(state.history, state.best_epoch, f"{what}: training"))
    run.save_figure("confusion.png", plots.confusion(measured, f"{what} test, {len(data.test):,} images"))


def record(run, data, state, settings, precision, validation_probabilities, seconds):
    """Write run.json, which marks the run as finished."""
    run.finish(
        "interrupted" if state.interrupted else "finished",
        recipe=settings.recipe,
        options=settings.options() | {"data": data.source.option},
        data=data.source.name,
        data_fingerprint=data.source.fingerprint() if data.source.fingerprint else None,
        reduction=REDUCTION,
        mirror=data.source.mirror,
        class_names=list(data.class_names),
        unsure=ood.threshold(validation_probabilities) if len(validation_probabilities) else None,
        validation_fingerprint=fingerprint(data.validation) if len(data.validation) else None,
        splits={"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        seed=settings.seed,
        processor=processor(),
        precision=precision,
        seconds=round(seconds, 1),
    )


def tell(run, data, state, measured, name, seconds):
    """Print the results, and on standard error which epoch was kept, where the files are and what to type next."""
    folder = printable(run.folder)
    if len(data.validation):
        accuracy = state.history[state.best_epoch - 1]["val_accuracy"]
        note(f"\nbest epoch {state.best_epoch}, validation accuracy {accuracy:.4f}")
    if measured:
        images = f"{data.source.title} test, {len(data.test):,} images"
        terminal.show(f"\n{printable(name)}", images, terminal.headline(measured), "")
        terminal.show(terminal.per_class([measured]))
    made = [file for file in RUN_FILES if (run.folder / file).exists()]
    names = textwrap.fill(", ".join(made), 80, initial_indent="  ", subsequent_indent="  ")
    note(f"\n{folder}   {duration(seconds)}\n{names}")
    note(f"next: python predict.py image.png --model {folder}\n      python evaluate.py")
