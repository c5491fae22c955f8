"""Metrics as text for a terminal."""

import itertools

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

MODELS_A_TABLE = 3
WIDTH = 80  # columns of a terminal
BAR = 24  # columns of a probability of 1, at most
CALIBRATION = {"loss (NLL)": "nll", "ECE": "ece", "Brier": "brier"}


def headline(metrics):
    """Return the accuracy with its interval, and macro precision, recall and F1, as two lines."""
    low, high = metrics["accuracy_interval"]
    macro = metrics["macro"]
    return (
        f"accuracy   {metrics['accuracy']:.4f}  (95 % interval {low:.4f} to {high:.4f})\n"
        f"precision  {macro['precision']:.4f}   recall {macro['recall']:.4f}   F1 {macro['f1']:.4f}   (macro)"
    )


def per_class(models):
    """Return a table of precision, recall and F1 a class.

    Args:
        models: metrics.json's dictionaries, with a ``name`` each if there are several; at most
            ``MODELS_A_TABLE`` fit into 80 columns.
    """
    table = _table(gap=2)
    table.add_column("")
    for metrics in models:
        name = f"{metrics['name']}\n" if len(models) > 1 else ""
        table.add_column(f"{name}prec. recall    F1", justify="right", overflow="fold")
    for class_name in models[0]["class_names"]:
        scores = [metrics["per_class"][class_name] for metrics in models]
        cells = (f"{score['precision']:.3f}  {score['recall']:.3f} {score['f1']:.3f}" for score in scores)
        table.add_row(class_name, *cells)
    return table


def comparison(rows):
    """Return a table of one row a model: accuracy and the macro averages, each above its 95 % interval.

    ``rows`` are dictionaries of metrics.json's keys and ``name``.
    """
    table = _table(gap=2)
    table.add_column("", overflow="fold")
    for heading in ("accuracy", "precision", "recall", "F1"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        values = {"accuracy": row["accuracy"], **row["macro"]}
        intervals = {"accuracy": row["accuracy_interval"], **row["macro_intervals"]}
        cells = (f"{value:.3f}\n{intervals[key][0]:.3f} to {intervals[key][1]:.3f}" for key, value in values.items())
        table.add_row(row["name"], *cells)
    return table


def views(rows):
    """Return a table of one row a model: accuracy, plain and averaged over views, each with its 95 % interval.

    ``rows`` are dictionaries of metrics.json's keys, ``name`` and ``tta``.
    """
    table = _table(gap=2)
    table.add_column("", overflow="fold")
    for heading in ("accuracy", "with test-time augmentation"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        cells = (
            "{:.3f} ({:.3f} to {:.3f})".format(of["accuracy"], *of["accuracy_interval"]) for of in (row, row["tta"])
        )
        table.add_row(row["name"], *cells)
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
            row["name"],
            *_calibration(row["calibration"]),
            f"{row['parameters'] / 1e6:.2f}M",
            f"{row['bytes'] / 1e6:.1f}",
            f"{row['images_per_second']:,.0f}",
        )
    return table


def calibrated(row):
    """Return what ``calibration.calibrate`` did to a model, ``row["calibrated"]``, as a sentence and a table."""
    found = row["calibrated"]
    table = _table(gap=2)
    table.add_column(f"{found['n']:,} validation images")
    for heading in CALIBRATION:
        table.add_column(heading, justify="right")
    for when in ("before", "after"):
        table.add_row(when, *_calibration(found[when]))
    said = f"{row['name']}: temperature {found['temperature']:.3f}"
    if found["temperature"] == 1:
        return f"{said}; no other gives a lower loss\n", table
    changed = "metrics.json has the new loss; accuracy and every predicted class stay"
    return f"{said}, now built into its model.keras\n({changed})\n", table


def _calibration(scores):
    return (f"{scores[key]:.3f}" for key in CALIBRATION.values())


def robustness(models):
    """Return a table of accuracies on corrupted images.

    Args:
        models: dictionaries of a ``name`` and ``robustness``, as ``evaluation.robustness.measure`` returns it; at most
            ``MODELS_A_TABLE`` fit into 80 columns.
    """
    table = _table(gap=2)
    found = [model["robustness"] for model in models]
    table.add_column(f"accuracy,\n{found[0]['n']:,} images")
    for model in models:
        table.add_column(f"{model['name']}\n mean  sev. 5", justify="right", overflow="fold")
    table.add_row("unchanged", *(f"{each['clean']:.3f}       –" for each in found))
    for name in found[0]["corruptions"]:
        cells = (each["corruptions"][name] for each in found)
        table.add_row(name, *(f"{cell['mean']:.3f}   {cell['accuracies'][-1]:.3f}" for cell in cells))
    table.add_section()
    strongest = [np.mean([cell["accuracies"][-1] for cell in each["corruptions"].values()]) for each in found]
    table.add_row("mean", *(f"{each['mean']:.3f}   {last:.3f}" for each, last in zip(found, strongest, strict=True)))
    table.add_row("95 % interval", *("{:.3f} to {:.3f}".format(*each["interval"]) for each in found))
    return table


def verdict(comparison):
    """Return a ``compare`` result, with both models' names, as plain sentences."""
    first, second = comparison["models"]
    points, (low, high) = 100 * comparison["difference"], (100 * bound for bound in comparison["interval"])
    disagree = (
        f"They disagree on {comparison['disagreements']:,} images:\n{first} is right on"
        f" {comparison['only_first_right']:,}, {second} on {comparison['only_second_right']:,},"
        f" neither on {comparison['disagreements_both_wrong']:,}."
    )
    if not comparison["disagreements"]:
        disagree = "They give the same answer to every image."
    if not points:
        equal = f"{first} and {second} are equally accurate\n(95 % interval {low:.1f} to {high:.1f} points)."
        return f"{equal}\n{disagree}"
    sure = "is not chance" if comparison["p"] < 0.05 else "may be chance"
    p = f"p = {comparison['p']:.3f}" if comparison["p"] >= 0.001 else "p < 0.001"
    text = (
        f"{first} is {points:.1f} points more accurate than {second}\n"
        f"(95 % interval {low:.1f} to {high:.1f}); the difference {sure} (McNemar {p})."
    )
    gains = sorted(comparison["recall"].items(), key=lambda gain: -gain[1])
    better = [f"{name} ({100 * gain:+.1f})" for name, gain in gains if gain > 0][:2]
    worse = [f"{name} ({100 * gain:+.1f})" for name, gain in gains[::-1] if gain < 0][:2]
    text += f"\nIt gains most on {' and '.join(better)}" if better else ""
    text += f";\n{second} is better on {' and '.join(worse)}." if worse else "." if better else ""
    return f"{text}\n{disagree}"


def prediction(name, probabilities, class_names, top, width, averaged=None):
    """Return an image's ``top`` classes as lines of a bar chart, and what is left to the others.

    ``name`` takes ``width`` columns beside the chart or, where that is more than 28, a line of its own.
    ``averaged`` are the probabilities with test-time augmentation, which stand in a column behind the bars.
    """
    if width > 28:
        lines = _chart(probabilities, class_names, top, WIDTH - 2, averaged)
        return "\n".join([name, *(f"  {line}" for line in lines)])
    lines = _chart(probabilities, class_names, top, WIDTH - width - 2, averaged)
    return "\n".join(f"{name if i == 0 else '':{width}}  {line}" for i, line in enumerate(lines))


def side_by_side(name, answers, class_names, models, top, unsure, averaged=None):
    """Return an image's name and below it the charts of several models, each under its model's name.

    ``answers``, ``class_names``, ``models``, the names, ``unsure``, whether each is, and ``averaged``, as
    ``prediction`` takes it, hold an entry a model; a fourth one begins a new row, with ``averaged`` a third one.
    """
    lines = [name]
    a_row = min(len(models), MODELS_A_TABLE if averaged is None else MODELS_A_TABLE - 1)
    columns = WIDTH // a_row - 2
    charts = []
    entries = zip(models, answers, class_names, unsure, averaged or [None] * len(models), strict=True)
    for model, probabilities, classes, doubt, with_tta in entries:
        chart = [_cut(model, columns), *_chart(probabilities, classes, top, columns, with_tta)]
        charts.append([*chart, "not sure: perhaps none"] if doubt else chart)
    for first in range(0, len(charts), a_row):
        for cells in itertools.zip_longest(*charts[first : first + a_row], fillvalue=""):
            lines.append("".join(f"  {cell:{columns}}" for cell in cells).rstrip())
    return "\n".join(lines)


def _chart(probabilities, class_names, top, columns, averaged=None):
    """Return lines of a label, a percentage and a bar, the most probable class first; ``averaged`` adds another."""
    order = np.argsort(probabilities)[::-1]
    labels = [class_names[i] for i in order[:top]]
    if top < len(order):
        labels.append(f"{len(order) - top} others")

    def shares(of):
        return [*of[order[:top]], of[order[top:]].sum()][: len(labels)]

    behind = [""] * len(labels) if averaged is None else [f"  TTA {100 * p:5.1f} %" for p in shares(averaged)]
    columns -= len(behind[0])
    longest = min(max(len(label) for label in labels), columns - 14)  # three are left for the bar
    bar = min(BAR, columns - longest - 11)
    return [
        f"{_cut(label, longest):{longest}}  {100 * p:5.1f} %  {_bar(p, bar):{bar}}{more}".rstrip()
        for label, p, more in zip(labels, shares(probabilities), behind, strict=True)
    ]


def unsure(name, probabilities, class_names, width, averaged=None):
    """Return the line of an image of which a model is unsure; two where ``name`` leaves too little room for it.

    ``averaged``, the probabilities with test-time augmentation, get a line of their own.
    """
    text = f"not sure: perhaps none of the {len(class_names)} classes ({_best_guess(probabilities, class_names)})"
    beside = width + 2 + len(text) <= WIDTH
    lines = [f"{name:{width}}  {text}"] if beside else [name, f"  {text}"]
    if averaged is not None:
        lines.append(f"{'':{width if beside else 0}}  TTA: {_best_guess(averaged, class_names)}")
    return "\n".join(lines)


def _best_guess(probabilities, class_names):
    best = np.argmax(probabilities)
    return f"best guess {class_names[best]}, {100 * probabilities[best]:.1f} %"


def _cut(text, columns):
    return text if len(text) <= columns else text[: columns - 1] + "…"


def _bar(share, columns):
    """A bar of eighths of a character."""
    eighths = round(float(share) * columns * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def show(*parts):
    """Print strings and tables to standard output, at most as wide as the terminal, 80 columns where there is none."""
    console = Console(highlight=False)
    with console.capture() as text:
        for part in parts:
            console.print(part, markup=False)
    print(text.get(), end="")  # rich would end the program itself where the reader of a pipe has gone


def _table(gap):
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0), header_style="")
