"""A saved model: opening it and asking it for probabilities."""

import contextlib
import functools
import itertools
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from classify import command
from classify.command import Problem
from classify.data import pictures as images
from classify.inference import litert as light
from classify.inference import tta as views
from classify.precision import cores

BATCH_SIZE = 50  # of InceptionV3 at 224 pixels a larger one would take gigabytes


def load_model(path):
    """Open a ``.keras`` file that obeys the saved-model contract; raise ``Problem`` if it is none."""
    command.start_keras()
    import keras

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


def open_model(path):
    """Open a ``.keras`` file by its light copy, which starts at once, or where there is no current one by Keras."""
    return light.find(path) or load_model(path)


def predict(model, pixels, doing="predicting"):
    """Return class probabilities, float32 of shape (N, classes), of uint8 or float images (N, H, W, 3), 0 to 255.

    Where standard error is a terminal a bar there shows the time left, labelled with what is ``doing``, if given.

    Raises:
        Problem: what the model returns is not probabilities.
    """
    starts = range(0, len(pixels), BATCH_SIZE)
    batches = (_ask(model, pixels[first : first + BATCH_SIZE]) for first in starts)
    rows = list(with_bar(batches, len(pixels), doing) if doing else batches)
    return np.concatenate(rows or [np.empty((0, model.output_shape[-1]), "float32")])


class Answer(NamedTuple):
    """A model's answer to an image: class probabilities, and what it saw of it, uint8 of shape (H, W, 3).

    ``averaged`` are the probabilities with test-time augmentation, None without.
    """

    probabilities: np.ndarray
    pixels: np.ndarray
    averaged: np.ndarray | None = None


def answers(paths, models, mirrored=None):
    """Read image files ahead in threads and ask models about them; memory does not grow with their number.

    Args:
        paths: the image files.
        models: opened models; each gets the images in its own size.
        mirrored: for test-time augmentation: whether each model's images may be mirrored.

    Yields a list a batch, of (path, one ``Answer`` a model) or, where a file cannot be read, (path, the ``Problem``).
    """
    sizes = list(dict.fromkeys(model.input_shape[1:3] for model in models))
    mirrored = mirrored or [None] * len(models)

    def read(path):
        try:
            return {size: images.load_image(path, *size) for size in sizes}
        except Problem as problem:
            return problem

    with ThreadPoolExecutor(cores()) as readers, contextlib.ExitStack() as stack:
        stack.callback(readers.shutdown, wait=False, cancel_futures=True)
        batches = [paths[first : first + BATCH_SIZE] for first in range(0, len(paths), BATCH_SIZE)]
        reading = ((batch, [readers.submit(read, path) for path in batch]) for batch in batches)
        for (batch, futures), _ in itertools.pairwise(itertools.chain(reading, [None])):
            read_now = [future.result() for future in futures]
            good = [found for found in read_now if not isinstance(found, Problem)]
            rows = []
            if good:
                by_size = {size: np.stack([found[size] for found in good]) for size in sizes}
                pixels = (by_size[model.input_shape[1:3]] for model in models)
                rows = zip(*map(_answer, models, pixels, mirrored), strict=True)
            rows = iter(rows)
            yield [
                (path, found if isinstance(found, Problem) else list(next(rows)))
                for path, found in zip(batch, read_now, strict=True)
            ]


def with_bar(batches, total, doing):
    """Yield from ``batches``; while the next one is made a bar shows the time left, if standard error is a terminal.

    While the consumer has a batch there is no bar, so it may print.
    """
    if not sys.stderr.isatty() or total <= BATCH_SIZE:
        yield from batches
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task(doing, total=total)
        for batch in batches:
            bar.advance(task, len(batch))
            bar.stop()
            yield batch
            bar.start()


def _answer(model, pixels, mirror):
    averaged = [None] * len(pixels)
    if mirror is not None:
        averaged = views.average(functools.partial(_ask, model), pixels, mirror)
    return list(map(Answer, _ask(model, pixels), pixels, averaged))


def _ask(model, pixels):
    rows = model.predict_on_batch(pixels)
    if not (np.abs(rows.sum(axis=1) - 1) < 1e-3).all() or rows.min() < 0:
        raise Problem("the model does not return probabilities: its rows do not sum to 1")
    return rows


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
