"""Answers of a page on which people drop a picture: a bar a class, "not sure" where a model is, explanations."""

import base64
import functools
import html
import io
import json
import threading
from pathlib import Path

import numpy as np
from PIL import Image

from classify.command import Problem, printable
from classify.data import pictures
from classify.inference.loading import load_keras
from classify.inference.reading import predict_files

SHOWN = 448  # pixels of the longer side of a picture in the page, about
TOP = 5  # classes shown; all of them are in the section's data-answer
STYLE = """
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(11rem, 100%), 1fr)); gap: 1.5rem; }
.answers figure { margin: 0; }
.answers img { max-width: 100%; height: auto; border-radius: 6px; }
.answers figcaption { font-size: 0.85rem; }
.answers h3 { margin: 0 0 0.5rem; overflow-wrap: anywhere; }
.answers .class { display: grid; grid-template-columns: 1fr auto; margin: 0.4rem 0; column-gap: 0.5rem; }
.answers .class span { overflow-wrap: anywhere; }
.answers .bar { grid-column: 1 / -1; height: 0.6rem; border-radius: 3px; background: rgb(127 127 127 / 25%); }
.answers .bar i { display: block; height: 100%; border-radius: 3px; background: #2a78b8; }
.answers .unsure .bar i { background: #8a8a8a; }
.answers .doubt, .problem { font-weight: bold; overflow-wrap: anywhere; }
"""


class Answers:
    """Answers about pictures, as HTML. Nothing of a picture is kept: who wants an explanation brings ``seen`` again.

    Args:
        predictors: the ``Predictor`` objects to ask, at least one.
    """

    def __init__(self, predictors):
        self.predictors = predictors
        self.sizes = [_larger(predictor.input_size) for predictor in predictors]
        self._explanations = functools.cache(_explanations)
        self._one_at_a_time = threading.Lock()  # a LiteRT model must not be asked by two threads at once

    def answer(self, path):
        """Return (HTML, ``seen``) of a picture file; ``seen`` is None where the HTML says why there is no answer.

        ``seen`` is a JSON list of two data URIs a model: the pixels that it saw, and the same part of the picture in a
        size to look at.
        """
        try:
            with self._one_at_a_time:
                [[(_, predictions)]] = predict_files([path], self.predictors)
            if isinstance(predictions, Problem):
                raise predictions
            larger = {size: data_uri(pictures.load(path, *size)) for size in set(self.sizes)}
        except Problem as problem:
            return problem_as_html(str(problem).replace(printable(path), printable(Path(path).name))), None
        seen = [
            (data_uri(prediction.pixels, "PNG"), larger[size])
            for prediction, size in zip(predictions, self.sizes, strict=True)
        ]
        return as_html(predictions, seen[0][1]), json.dumps(seen)

    def explain(self, seen):
        """Return the HTML of ``answer`` with an explanation for each model. The first one waits for Keras to start."""
        try:
            seen = [tuple(map(_opened, uris)) for uris in json.loads(seen)]
            with self._one_at_a_time:
                explained = [self._explain(*asked) for asked in zip(self.predictors, self.sizes, seen, strict=True)]
        except (AttributeError, TypeError, ValueError, Problem):
            return problem_as_html("there is no picture to explain; drop it again")
        predictions, explanations, shown = zip(*explained, strict=True)
        return as_html(predictions, data_uri(shown[0]), explanations)

    def _explain(self, predictor, size, seen):
        """Return a model's ``Prediction``, its explanation (a data URI or a ``Problem``), and the picture to show."""
        pixels, shown = pictures.load(seen[0], *predictor.input_size), pictures.load(seen[1], *size)
        [prediction] = predictor.predict(pixels[None])
        try:
            seen[1].seek(0)
            file = io.BytesIO()
            self._explanations(predictor).drawn(seen[1], prediction).savefig(file, format="png")
            return prediction, data_uri(Image.open(file)), shown
        except Problem as problem:
            return prediction, problem, shown


def as_html(predictions, seen, explanations=()):
    """Return a picture beside what each model says of it.

    Args:
        predictions: one ``Prediction`` a model.
        seen: the data URI of the part of the picture that the models saw.
        explanations: for each model the data URI of its explanation, or the ``Problem`` that stands in its place.
    """
    picture = f'<img src="{seen}" alt="the picture"><figcaption>The part that the model looks at.</figcaption>'
    explanations = explanations or [None] * len(predictions)
    sections = map(_section, predictions, explanations)
    return f'<div class="answers"><figure>{picture}</figure>{"".join(sections)}</div>'


def problem_as_html(problem):
    """Return the line that says why there is no answer."""
    return f'<p class="problem" role="alert">{_text(problem)}</p>'


def data_uri(image, kind="WebP"):
    """Return a Pillow image, or uint8 RGB pixels of shape (H, W, 3), as a data URI."""
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def _larger(size):
    """Return a model's input size, made larger to be looked at."""
    factor = max(1, SHOWN // max(size))
    return tuple(factor * length for length in size)


def _explanations(predictor):
    model = load_keras(predictor.saved.path, predictor.saved.trust)  # a LiteRT copy has no gradients
    from classify.reporting.explanations import Explanations

    return Explanations(model, predictor.class_names)


def _opened(uri):
    return io.BytesIO(base64.b64decode(uri.partition(",")[2]))


def _section(prediction, explanation):
    probabilities, names = prediction.probabilities, prediction.class_names
    order = np.argsort(probabilities)[::-1]
    rows = [(names[i], probabilities[i]) for i in order[:TOP]]
    if len(order) > TOP:
        rows.append((f"{len(order) - TOP} others", probabilities[order[TOP:]].sum()))
    doubt = f'<p class="doubt">not sure: perhaps none of the {len(names)} classes</p>' if prediction.unsure else ""
    kind = "answer unsure" if prediction.unsure else "answer"
    bars = "".join(_bar(name, probability) for name, probability in rows)
    data = _text(json.dumps(prediction.entries()))
    section = f'<section class="{kind}" data-answer="{data}"><h3>{_text(prediction.model)}</h3>{doubt}{bars}'
    return f"{section}{_explanation(prediction, explanation)}</section>"


def _bar(name, probability):
    percent = f"{100 * probability:.1f}"
    label = f"<span>{_text(name)}</span><span>{percent} %</span>"
    return f'<div class="class">{label}<div class="bar"><i style="width: {percent}%"></i></div></div>'


def _explanation(prediction, explanation):
    if explanation is None:
        return ""
    if isinstance(explanation, Exception):
        return problem_as_html(explanation)
    alt = f"what in the picture speaks for {_text(prediction.best)}"
    return f'<figure><img class="explanation" src="{explanation}" alt="{alt}"></figure>'


def _text(value):
    """Return text that is never markup, nor a template of the page that shows it."""
    text = html.escape(printable(value))
    return text.replace("$", "&#36;").replace("{", "&#123;").replace("`", "&#96;")
