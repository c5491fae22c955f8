"""Pictures from a run's numbers."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter
from PIL import Image

TRAIN, VALIDATION = "#8c9bb0", "#c2410c"
CHOICES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito's, for every eye


def curves(history, kept_epoch, title):
    """Return a figure of loss, accuracy and learning rate by epoch.

    Args:
        history: history.csv's rows as dictionaries; ``val_`` entries may be missing.
        kept_epoch: the epoch whose weights were kept, from 1; it is marked.
        title: what was trained on what.
    """
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(11, 3.6), layout="constrained", dpi=120)
    figure.suptitle(title)
    loss, accuracy, rate = figure.subplots(1, 3)
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        axes.plot(epochs, [row[name] for row in history], "o-", markersize=3, color=TRAIN, label="training")
        if f"val_{name}" in history[0]:
            values = [row[f"val_{name}"] for row in history]
            axes.plot(epochs, values, "o-", markersize=3, color=VALIDATION, label="validation")
        axes.set_ylabel(name)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    rate.plot(epochs, [row["learning_rate"] for row in history], "o-", markersize=3, color=TRAIN)
    rate.set_ylabel("learning rate at the epoch's end")
    for axes in (loss, accuracy, rate):
        axes.axvline(kept_epoch, color="0.7", linestyle=":", zorder=0, label=f"kept: epoch {kept_epoch}")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    accuracy.legend(frameon=False, loc="lower right")
    return figure


def confusion(metrics, title):
    """Return a figure of the confusion matrix in ``metrics``: the colour is the share of the true class, the number
    is of images; without numbers beyond 20 classes."""
    counts, names = np.array(metrics["confusion_matrix"]), metrics["class_names"]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.2 + 0.5 * min(len(names), 40)
    figure = Figure(figsize=(size + 1.2, size), layout="constrained", dpi=120)
    axes = figure.subplots()
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(title=title, xlabel="predicted class", ylabel="true class")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    if len(names) <= 20:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                dark = shares[row, column] > 0.5
                axes.text(column, row, f"{count:,}", ha="center", va="center", color="white" if dark else "0.2")
    bar = figure.colorbar(picture, label="share of the true class", shrink=0.8)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def study(results, title):
    """Return a figure of a study: accuracies a seed, learning curves, and accuracy by learning rate.

    Args:
        results: a dictionary a choice, best first: ``accuracies``, one a seed; ``curves``, accuracies by epoch, one
            list a seed; ``rate``, the learning rate of these; ``rates``, accuracy by learning rate with one seed.
        title: what was trained on what.
    """
    figure = Figure(figsize=(11, 3.8), layout="constrained", dpi=120)
    figure.suptitle(title)
    seeds, curves, rates = figure.subplots(1, 3)
    for i, (choice, result) in enumerate(results.items()):
        style = {"color": CHOICES[i % len(CHOICES)], "label": choice}
        seeds.plot(result["accuracies"], [i] * len(result["accuracies"]), "o", alpha=0.5, **style)
        seeds.plot(np.mean(result["accuracies"]), i, "|", markersize=22, markeredgewidth=2, **style)
        mean = np.mean(result["curves"], axis=0)
        curves.plot(range(1, len(mean) + 1), mean, "o-", markersize=3, **style)
        rates.plot(list(result["rates"]), list(result["rates"].values()), "o-", markersize=4, **style)
        rates.plot(result["rate"], result["rates"][result["rate"]], "o", markersize=9, **style)
    seeds.set_yticks(range(len(results)), results)
    seeds.margins(y=0.1)
    seeds.invert_yaxis()
    seeds.set_xlabel("validation accuracy: a dot a seed, their mean")
    curves.set(xlabel="epoch", ylabel="validation accuracy, mean")
    curves.xaxis.set_major_locator(MaxNLocator(integer=True))
    rates.set(xscale="log", xlabel="learning rate", ylabel="validation accuracy, one seed")
    rates.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    rates.xaxis.set_major_formatter("{x:g}")
    rates.xaxis.set_minor_locator(NullLocator())
    rates.tick_params(axis="x", rotation=45)
    for axis in (seeds.xaxis, curves.yaxis, rates.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axes in (seeds, curves, rates):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def explanation(picture, strengths, title):
    """Return a figure of a picture beside itself under a map of what speaks for a class.

    Args:
        picture: RGB, uint8 of shape (rows, columns, 3).
        strengths: of shape (rows, columns), fewer ones; 0 or larger. The largest is drawn brightest.
        title: what the map is of.
    """
    rows, columns, _ = picture.shape
    heat = Image.fromarray((strengths / max(strengths.max(), 1e-9)).astype("float32"))
    heat = np.clip(heat.resize((columns, rows), Image.Resampling.BICUBIC), 0, 1)
    opacity = 0.75 * heat[..., None]
    overlay = picture / 255 * (1 - opacity) + colormaps["inferno"](heat)[..., :3] * opacity
    figure = Figure(figsize=(8.2, 4 * rows / columns + 0.4), layout="constrained", dpi=120)
    for axes, image in zip(figure.subplots(1, 2), (picture, overlay), strict=True):
        axes.imshow(image)
        axes.set_axis_off()
    figure.suptitle(title)
    return figure
