"""What there is to see in a picture, as sentences computed from its numbers."""

import numpy as np

from classify.runs.folder import score


def percent(share):
    """Return a share as '90.7 %', which no line breaks."""
    return f"{100 * share:.1f}\u00a0%"


def points(difference):
    """Return a difference of shares as '3.1 points', without its sign."""
    return f"{100 * abs(difference):.1f} points"


def unbroken(text):
    """Return text as one line that is broken nowhere between a number and its per cent sign."""
    return " ".join(text.split()).replace(" %", "\u00a0%")


def accuracy(row):
    """Return a single model's accuracy in one sentence."""
    low, high = row["accuracy_interval"]
    return (
        f"{row['name']} is right on {percent(row['accuracy'])} of the {row['n']:,} images"
        f" (95\u00a0% interval {100 * low:.1f} to {100 * high:.1f})."
    )


def warnings(split, data, trained_on):
    """Return what must be known lest the figures be taken for more than they are, as sentences.

    Args:
        split: the split's name.
        data: the name of the data measured on.
        trained_on: the name of each model's own data, None where it is not known.
    """
    said = []
    if split == "validation":
        said.append("On these images each training chose its best epoch, so the figures flatter a little.")
    if split == "train":
        said.append("The models were trained on these images: the figures say how well they remember them, no more.")
    if others := sorted({other for other in trained_on if other not in (None, data)}):
        said.append(f"This is other data than was trained on, which was {' or '.join(others)}.")
    return said


def curves(history):
    """Return what a run's training shows: the epoch that was kept, how good it was, and the way there."""
    kept, middle = max(history, key=score), history[len(history) // 2 - 1]
    text = f"Epoch {kept['epoch']:.0f} of {len(history)} was kept"
    if "val_accuracy" not in kept:
        return f"{text}, the last, as none was validated: {percent(kept['accuracy'])} of the training images right."
    text += f": {percent(kept['val_accuracy'])} of the validation images right"
    text += f", {percent(kept['accuracy'])} of the training images."
    if len(history) > 3:
        text += (
            f" After epoch {middle['epoch']:.0f}, half-way, validation accuracy was {percent(middle['val_accuracy'])}."
        )
    return text


def confusion(metrics, most=3):
    """Return which classes are most often taken for which."""
    counts, names = np.array(metrics["confusion_matrix"]), metrics["class_names"]
    of_class = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    order = [divmod(int(place), len(names)) for place in np.argsort(-counts, axis=None, kind="stable")[:most]]
    pairs = [
        f"{names[true]} for {names[other]}, {counts[true, other]:,} of {of_class[true]:,}"
        for true, other in order
        if counts[true, other]
    ]
    if not pairs:
        return f"All {of_class.sum():,} images are on the diagonal: there is no mistake."
    return f"Most often mistaken: {'; '.join(pairs)}. All mistakes: {counts.sum():,} of {of_class.sum():,}."


def recalls(rows):
    """Return where the models are best and poorest at finding a class's images, and where they differ most.

    Args:
        rows: metrics.json's dictionaries with a ``name`` each.
    """
    names = [name for name, scores in rows[0]["per_class"].items() if scores["support"]]
    shares = np.array([[row["per_class"][name]["recall"] for name in names] for row in rows])
    means = shares.mean(axis=0)
    best, poorest = (f"{names[i]}, {percent(means[i])}" for i in (means.argmax(), means.argmin()))
    if len(rows) == 1:
        return f"Best at {best}; poorest at {poorest}."
    text = f"Easiest is {best} in the mean of the models; hardest {poorest}."
    widest = np.ptp(shares, axis=0).argmax()
    first, last = shares[:, widest].argmax(), shares[:, widest].argmin()
    if first == last:
        return f"{text} All models find equally many of each class."
    name, n = names[widest], rows[0]["per_class"][names[widest]]["support"]
    high, low = (percent(shares[i, widest]) for i in (first, last))
    text += f" The widest gap is at {name}: of its {n:,} images {rows[first]['name']} finds {high}"
    return f"{text}, {rows[last]['name']} {low}."


def reliability(calibration):
    """Return whether a model is surer than right or less sure, by how much, and what most of its answers are worth."""
    bins = [one for one in calibration["bins"] if one["count"]]
    n = sum(one["count"] for one in bins)
    sure, right = (sum(one[key] * one["count"] for one in bins) / n for key in ("confidence", "accuracy"))
    gap = sure - right
    text = f"{percent(sure)} sure in the mean and right in {percent(right)}: "
    if abs(gap) < 0.005:
        text += "as sure as right, over all."
    else:
        text += f"{points(gap)} {'surer than right' if gap > 0 else 'less sure than right'}."
    text += f" Expected calibration error {points(calibration['ece'])}."
    fullest = max(bins, key=lambda one: one["count"])
    return (
        f"{text} The largest group of answers, {fullest['count']:,}, is {100 * fullest['low']:.0f} to"
        f" {100 * fullest['high']:.0f}\u00a0% sure, and {percent(fullest['accuracy'])} of it is right."
    )


def mistakes(labels, probabilities, shown, sure=0.9):
    """Return how many mistakes a model makes, and how many of them while sure; ``shown`` is how many are pictured."""
    wrong = probabilities.argmax(axis=1) != labels
    total, certain = int(wrong.sum()), int((wrong & (probabilities.max(axis=1) > sure)).sum())
    if not total:
        return f"No mistake in {len(labels):,} images."
    which = f"here are the {shown} it is surest of" if shown < total else "here all of them, the surest first"
    return (
        f"{total:,} mistakes in {len(labels):,} images, {f'{certain:,}' if certain else 'none'} of them with more than"
        f" {100 * sure:.0f}\u00a0% confidence; {which}."
    )


def disagreements(labels, names, predicted):
    """Return on how many images models answer differently, and who is right there.

    Args:
        labels: true classes, of shape (N,).
        names: the models' names.
        predicted: their answers, of shape (models, N).
    """
    differ = (predicted != predicted[0]).any(axis=0)
    if not differ.any():
        return f"The models give the same answer to each of the {len(labels):,} images."
    right = (predicted == labels)[:, differ]
    scores = [f"{name} is right on {count:,}" for name, count in zip(names, right.sum(axis=1), strict=True)]
    nobody = "neither" if len(names) == 2 else "none of them"
    scores.append(f"{nobody} on {(~right.any(axis=0)).sum():,}")
    return f"The models answer differently on {differ.sum():,} of {len(labels):,} images: {', '.join(scores)}."
