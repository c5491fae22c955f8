"""A saved model: opening it and asking it for probabilities."""

import zipfile

import keras
import numpy as np
from rich.console import Console
from rich.progress import track

from classify.command import Problem

BATCH_SIZE = 50  # of InceptionV3 at 224 pixels a larger one would take gigabytes


def load_model(path):
    """Open a ``.keras`` file that obeys the saved-model contract; raise ``Problem`` if it is none."""
    if not zipfile.is_zipfile(path):
        raise Problem(f"{path} is not a Keras model (a .keras file)")
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # whatever a stranger's file makes Keras raise
        raise Problem(f"{path} cannot be opened as a Keras model: {_first_line(error)}") from error
    shape = getattr(model, "input_shape", None)
    if not (isinstance(shape, tuple) and len(shape) == 4 and None not in shape[1:3] and shape[3] == 3):
        raise Problem(f"{path} does not take RGB images of one size: its input is {shape}")
    shape = model.output_shape
    if not (isinstance(shape, tuple) and len(shape) == 2):
        raise Problem(f"{path} does not return one row of probabilities an image: its output is {shape}")
    return model


def predict(model, images, doing="predicting"):
    """Return class probabilities, float32 of shape (N, classes), of uint8 or float images (N, H, W, 3), 0 to 255.

    Where standard error is a terminal a bar there shows the time left, labelled with what is ``doing``.

    Raises:
        Problem: what the model returns is not probabilities.
    """
    console = Console(stderr=True)
    steps = track(
        range(0, len(images), BATCH_SIZE), doing, console=console, transient=True, disable=not console.is_terminal
    )
    batches = [model.predict_on_batch(images[first : first + BATCH_SIZE]) for first in steps]
    rows = np.concatenate(batches or [np.empty((0, model.output_shape[-1]), "float32")])
    if not (np.abs(rows.sum(axis=1) - 1) < 1e-3).all() or (rows < 0).any():
        raise Problem("the model does not return probabilities: its rows do not sum to 1")
    return rows


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
