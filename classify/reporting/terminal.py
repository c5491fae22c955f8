"""Metrics as text for a terminal."""

import textwrap

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from classify.command import printable
from classify.reporting import sentences

MODELS_A_TABLE = 3
UNEQUAL = 1.5  # times as many images as of the smallest class: the accuracy then says little of that one
DOUBTS = 20  # labels named in the terminal
CALIBRATION = {"loss (NLL)": "nll", "ECE": "ece", "Brier": "brier"}


def headline(metrics):
    """Return the accuracy with its interval, and macro precision, recall and F1, as two lines.

    The macro averages, in which each class counts alike, come first where classes are unequal.
    """
    low, high = metrics["accuracy_interval"]
    macro = metrics["macro"]
    lines = [
        f"accuracy   {metrics['accuracy']:.4f}  (95 % interval {low:.4f} to {high:.4f})",
        f"precision  {macro['precision']:.4f}   recall {macro['recall']:.4f}   F1 {macro['f1']:.4f}   (macro)",
    ]
    return "\n".join(lines[::-1] if unequal(metrics) else lines)


def unequal(metrics):
    """Return whether the largest class has more than ``UNEQUAL`` times as many images as the smallest."""
    supports = [scores["support"] for scores in metrics["per_class"].values()]
    return max(supports) > UNEQUAL * min(supports)


def per_class(models):
    """Return a table of precision, recall and F1 a class.

    Args:
        models: metrics.json's dictionaries, with a ``name`` each if there are several; at most
            ``MODELS_A_TABLE`` fit into 80 columns.
    """
    table = _table(gap=2)
    table.add_column("")
    for metrics in models:
        name = f"{printable(metrics['name'])}\n" if len(models) > 1 else ""
        table.add_column(f"{name}prec. recall    F1", justify="right", overflow="fold")
    for class_name in models[0]["class_names"]:
        scores = [metrics["per_class"][class_name] for metrics in models]
        cells = (_scores(score) if score["support"] else "no images" for score in scores)
        table.add_row(printable(class_name), *cells)
    return table


def _scores(score):
    return f"{score['precision']:.3f}  {score['recall']:.3f} {score['f1']:.3f}"


def comparison(rows):
    """Return a table of one row a model: accuracy and the macro averages, each above its 95 % interval.

    ``rows`` are dictionaries of metrics.json's keys and ``name``. The macro averages come first where classes are
    unequal.
    """
    table = _table(gap=2)
    table.add_column("", overflow="fold")
    headings = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1"}
    keys = ["precision", "recall", "f1", "accuracy"] if unequal(rows[0]) else list(headings)
    for key in keys:
        table.add_column(headings[key], justify="right", no_wrap=True)
    for row in rows:
        values = {"accuracy": row["accuracy"], **row["macro"]}
        intervals = {"accuracy": row["accuracy_interval"], **row["macro_intervals"]}
        cells = (f"{values[key]:.3f}\n{intervals[key][0]:.3f} to {intervals[key][1]:.3f}" for key in keys)
        table.add_row(printable(row["name"]), *cells)
    return table


def tta(rows):
    """Return a table of one row a model: accuracy without and with test-time augmentation, with 95 % intervals.

    ``rows`` are dictionaries of metrics.json's keys, ``name`` and ``tta``.
    """
    table = _table(gap=2)
    table.add_column("", overflow="fold")
    for heading in ("accuracy", "with test-time augmentation"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            printable(row["name"]),
            *("{:.3f} ({:.3f} to {:.3f})".format(of["accuracy"], *of["accuracy_interval"]) for of in (row, row["tta"])),
        )
    return table


def confidence_and_cost(rows):
    """Return a table of one row a model: how far its probabilities can be believed, its size and its speed.

    ``rows`` are dictionaries of ``name``, a ``metrics.calibration``, ``parameters``, ``bytes`` and
    ``images_per_second``.
    """
    table = _table(gap=2)
    table.add_column("", overflow="fold")
    for heading in (*CALIBRATION, "params", "MB", "img/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            printable(row["name"]),
            *_calibration(row["calibration"]),
            f"{row['parameters'] / 1e6:.2f}M",
            f"{row['bytes'] / 1e6:.1f}",
            f"{row['images_per_second']:,.0f}",
        )
    return table


def calibrated(row):
    """Return a table of a model's scores on the validation images before and after ``calibration.calibrate``."""
    calibrated = row["calibrated"]
    table = _table(gap=2)
    table.add_column(f"{calibrated['n']:,} validation images")
    for heading in CALIBRATION:
        table.add_column(heading, justify="right")
    for when in ("before", "after"):
        table.add_row(when, *_calibration(calibrated[when]))
    return table


def _calibration(scores):
    return (f"{scores[key]:.3f}" for key in CALIBRATION.values())


def robustness(models):
    """Return a table of accuracies on corrupted images.

    Args:
        models: dictionaries of a ``name`` and ``robustness``, as ``evaluation.robustness.measure`` returns it; at most
            ``MODELS_A_TABLE`` fit into 80 columns.
    """
    table = _table(gap=2)
    results = [model["robustness"] for model in models]
    table.add_column(f"accuracy,\n{results[0]['n']:,} images")
    for model in models:
        table.add_column(f"{printable(model['name'])}\n mean  sev. 5", justify="right", overflow="fold")
    table.add_row("unchanged", *(f"{result['clean']:.3f}       –" for result in results))
    for name in results[0]["corruptions"]:
        cells = (result["corruptions"][name] for result in results)
        table.add_row(name, *(f"{cell['mean']:.3f}   {cell['accuracies'][-1]:.3f}" for cell in cells))
    table.add_section()
    strongest = [np.mean([cell["accuracies"][-1] for cell in result["corruptions"].values()]) for result in results]
    means = zip(results, strongest, strict=True)
    table.add_row("mean", *(f"{result['mean']:.3f}   {last:.3f}" for result, last in means))
    table.add_row("95 % interval", *("{:.3f} to {:.3f}".format(*result["interval"]) for result in results))
    return table


def show_evaluation(rows, comparisons, title):
    """Print what calibration did, the tables of all models, what each difference is worth, the classes.

    Args:
        rows: a dictionary a model, as evaluate.py's JSON has it.
        comparisons: its comparisons.
        title: the data set's.
    """
    for row in rows:
        if "calibrated" in row:
            show_text(sentences.calibrated(row))
            show("", calibrated(row), "")
    show(f"{printable(title)} {rows[0]['split']}, {rows[0]['n']:,} images; below each figure its 95 % interval\n")
    show(comparison(rows), "")
    if "tta" in rows[0]:
        show(tta(rows), "")
    show(confidence_and_cost(rows), "")
    for pair in comparisons:
        show_text(sentences.verdict(pair))
        show("")
    for table in (per_class, robustness) if "robustness" in rows[0] else (per_class,):
        for first in range(0, len(rows), MODELS_A_TABLE):
            show(table(rows[first : first + MODELS_A_TABLE]), "")
    for row in rows:
        if "bfloat16" in (row.get(part, {}).get("precision") for part in ("tta", "robustness")):
            show_text(sentences.rounded(row["name"]))
        if "labels" in row:
            show_labels(row)


def show_labels(row):
    """Print which labels look wrong, a line each, at most ``DOUBTS``: ``row`` is a model's, with ``labels``."""
    doubtful = row["labels"]["doubtful"]
    show_text(sentences.labels(row["labels"]))
    places = [printable(sentences.place(doubt)) for doubt in doubtful[:DOUBTS]]
    for place, doubt in zip(places, doubtful, strict=False):
        looks = f"labelled {doubt['label']}, {sentences.looks_like(doubt, len(row['class_names']))}"
        print(f"{place:{max(map(len, places))}}   {printable(looks)}")
    if len(doubtful) > DOUBTS:
        print(f"… and {len(doubtful) - DOUBTS:,} more")


def show(*parts):
    """Print strings and tables to standard output, at most as wide as the terminal, 80 columns where there is none."""
    console = Console(highlight=False, markup=False, emoji=False)  # [red] and :dog: may be names
    with console.capture() as text:
        for part in parts:
            console.print(part)
    print(text.get(), end="")  # rich would end the program itself where the reader of a pipe has gone


def show_text(text):
    """Print sentences to standard output, in lines as wide as the terminal; none begins with a per cent sign."""
    print(textwrap.fill(printable(text), Console().width, break_on_hyphens=False).replace("\u00a0", " "))


def _table(gap):
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0), header_style="")
