"""What every training begins with: data, arithmetic, seed and a run's folder."""

import contextlib
import dataclasses

import keras

from classify import environment
from classify.command import Problem, note, printable
from classify.data import sources, splits
from classify.precision import choose
from classify.runs import unfinished
from classify.runs.folder import Run, folder_for


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


@contextlib.contextmanager
def open_run(settings, data, precision):
    """Open the ``Run`` to fill: a new one, or the one that the settings go on with, which must have the same data.

    What a new one is begun with is written down at once.

    Raises:
        Problem: the folder is in use, or the data are others.
    """
    if settings.resume:
        folder = settings.resume
    else:
        another = unfinished.mention(settings.script) and not settings.out
        folder = folder_for(settings.out, settings.recipe, data.source.name, settings.overwrite)
        if another:
            note(f"This run is a new one, in {printable(folder)}.\n")
    with Run(folder) as run:
        made_with = {"processor": environment.processor(), "packages": environment.packages()}
        if settings.resume:
            _go_on(run, data, made_with)
        else:
            begun = {"script": settings.script, "options": settings.options() | {"data": data.source.option}}
            run.checkpoints.begin(**begun, precision=precision, data_fingerprint=_fingerprint(data), **made_with)
        yield run


def _go_on(run, data, made_with):
    """Give a run the checkpoint to go on from, if what it was begun with is the same."""
    begun = run.checkpoints.begun()
    if begun.get("data_fingerprint") != _fingerprint(data):
        raise Problem(f"{printable(run.folder)} was begun with other images than those in {data.source.where}")
    changed = [name for name, value in made_with.items() if begun.get(name) != value]
    if changed:
        note(f"{' and '.join(changed)} changed since the run was begun: it may end with other last digits")
    run.saved = run.checkpoints.newest()
    run.earlier = run.saved[0]["run_seconds"] if run.saved else 0.0


def _fingerprint(data):
    """Return what tells the data from any others: of one's own pictures their names and contents, else the pixels."""
    if data.source.fingerprint:
        return data.source.fingerprint()
    return splits.fingerprint(data.train) + splits.fingerprint(data.validation)
