"""One way through prediction: pixels in, probabilities and what follows from them out."""

import functools
from dataclasses import dataclass

import numpy as np

from classify.command import Problem, printable
from classify.data.decoding import REDUCTIONS
from classify.inference import ood
from classify.inference.loading import load
from classify.inference.tta import average
from classify.progress import track

BATCH_SIZE = 50  # a larger batch of InceptionV3's 224-pixel images would take gigabytes


def predict(model, images, doing="predicting"):
    """Return a model's class probabilities, float32 of shape (N, classes).

    Args:
        model: a Keras model or a ``LiteRTModel``.
        images: RGB pixels, uint8 or float from 0 to 255, of shape (N, H, W, 3): an array, or whatever has a length
            and returns the images of an array of rows.
        doing: the label of a progress bar, which is shown for more than one batch; None for no bar.

    Raises:
        Problem: the model does not return probabilities.
    """
    every_row = np.arange(len(images))
    starts = range(0, len(images), BATCH_SIZE)
    batches = (_predict_batch(model, images[every_row[first : first + BATCH_SIZE]]) for first in starts)
    if doing and len(images) > BATCH_SIZE:
        batches = track(batches, len(images), doing)
    return np.concatenate(list(batches) or [np.empty((0, model.output_shape[-1]), "float32")])


def _predict_batch(model, images):
    probabilities = model.predict_on_batch(images)
    if not (np.abs(probabilities.sum(axis=1) - 1) < 1e-3).all() or probabilities.min() < 0:
        raise Problem("the model does not return probabilities: its rows do not sum to 1")
    return probabilities


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one image.

    ``model`` is the model's name. ``probabilities`` holds one number a class, in the order of ``class_names``.
    ``pixels`` is the image as the model saw it, of shape (H, W, 3). ``unsure`` says whether the model is unsure, and is
    None where no threshold is known. ``averaged`` holds the probabilities with test-time augmentation, None without.
    """

    model: str
    class_names: tuple
    probabilities: np.ndarray
    pixels: np.ndarray
    unsure: bool | None = None
    averaged: np.ndarray | None = None

    @property
    def best(self):
        """The name of the most probable class."""
        return self.class_names[np.argmax(self.probabilities)]

    @property
    def probability(self):
        """The probability of the most probable class."""
        return float(np.max(self.probabilities))

    def entries(self):
        """Return a dictionary for JSON: class, probability, probabilities, unsure and, with augmentation, tta."""
        entries = _entries(self.class_names, self.probabilities) | {"unsure": self.unsure}
        if self.averaged is not None:
            entries["tta"] = _entries(self.class_names, self.averaged)
        return entries


def _entries(class_names, probabilities):
    best = int(np.argmax(probabilities))
    return {
        "class": class_names[best],
        "probability": float(probabilities[best]),
        "probabilities": dict(zip(class_names, probabilities.tolist(), strict=True)),
    }


class Predictor:
    """A saved model, opened, with all that its predictions need: class names, threshold, what its images allow.

    Args:
        saved: the ``SavedModel`` to open.

    Attributes:
        saved: the same.
        name: what to call the model.
        model: the opened model, a ``LiteRTModel`` or a Keras model.
        class_names: one name a class.
        rule: run.json's ``unsure`` entry, by which a prediction is unsure; None if there is none.
        mirror: whether images of its data set may be mirrored.
        input_size: the (height, width) of the images it takes, in pixels.
        reduction: the way in which pictures become as small as that, a name in ``decoding.REDUCTIONS``.

    Raises:
        Problem: the model cannot be opened, or its run.json names another number of classes or an unknown reduction.
    """

    def __init__(self, saved):
        self.saved = saved
        self.reduction = saved.reduction
        if self.reduction not in REDUCTIONS:
            way = f"reduced pictures in a way that is unknown here, {printable(self.reduction)}"
            raise Problem(f"{printable(saved.path)} {way}; use the version of this project that trained it")
        self.model = load(saved.path, saved.trust)
        self.name = saved.name
        self.class_names = saved.class_names(self.model.output_shape[-1])
        self.rule = saved.info.get("unsure")
        self.mirror = saved.mirror
        self.input_size = self.model.input_shape[1:3]
        self._try_out()

    def _try_out(self):
        """Ask about a blank image, so that a model or a rule which does not work is known before any picture is."""
        blank = np.zeros((1, *self.input_size, 3), "uint8")
        try:
            ood.unsure(predict(self.model, blank), blank, self.rule)
        except Problem as problem:
            raise Problem(f"{printable(self.saved.path)}: {problem}") from problem

    def predict(self, pixels, tta=False):
        """Return a list of one ``Prediction`` an image.

        Args:
            pixels: RGB, 0 to 255, of shape (N, H, W, 3), of the model's input size.
            tta: whether to predict with test-time augmentation too.

        Raises:
            Problem: the model does not return probabilities.
        """
        probabilities = predict(self.model, pixels, doing=None)
        averaged = self._averaged(pixels) if tta else [None] * len(pixels)
        unsure = ood.unsure(probabilities, pixels, self.rule)
        return [
            Prediction(self.name, self.class_names, probabilities[i], pixels[i], unsure[i], averaged[i])
            for i in range(len(pixels))
        ]

    def _averaged(self, pixels):
        return average(functools.partial(predict, self.model, doing=None), pixels, self.mirror)
