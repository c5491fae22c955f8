"""Numbers as sentences: each text is made here once, without line breaks, for the terminal and for report.html."""

import numpy as np

from classify.runs.history import score


def percent(share):
    """Return a share as '90.7 %', with a space at which no line breaks."""
    return f"{100 * share:.1f}\u00a0%"


def points(difference):
    """Return a difference of shares as '3.1 points', without its sign."""
    return f"{100 * abs(difference):.1f} points"


def accuracy(row):
    """Return a single model's accuracy in one sentence."""
    low, high = row["accuracy_interval"]
    return (
        f"{row['name']} is right on {percent(row['accuracy'])} of the {row['n']:,} images"
        f" (95\u00a0% interval {100 * low:.1f} to {100 * high:.1f})."
    )


def rounded(name):
    """Return that a model looked at many views of images in bfloat16."""
    return f"{name}: with test-time augmentation and on corrupted images in bfloat16, all else in float32."


def verdict(comparison):
    """Return which of two models is better, whether that may be chance, and where they differ.

    ``comparison`` is what ``metrics.compare`` returns, with both names in ``models``.
    """
    first, second = comparison["models"]
    low, high = (100 * bound for bound in comparison["interval"])
    interval = f"95\u00a0% interval {low:.1f} to {high:.1f}"
    if comparison["difference"]:
        p = f"p = {comparison['p']:.3f}" if comparison["p"] >= 0.001 else "p < 0.001"
        chance = "is not chance" if comparison["p"] < 0.05 else "may be chance"
        better = f"{points(comparison['difference'])} more accurate than {second}"
        text = f"{first} is {better} ({interval}); the difference {chance} (McNemar {p}).{_gains(comparison)}"
    else:
        text = f"{first} and {second} are equally accurate ({interval} points)."
    if not comparison["disagreements"]:
        return f"{text} They give the same answer to every image."
    return (
        f"{text} They disagree on {comparison['disagreements']:,} images: {first} is right on"
        f" {comparison['only_first_right']:,}, {second} on {comparison['only_second_right']:,},"
        f" neither on {comparison['disagreements_both_wrong']:,}."
    )


def _gains(comparison):
    """Return at most two classes for each model on which it is better, with a space in front; '' if there is none."""
    gains = sorted(comparison["recall"].items(), key=lambda gain: -gain[1])
    better = [f"{name} ({100 * gain:+.1f})" for name, gain in gains if gain > 0][:2]
    worse = [f"{name} ({100 * gain:+.1f})" for name, gain in gains[::-1] if gain < 0][:2]
    if not better:
        return ""
    text = f" It gains most on {' and '.join(better)}"
    return f"{text}; {comparison['models'][1]} is better on {' and '.join(worse)}." if worse else f"{text}."


def calibrated(row):
    """Return what ``calibration.calibrate`` did to a model: ``row["calibrated"]``."""
    temperature = row["calibrated"]["temperature"]
    if temperature == 1:
        return f"{row['name']}: temperature 1.000; no other gives a lower loss."
    return (
        f"{row['name']}: temperature {temperature:.3f}, now built into its model.keras."
        " metrics.json has the new loss; the accuracy and every predicted class stay the same."
    )


def cautions(split, others):
    """Return how the images measured on limit what the figures say, one sentence each.

    Args:
        split: the split's name.
        others: the names of the data that models were trained on, if these are other data.
    """
    sentences = []
    if split == "validation":
        sentences.append("Each training chose its best epoch on these images, so the figures flatter a little.")
    if split == "train":
        sentences.append("The models were trained on these images: the figures only show what they remember.")
    if others:
        sentences.append(f"The models were trained on other data: {' or '.join(sorted(set(others)))}.")
    return sentences


def curves(history):
    """Return what a run's training shows: the epoch that was kept, how good it was, and the way there."""
    kept, middle = max(history, key=score), history[len(history) // 2 - 1]
    training = f"{percent(kept['accuracy'])} of the training images"
    if "val_accuracy" not in kept:
        return f"The last of {len(history)} epochs was kept, without validation: {training} right."
    text = f"Epoch {kept['epoch']:.0f} of {len(history)} was kept:"
    text += f" {percent(kept['val_accuracy'])} of the validation images right, {training}."
    if len(history) > 3:
        half = f"Halfway, after epoch {middle['epoch']:.0f}"
        text += f" {half}, validation accuracy was {percent(middle['val_accuracy'])}."
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
        return f"No mistake in {of_class.sum():,} images: all are on the diagonal."
    return f"Most often mistaken: {'; '.join(pairs)}. All mistakes: {counts.sum():,} of {of_class.sum():,}."


def recalls(rows):
    """Return in which class the models find most and fewest of the images, and where they differ most.

    Args:
        rows: metrics.json's dictionaries with a ``name`` each.
    """
    names = [name for name, scores in rows[0]["per_class"].items() if scores["support"]]
    shares = np.array([[row["per_class"][name]["recall"] for name in names] for row in rows])
    means = shares.mean(axis=0)
    easiest, hardest = (f"{names[i]}, {percent(means[i])}" for i in (means.argmax(), means.argmin()))
    if len(rows) == 1:
        return f"Easiest class: {easiest}. Hardest: {hardest}."
    text = f"Easiest class, mean of the models: {easiest}. Hardest: {hardest}."
    widest = np.ptp(shares, axis=0).argmax()
    first, last = shares[:, widest].argmax(), shares[:, widest].argmin()
    if first == last:
        return f"{text} All models find equally many of each class."
    name, n = names[widest], rows[0]["per_class"][names[widest]]["support"]
    high, low = (percent(shares[i, widest]) for i in (first, last))
    return (
        f"{text} The models differ most on {name}: of its {n:,} images {rows[first]['name']} finds {high},"
        f" {rows[last]['name']} {low}."
    )


def reliability(calibration):
    """Return a model's mean confidence beside its accuracy, and the same of the bin that holds most answers.

    Args:
        calibration: what ``metrics.calibration`` returns.
    """
    bins = [answers for answers in calibration["bins"] if answers["count"]]
    n = sum(answers["count"] for answers in bins)
    confidence, right = (
        sum(answers[key] * answers["count"] for answers in bins) / n for key in ("confidence", "accuracy")
    )
    gap = confidence - right
    if abs(gap) < 0.005:
        judgement = "they agree"
    else:
        judgement = f"{'overconfident' if gap > 0 else 'underconfident'} by {points(gap)}"
    fullest = max(bins, key=lambda answers: answers["count"])
    return (
        f"Mean confidence {percent(confidence)}, accuracy {percent(right)}: {judgement}."
        f" Expected calibration error: {points(calibration['ece'])}."
        f" The largest group, {fullest['count']:,} answers, has {100 * fullest['low']:.0f} to"
        f" {100 * fullest['high']:.0f}\u00a0% confidence; {percent(fullest['accuracy'])} of it is right."
    )


def mistakes(labels, probabilities, shown, sure=0.9):
    """Return how many mistakes a model makes, and how many of them while sure; ``shown`` is how many are pictured."""
    wrong = probabilities.argmax(axis=1) != labels
    total, certain = int(wrong.sum()), int((wrong & (probabilities.max(axis=1) > sure)).sum())
    if not total:
        return f"No mistake in {len(labels):,} images."
    which = f"Here are the {shown} it is surest of" if shown < total else "Here are all of them, the surest first"
    return (
        f"{total:,} mistakes in {len(labels):,} images, {f'{certain:,}' if certain else 'none'} of them with more than"
        f" {100 * sure:.0f}\u00a0% confidence. {which}."
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


def labels(entry):
    """Return how many labels look wrong: ``entry`` is a ``LabelCheck``'s."""
    doubtful, which = len(entry["doubtful"]), listed(entry["splits"])
    if not doubtful:
        return f"None of the {entry['n']:,} labels looks wrong ({which})."
    look = "labels looks" if doubtful == 1 else "labels look"
    brackets = "in brackets the label's quality from 0, surely wrong, to 1"
    return f"{doubtful:,} of {entry['n']:,} {look} wrong ({which}), the most suspicious first; {brackets}."


def looks_like(doubt, classes):
    """Return what a picture looks like, with its label's quality.

    Args:
        doubt: one of the ``doubtful`` of a ``LabelCheck``'s entry.
        classes: how many classes there are.
    """
    nothing = "neither" if classes == 2 else "none"
    return f"looks like {doubt['looks_like'] or nothing} ({doubt['label_quality']:.2f})"


def place(doubt):
    """Return where a picture is: its file, or its split and row."""
    return doubt["file"] or f"{doubt['split']} {doubt['row']}"


def listed(names):
    """Return names as a person lists them: 'a, b and c'."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
