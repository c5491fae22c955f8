"""report.html: a comparison as one file for a browser, which needs nothing else."""

import base64
import dataclasses
import datetime
import io
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

from classify.command import printable
from classify.evaluation.metrics import wilson_interval
from classify.evaluation.subject import is_of
from classify.reporting import plots, sentences
from classify.runs.history import score

MISTAKES = 12  # images shown a model
DISAGREEMENTS = 24
DOUBTS = 48  # labels that look wrong
CLASSES = 20  # bars of more classes are of those that the models differ most on
SIDE_BY_SIDE = 12  # a matrix of more classes takes the page's width
THUMBNAIL = 96  # pixels


@dataclasses.dataclass(frozen=True)
class Picture:
    """A chart for the page: SVG data URIs for a light and a dark page, its name for screen readers, its caption."""

    light: str
    dark: str
    alt: str
    caption: str


def render(split, measurements, comparisons, check=None):
    """Return the page, HTML that refers to no other file.

    Args:
        split: the ``NamedSplit`` that was measured on.
        measurements: a ``Measurement`` a model, at least one.
        comparisons: what ``measuring.compare`` returns.
        check: the ``LabelCheck`` of their data; None where nobody looked at the labels.
    """
    rows = [measurement.row for measurement in measurements]
    saved = [measurement.saved for measurement in measurements]
    source = split.source
    if comparisons:
        verdicts = [sentences.verdict(comparison) for comparison in comparisons]
    else:
        verdicts = [sentences.accuracy(rows[0])]
    return _template().render(
        title=f"{source.title} {split.name}: {sentences.listed([row['name'] for row in rows])}",
        n=len(split),
        where=source.where,
        now=datetime.datetime.now(),
        verdicts=verdicts,
        cautions=sentences.cautions(split.name, [m.data for m in saved if m.data and not is_of(m, source)]),
        wide=len(source.class_names) > SIDE_BY_SIDE,
        recalls=_recalls(rows),
        disagreements=_disagreements(split, measurements, source.class_names),
        labels=_labels(check, len(source.class_names)) if check else None,
        models=[
            {
                "index": index,
                "light": plots.colour(index),
                "dark": plots.DARK[plots.colour(index)],
                "row": measurement.row,
                "curves": curves,
                "confusion": _confusion(measurement.row),
                "reliability": _reliability(measurement.row, index),
                "mistakes": _mistakes(split, measurement.probabilities, source.class_names),
            }
            for index, (measurement, curves) in enumerate(zip(measurements, _curves(saved), strict=True))
        ],
    )


def _template():
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # names of classes, data and runs are a stranger's text
        finalize=lambda value: printable(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = sentences.percent
    return environment.get_template("report.html")


def _curves(models):
    """Return a ``Picture`` of each model's training, None for one without a history; accuracy on one scale."""
    histories = [saved.history() for saved in models]
    keys = ("accuracy", "val_accuracy")
    lowest = min((row[key] for history in histories for row in history for key in keys if key in row), default=0)
    pictures = []
    for saved, history in zip(models, histories, strict=True):
        picture = None
        if history:
            kept = int(max(history, key=score)["epoch"])
            uris = plots.embed(plots.curves, history, kept, stacked=True, lowest=np.floor(10 * lowest) / 10)
            alt = f"Loss, accuracy and learning rate of {saved.name} over {len(history)} epochs"
            picture = Picture(*uris, alt, sentences.curves(history))
        pictures.append(picture)
    return pictures


def _confusion(row):
    wide = len(row["class_names"]) > SIDE_BY_SIDE
    uris = plots.embed(plots.confusion, row, width=plots.PAGE_WIDTH * (2.1 if wide else 1))
    return Picture(*uris, f"Confusion matrix of {row['name']}", sentences.confusion(row))


def _recalls(rows):
    """Return the ``Picture`` of recall a class. Its caption says so if only some of the classes are in it."""
    names = [name for name, scores in rows[0]["per_class"].items() if scores["support"]]
    shown = _most_telling(rows, names)
    models = []
    for row in rows:
        classes = [row["per_class"][name] for name in shown]
        bounds = [wilson_interval(round(scores["recall"] * scores["support"]), scores["support"]) for scores in classes]
        models.append((row["name"], [scores["recall"] for scores in classes], *zip(*bounds, strict=True)))
    uris = plots.embed(plots.recalls, shown, models)
    caption = sentences.recalls(rows)
    if len(shown) < len(names):
        which = "the models differ most on" if len(rows) > 1 else "it finds least"
        caption += f" Shown are the {len(shown)} of {len(names)} classes that {which}."
    return Picture(*uris, f"Recall of {sentences.listed([row['name'] for row in rows])} in each class", caption)


def _most_telling(rows, classes):
    """Return the names of at most ``CLASSES`` classes: those that models differ most on, or one model finds least."""
    if len(classes) <= CLASSES:
        return classes
    recall = np.array([[row["per_class"][name]["recall"] for name in classes] for row in rows])
    rank = np.ptp(recall, axis=0) if len(rows) > 1 else -recall[0]
    return [classes[i] for i in np.argsort(-rank, kind="stable")[:CLASSES]]


def _reliability(row, index):
    uris = plots.embed(plots.reliability, row["calibration"], index)
    return Picture(*uris, f"Reliability diagram of {row['name']}", sentences.reliability(row["calibration"]))


def _mistakes(split, probabilities, class_names):
    """Return the images that a model is surest of and wrong about, the surest first."""
    predicted, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != split.labels)
    shown = wrong[np.argsort(-sure[wrong], kind="stable")[:MISTAKES]]
    tiles = [
        {
            "image": image_uri(pixels),
            "true": class_names[split.labels[i]],
            "predicted": class_names[predicted[i]],
            "sure": sure[i],
        }
        for i, pixels in zip(shown, split.images[shown], strict=True)
    ]
    return {"tiles": tiles, "caption": sentences.mistakes(split.labels, probabilities, len(tiles))}


def _disagreements(split, measurements, class_names):
    """Return the images that models answer differently, sorted by the lowest of their confidences, highest first.

    None for a single model.
    """
    if len(measurements) == 1:
        return None
    names = [measurement.row["name"] for measurement in measurements]
    probabilities = np.stack([measurement.probabilities for measurement in measurements])
    predicted, sure = probabilities.argmax(axis=2), probabilities.max(axis=2)
    differ = np.flatnonzero((predicted != predicted[0]).any(axis=0))
    shown = differ[np.argsort(-sure[:, differ].min(axis=0), kind="stable")[:DISAGREEMENTS]]
    tiles = [
        {
            "image": image_uri(pixels),
            "true": class_names[split.labels[i]],
            "answers": [
                {"predicted": class_names[answer], "sure": share, "right": answer == split.labels[i]}
                for answer, share in zip(predicted[:, i], sure[:, i], strict=True)
            ],
        }
        for i, pixels in zip(shown, split.images[shown], strict=True)
    ]
    return {"tiles": tiles, "caption": sentences.disagreements(split.labels, names, predicted)}


def _labels(check, classes):
    """Return the pictures whose label is most doubtful."""
    shown = check.rows[:DOUBTS]
    tiles = [
        {
            "image": image_uri(pixels),
            "label": doubt["label"],
            "looks": sentences.looks_like(doubt, classes),
            "place": sentences.place(doubt),
        }
        for doubt, pixels in zip(check.entry["doubtful"], check.pictures.images[shown], strict=False)
    ]
    more = f" Here are {len(shown)} of them." if len(shown) < len(check.rows) else ""
    return {"tiles": tiles, "caption": f"{sentences.labels(check.entry)}{more}"}


def image_uri(pixels):
    """Return uint8 RGB pixels, made smaller to fit ``THUMBNAIL``, as a data URI."""
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    image.save(file, "WebP", lossless=True)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
