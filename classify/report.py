"""Metrics as text for a terminal."""

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

MODELS_A_TABLE = 3
BAR = 24  # columns of a probability of 1


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
    """Return a table of one row a model; ``rows`` are dictionaries of metrics.json's keys and ``name``,
    ``parameters``, ``bytes`` and ``images_per_second``."""
    table = _table(gap=0)
    table.add_column("", overflow="fold")
    for heading in ("accuracy (95 % int.)", "prec.", "recall", "F1", "loss", "params", "MB", "img/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        low, high = row["accuracy_interval"]
        table.add_row(
            row["name"],
            f"{row['accuracy']:.3f} ({low:.3f} to {high:.3f})",
            *(f"{row['macro'][key]:.3f}" for key in ("precision", "recall", "f1")),
            f"{row['loss']:.3f}",
            f"{row['parameters'] / 1e6:.2f}M",
            f"{row['bytes'] / 1e6:.1f}",
            f"{row['images_per_second']:,.0f}",
        )
    return table


def verdict(comparison):
    """Return a ``compare`` result, with both models' names, as plain sentences."""
    first, second = comparison["models"]
    points, (low, high) = 100 * comparison["difference"], (100 * bound for bound in comparison["interval"])
    if not points:
        return f"{first} and {second} are equally accurate (95 % interval {low:.1f} to {high:.1f} points)."
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
    return text + (f";\n{second} is better on {' and '.join(worse)}." if worse else "." if better else "")


def prediction(name, probabilities, class_names, top, width):
    """Return an image's ``top`` classes as lines of a bar chart, and what is left to the others.

    ``name`` takes ``width`` columns beside the chart or, where that is more than 28, a line of its own.
    """
    order = np.argsort(probabilities)[::-1]
    rows = [(class_names[i], probabilities[i]) for i in order[:top]]
    if top < len(order):
        rows.append((f"{len(order) - top} others", probabilities[order[top:]].sum()))
    longest = max(len(label) for label, _ in rows)
    lines = [f"{label:{longest}}  {100 * p:5.1f} %  {_bar(p)}".rstrip() for label, p in rows]
    if width > 28:
        return "\n".join([name, *(f"  {line}" for line in lines)])
    return "\n".join(f"{name if i == 0 else '':{width}}  {line}" for i, line in enumerate(lines))


def unsure(name, probabilities, class_names, width):
    """Return the line of an image of which a model is unsure; two where ``name`` leaves too little room for it."""
    best = np.argmax(probabilities)
    guess = f"best guess {class_names[best]}, {100 * probabilities[best]:.1f} %"
    text = f"not sure: perhaps none of the {len(class_names)} classes ({guess})"
    return f"{name:{width}}  {text}" if width + 2 + len(text) <= 80 else f"{name}\n  {text}"


def _bar(share):
    """A bar of eighths of a character."""
    eighths = round(float(share) * BAR * 8)
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
