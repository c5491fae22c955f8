"""What every training begins with: data, arithmetic and seed."""

import dataclasses

import keras

from classify.command import note
from classify.data import sources, splits
from classify.precision import choose


def prepare(settings):
    """Read the data, choose the arithmetic and seed everything random, as a ``TrainingSettings`` says.

    Returns (``Data``, the precision, the reason for it in a few words).
    """
    source = sources.find(settings.data, settings.data_dir, settings.label)
    if settings.mirror is not None:
        source = dataclasses.replace(source, mirror=settings.mirror)
    data = splits.load(source, settings.validation, settings.limit)
    precision, reason = choose(settings.precision)
    note(data)
    if settings.augment:
        note(f"{'also' if source.mirror else 'not'} trained on mirrored images")
    keras.utils.set_random_seed(settings.seed)
    return data, precision, reason
