"""What a finished run leaves: the saved model, its numbers on the test split, pictures and run.json."""

import time

from classify.command import note
from classify.evaluation.metrics import measure
from classify.inference import ood as outsiders
from classify.inference.export import save_model
from classify.inference.predictor import predict
from classify.precision import processor
from classify.progress import duration
from classify.reporting import plots
from classify.reporting import terminal as report


def conclude(run, model, data, outcome, args, precision, started, held_out, name=None):
    """Save ``model`` and measure it once on the test split; write and print everything that tells of the run.

    Args:
        run: the open ``Run``.
        model: the float32 model to save.
        data: the ``Data`` it was trained on.
        outcome: the ``Outcome`` of the training.
        args: the options as they were used; ``args.recipe`` names the recipe.
        precision: the arithmetic of the training.
        started: ``time.perf_counter()`` at the run's start.
        held_out: ``model``'s probabilities for the validation images, of shape (N, classes); N may be 0.
        name: what to call the model in print and pictures, if not by its recipe.
    """
    save_model(model, run.folder / "model.keras")
    metrics = {"data": data.source.name, "split": "test"}
    metrics |= measure(data.test.labels, predict(model, data.test.images, "measuring"), data.class_names)
    run.save_json("metrics.json", metrics)
    name = name or args.recipe
    what = f"{name}, {data.source.title}"
    run.save_figure("curves.png", plots.curves(outcome.history, outcome.epoch, f"{what}: training"))
    n = f"{len(data.test):,}"
    run.save_figure("confusion.png", plots.confusion(metrics, f"{what} test, {n} images"))
    seconds = time.perf_counter() - started
    run.finish(
        "interrupted" if outcome.interrupted else "finished",
        recipe=args.recipe,
        options={option: value for option, value in vars(args).items() if option not in ("out", "overwrite")}
        | {"data": data.source.option},
        data=data.source.name,
        class_names=list(data.class_names),
        unsure=outsiders.threshold(held_out) if len(held_out) else None,
        splits={"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        seed=args.seed,
        processor=processor(),
        precision=precision,
        seconds=round(seconds, 1),
    )

    kept = outcome.history[outcome.epoch - 1]
    if outcome.interrupted:
        note(f"\ninterrupted after epoch {len(outcome.history)}")
    if len(data.validation):
        note(f"\nbest epoch {outcome.epoch}, validation accuracy {kept['val_accuracy']:.4f}")
    report.show(f"\n{name}", f"{data.source.title} test, {n} images", report.headline(metrics), "")
    report.show(report.per_class([metrics]))
    files = "model.keras, metrics.json, history.csv, curves.png, confusion.png"
    note(f"\n{run.folder}   {duration(seconds)}\n  {files}")
    note(f"next: python predict.py image.png --model {run.folder}\n      python evaluate.py")
