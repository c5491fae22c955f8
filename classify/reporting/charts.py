"""Predictions as text: bar charts for a terminal of 80 columns, a line of JSON, a row of CSV."""

import csv
import io
import itertools
import json

import numpy as np

from classify.command import printable

WIDTH = 80  # columns of a terminal
BAR = 24  # columns of a probability of 1, at most
NUMBER = len("  100.0 %  ")
NUMBER_WITH_TTA = len("  TTA 100.0 %")
CSV_HEADING = "file,class,probability,unsure"


def as_json(path, predictions):
    """Return an image's line: of one model its prediction, of several a list of them under ``models``."""
    if len(predictions) == 1:
        entries = predictions[0].entries()
    else:
        entries = {"models": [{"model": prediction.model, **prediction.entries()} for prediction in predictions]}
    return json.dumps({"image": str(path), **entries})


def as_csv(path, predictions):
    """Return an image's row of what one model says: ``CSV_HEADING`` names its columns.

    Names stand as they are, quoted where they need it. ``unsure`` is ``true`` or ``false``, and empty where no
    threshold is known.
    """
    [prediction] = predictions
    unsure = "" if prediction.unsure is None else str(bool(prediction.unsure)).lower()
    row = io.StringIO()
    csv.writer(row).writerow([path, prediction.best, f"{prediction.probability:.6f}", unsure])
    return row.getvalue().removesuffix("\r\n")  # it quotes what is in its line's end, so the end is taken off here


def as_text(path, predictions, top, width):
    """Return the lines of an image: of one model its chart or that it is unsure, of several their charts side by side.

    Args:
        path: the image's file.
        predictions: one ``Prediction`` a model.
        top: how many classes to show.
        width: columns for the name where it stands beside what is said of it.
    """
    name = printable(path)
    if len(predictions) > 1:
        return side_by_side(name, predictions, top)
    [prediction] = predictions
    return unsure(name, prediction, width) if prediction.unsure else single(name, prediction, top, width)


def single(name, prediction, top, width):
    """Return the chart of one model. A name of more than 28 columns gets a line of its own above it."""
    if width > 28:
        return "\n".join([name, *(f"  {line}" for line in _chart(prediction, top, WIDTH - 2))])
    lines = _chart(prediction, top, WIDTH - width - 2)
    return "\n".join(f"{name if i == 0 else '':{width}}  {line}" for i, line in enumerate(lines))


def unsure(name, prediction, width):
    """Return that a model is unsure in one line, or in two where the name leaves too little room.

    With test-time augmentation a further line gives the best guess of that.
    """
    guess = _best_guess(prediction.probabilities, prediction.class_names)
    text = f"not sure: perhaps none of the {len(prediction.class_names)} classes ({guess})"
    beside = width + 2 + len(text) <= WIDTH
    lines = [f"{name:{width}}  {text}"] if beside else [name, f"  {text}"]
    if prediction.averaged is not None:
        indent = " " * (width if beside else 0)
        lines.append(f"{indent}  TTA: {_best_guess(prediction.averaged, prediction.class_names)}")
    return "\n".join(lines)


def side_by_side(name, predictions, top):
    """Return an image's name and below it a chart a model, each under its model's name.

    Three charts stand in a row, or two with test-time augmentation.
    """
    most = 3 if predictions[0].averaged is None else 2
    a_row = min(len(predictions), most)
    columns = WIDTH // a_row - 2
    charts = [_titled_chart(prediction, top, columns) for prediction in predictions]
    lines = [name]
    for first in range(0, len(charts), a_row):
        for cells in itertools.zip_longest(*charts[first : first + a_row], fillvalue=""):
            lines.append("".join(f"  {cell:{columns}}" for cell in cells).rstrip())
    return "\n".join(lines)


def _titled_chart(prediction, top, columns):
    doubt = ["not sure: perhaps none"] if prediction.unsure else []
    return [_cut(printable(prediction.model), columns), *_chart(prediction, top, columns), *doubt]


def _chart(prediction, top, columns):
    """Return lines of a class, its probability and a bar, the most probable first, then one for all other classes.

    With test-time augmentation its probability stands behind the bar.
    """
    order = np.argsort(prediction.probabilities)[::-1]
    rows = [(printable(prediction.class_names[i]), [i]) for i in order[:top]]
    if top < len(order):
        rows.append((f"{len(order) - top} others", order[top:]))
    with_tta = prediction.averaged is not None
    room = columns - NUMBER - (NUMBER_WITH_TTA if with_tta else 0)
    longest = min(max(len(label) for label, _ in rows), room - 3)  # three columns are left for the bar
    bar = min(BAR, room - longest)
    lines = []
    for label, classes in rows:
        probability = prediction.probabilities[classes].sum()
        line = f"{_cut(label, longest):{longest}}  {100 * probability:5.1f} %  {_bar(probability, bar):{bar}}"
        if with_tta:
            line += f"  TTA {100 * prediction.averaged[classes].sum():5.1f} %"
        lines.append(line.rstrip())
    return lines


def _best_guess(probabilities, class_names):
    best = np.argmax(probabilities)
    return f"best guess {printable(class_names[best])}, {100 * probabilities[best]:.1f} %"


def _cut(text, columns):
    return text if len(text) <= columns else text[: columns - 1] + "…"


def _bar(share, columns):
    """Return a bar in steps of an eighth of a character."""
    eighths = round(float(share) * columns * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
