"""From picture files to predictions: files are read ahead in threads, while a model predicts."""

import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from classify.command import Problem
from classify.data import pictures
from classify.environment import cores
from classify.inference.predictor import BATCH_SIZE
from classify.progress import track


def predict_files(paths, predictors, tta=False):
    """Read picture files and predict what they show; memory does not grow with their number.

    A progress bar is shown for more than one batch.

    Args:
        paths: the files.
        predictors: the ``Predictor`` objects to ask; each gets the pictures in its own size, reduced in its own way.
        tta: whether to predict with test-time augmentation too.

    Yields a batch at a time, in the order of ``paths``: a list of (path, a list of one ``Prediction`` a predictor). In
    place of that list stands a ``Problem`` where a file cannot be read.
    """
    forms = {_form(predictor) for predictor in predictors}
    batches = (_predict(batch, predictors, tta) for batch in _read_ahead(paths, forms))
    return track(batches, len(paths), "predicting") if len(paths) > BATCH_SIZE else batches


def _form(predictor):
    """Return what ``pictures.load`` takes to give a picture the form that a predictor wants."""
    return (*predictor.input_size, predictor.reduction)


def _predict(batch, predictors, tta):
    """Return what ``predict_files`` yields for a batch of (path, its pixels by form or the ``Problem``)."""
    pictures_read = [by_form for _, by_form in batch if not isinstance(by_form, Problem)]
    if not pictures_read:
        return batch
    by_predictor = []
    for predictor in predictors:
        pixels = np.stack([by_form[_form(predictor)] for by_form in pictures_read])
        by_predictor.append(predictor.predict(pixels, tta))
    by_picture = zip(*by_predictor, strict=True)
    return [(path, by_form if isinstance(by_form, Problem) else list(next(by_picture))) for path, by_form in batch]


def _read_ahead(paths, forms):
    """Yield batches of (path, its pixels by form or the ``Problem``); the next batch is read meanwhile."""
    batches = [paths[first : first + BATCH_SIZE] for first in range(0, len(paths), BATCH_SIZE)]
    read = functools.partial(_read, forms=forms)
    threads = ThreadPoolExecutor(cores())
    try:
        ahead = []
        for batch in [*batches, []]:
            current, ahead = ahead, [(path, threads.submit(read, path)) for path in batch]
            if current:
                yield [(path, reading.result()) for path, reading in current]
    finally:
        threads.shutdown(cancel_futures=True)


def _read(path, forms):
    try:
        return {form: pictures.load(path, *form) for form in forms}
    except Problem as problem:
        return problem
