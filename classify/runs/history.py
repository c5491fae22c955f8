"""A training's history: one dictionary an epoch, and history.csv."""

import csv
import io
import math

COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
ALWAYS, VALIDATED = {"epoch", "loss", "accuracy", "learning_rate"}, {"val_loss", "val_accuracy"}


def score(epoch):
    """Return what epochs are compared by: validation accuracy, then the lower loss.

    Of epochs that were not validated the later one scores higher.
    """
    return (epoch["val_accuracy"], -epoch["val_loss"]) if "val_loss" in epoch else (epoch["epoch"],)


def as_csv(history):
    """Return history.csv's text; ``val_`` entries may be missing."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def read(path):
    """Return history.csv's epochs, all numbers finite; [] if the file is missing or damaged."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            epochs = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, csv.Error):
        return []
    columns = set(epochs[0] if epochs else ())
    complete = columns >= ALWAYS and columns & VALIDATED in (set(), VALIDATED)
    epochs = [epoch for epoch in epochs if all(map(math.isfinite, epoch.values()))]  # the last of a diverged training
    return epochs if complete and all(epoch.keys() == epochs[0].keys() for epoch in epochs) else []
