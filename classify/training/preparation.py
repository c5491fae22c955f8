"""What every training begins with: data, arithmetic and seed."""

import dataclasses

import keras

from classify.command import note
from classify.data import sources, splits
from classify.precision import choose


def prepare(settings, size_for):
    """Read the data, choose the arithmetic and seed everything random, as a ``TrainingSettings`` says.

    Args:
        settings: the ``TrainingSettings``.
        size_for: returns the image size, in pixels a side, for a ``Source`` whose images differ in size, if the
            settings have none.

    Returns (``Data``, the precision, the reason for it in a few words).
    """
    source = sources.find(settings.data, settings.data_dir, settings.label, settings.csv_order)
    if settings.mirror is not None:
        source = dataclasses.replace(source, mirror=settings.mirror)
    size = settings.image_size
    if size is None and source.shape is None:
        size = size_for(source)
    data = splits.load(source, settings.validation, settings.limit, settings.test, size)
    precision, reason = choose(settings.precision)
    note(data)
    if settings.augment:
        note(f"{'also' if source.mirror else 'not'} trained on mirrored images")
    keras.utils.set_random_seed(settings.seed)
    return data, precision, reason
