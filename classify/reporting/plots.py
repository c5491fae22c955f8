"""Charts of a run's numbers: figures for files, and the same as SVG for a light and a dark page."""

import base64
import io
import re
import warnings

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from classify.command import printable
from classify.evaluation.metrics import wilson_interval

INK, TRAIN, VALIDATION, SHARE = "#1f2937", "#8c9bb0", "#c2410c", "#1a66b8"
# One colour a model, told apart by the colour-blind too: after Okabe & Ito (2008), https://jfly.uni-koeln.de/color/
MODELS = ("#0072b2", "#d05a00", "#008a66", "#b0609a", "#806600", "#5a6675")
# What a colour becomes on a dark page.
DARK = {INK: "#e5e7eb", VALIDATION: "#fb923c"} | dict(
    zip(MODELS, ("#4fadea", "#f28c3a", "#2cc295", "#e39ac4", "#d6b531", "#aab7c4"), strict=True)
)
matplotlib.rcParams["text.parse_math"] = False  # in every figure here: a dollar in a name is a dollar
PAGE_WIDTH = 4.6  # inches of a picture in a page: as wide as a telephone shows
PAGE_STYLE = {
    "font.size": 8.5,
    "font.sans-serif": ["DejaVu Sans"],  # a browser without it falls back to a sans-serif, most of which are narrower
    "svg.fonttype": "none",  # text remains text, so that a browser draws a class name in any script
    "svg.hashsalt": "",  # the same numbers give the same picture
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


def embed(draw, *arguments, **options):
    """Return the figure that ``draw(*arguments, **options)`` returns as SVG data URIs: (light, dark), transparent."""
    file = io.StringIO()
    with matplotlib.rc_context(PAGE_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the font here may lack what the reader's has
        draw(*arguments, **options).savefig(
            file, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    light = file.getvalue()
    dark = re.sub("|".join(DARK), lambda colour: DARK[colour[0]], light)
    return tuple(f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}" for svg in (light, dark))


def curves(history, kept_epoch, title=None, stacked=False, lowest=None):
    """Return a figure of loss, accuracy and learning rate by epoch.

    Args:
        history: history.csv's rows as dictionaries; ``val_`` entries may be missing.
        kept_epoch: the epoch whose weights were kept, from 1; it is marked.
        title: what was trained on what.
        stacked: one below the other, for a page, instead of side by side.
        lowest: the accuracy at which its axis begins, up to 1, so that several runs share one scale; None to fit
            the axis to this run.
    """
    epochs = [row["epoch"] for row in history]
    size, grid = ((PAGE_WIDTH, 5.2), (3, 1)) if stacked else ((11, 3.6), (1, 3))
    figure = Figure(figsize=size, layout="constrained", dpi=120)
    figure.suptitle(title)
    loss, accuracy, rate = figure.subplots(*grid)
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        axes.plot(epochs, [row[name] for row in history], "o-", markersize=3, color=TRAIN, label="training")
        if f"val_{name}" in history[0]:
            values = [row[f"val_{name}"] for row in history]
            axes.plot(epochs, values, "o-", markersize=3, color=VALIDATION, label="validation")
        axes.set_ylabel(name)
    accuracy.yaxis.set_major_formatter(_percent())
    if lowest is not None:
        accuracy.set_ylim(lowest, 1)
    rate.plot(epochs, [row["learning_rate"] for row in history], "o-", markersize=3, color=TRAIN)
    rate.set_ylabel("learning rate\nat the epoch's end" if stacked else "learning rate at the epoch's end")
    for axes in (loss, accuracy, rate):
        axes.axvline(kept_epoch, color="0.7", linestyle=":", zorder=0, label=f"kept: epoch {kept_epoch}")
        if not stacked or axes is rate:
            axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _tidy(axes)
    if stacked:
        figure.legend(*accuracy.get_legend_handles_labels(), frameon=False, loc="outside upper center", ncols=3)
    else:
        accuracy.legend(frameon=False, loc="lower right")
    return figure


def confusion(metrics, title=None, width=None):
    """Return a figure of a confusion matrix.

    The colour of a cell is its share of the true class, the number in it counts images. More than 20 classes get no
    numbers, more than 100 no names.

    Args:
        metrics: metrics.json's entries.
        title: what was measured on what.
        width: in inches; by default it grows with the number of classes.
    """
    counts, names = np.array(metrics["confusion_matrix"]), metrics["class_names"]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    numbers = len(names) <= 20
    width = width or 3.4 + 0.5 * min(len(names), 40)
    figure = Figure(figsize=(width, width * (0.97 if numbers else 0.85)), layout="constrained", dpi=120)
    axes = figure.subplots()
    colours = np.broadcast_to(matplotlib.colors.to_rgba(SHARE), (*shares.shape, 4)).copy()
    colours[..., 3] = np.sqrt(shares)  # the page shows through; the root, so that few mistakes are seen too
    axes.imshow(colours, interpolation="none")
    axes.set(title=title, xlabel="predicted class", ylabel="true class")
    if len(names) <= 100:
        labels = [_short(name) for name in names]
        size = min(matplotlib.rcParams["font.size"], 50 * width / len(names))
        across = {"rotation": 45, "ha": "right"} if numbers else {"rotation": 90, "ha": "right", "va": "center"}
        axes.set_xticks(range(len(names)), labels, rotation_mode="anchor", fontsize=size, **across)
        axes.set_yticks(range(len(names)), labels, fontsize=size)
        axes.tick_params(length=2 if numbers else 0)
    if numbers:
        size = min(matplotlib.rcParams["font.size"], 18 * width / len(names))
        for (row, column), count in np.ndenumerate(counts):
            if count:
                ink = "white" if shares[row, column] > 0.64 else INK
                axes.text(column, row, f"{count:,}", ha="center", va="center", color=ink, fontsize=size)
    else:
        scale = matplotlib.colors.ListedColormap([matplotlib.colors.to_rgba(SHARE, step / 255) for step in range(256)])
        norm = matplotlib.colors.PowerNorm(0.5, 0, 1)
        bar = figure.colorbar(matplotlib.cm.ScalarMappable(norm, scale), ax=axes, shrink=0.5, aspect=25, pad=0.02)
        bar.set_label("share of the true class")
        bar.ax.yaxis.set_major_formatter(_percent())
    return figure


def recalls(names, models):
    """Return a figure of bars: how many of each class's images each model finds, with 95 % intervals.

    Args:
        names: the classes' names.
        models: (name, shares, lows, highs) a model, shares and interval bounds one number a class; NaN for a class
            without images.
    """
    thickness = 0.8 / len(models)
    height = 0.7 + len(names) * max(0.2, 0.11 * len(models) + 0.06)
    figure = Figure(figsize=(PAGE_WIDTH, height), layout="constrained")
    axes = figure.subplots()
    for index, (name, shares, lows, highs) in enumerate(models):
        places = np.arange(len(names)) + (index - (len(models) - 1) / 2) * thickness
        axes.barh(places, shares, 0.85 * thickness, color=colour(index), label=_short(name))
        whiskers = [np.subtract(shares, lows), np.subtract(highs, shares)]
        axes.errorbar(shares, places, xerr=np.maximum(whiskers, 0), fmt="none", ecolor=INK, elinewidth=0.7)
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(_percent())
    axes.set_xlabel("recall: the share of the class's images that is found")
    _tidy(axes, "x")
    if len(models) > 1:
        figure.legend(frameon=False, loc="outside upper center", ncols=min(len(models), 3))
    return figure


def reliability(calibration, index=0):
    """Return a figure of accuracy by confidence with 95 % intervals, above how many answers have that confidence.

    Args:
        calibration: what ``metrics.calibration`` returns.
        index: which of the models it is, for its colour.
    """
    bins = [answers for answers in calibration["bins"] if answers["count"]]
    keys = ("low", "high", "accuracy", "count")
    lows, highs, accuracy, count = (np.array([answers[key] for answers in bins]) for key in keys)
    bounds = np.array([wilson_interval(round(share * n), n) for share, n in zip(accuracy, count, strict=True)]).T
    figure = Figure(figsize=(PAGE_WIDTH, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    widths = highs - lows
    bars = {"align": "edge", "color": colour(index)}
    above.bar(lows, accuracy, 0.9 * widths, alpha=0.75, **bars)
    whiskers = np.maximum([accuracy - bounds[0], bounds[1] - accuracy], 0)
    above.errorbar(lows + 0.45 * widths, accuracy, yerr=whiskers, fmt="none", ecolor=INK, elinewidth=0.7)
    above.plot([0, 1], [0, 1], linestyle="--", linewidth=1, color=INK, label="calibrated")
    above.legend(frameon=False, loc="upper left")
    above.set_ylabel("accuracy")
    above.set_ylim(0, 1.02)
    below.bar(lows, count / count.sum(), 0.9 * widths, **bars)
    below.set_ylabel("of all answers")
    below.set_xlabel("confidence")
    below.set_xlim(0, 1)
    for axis in (above.yaxis, below.yaxis, below.xaxis):
        axis.set_major_formatter(_percent())
    for axes in (above, below):
        _tidy(axes)
    return figure


def colour(index):
    """Return the colour of the model with this place among those compared."""
    return MODELS[index % len(MODELS)]


def _tidy(axes, grid="both"):
    axes.grid(alpha=0.3, axis=grid)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _short(name, length=18):
    name = printable(name)
    return name if len(name) <= length else f"{name[: length - 1]}…"


def _percent():
    return PercentFormatter(1, decimals=0, symbol=" %")
