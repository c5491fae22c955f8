"""What every training begins with: data, arithmetic, seed and a run's folder."""

import contextlib
import dataclasses

import keras

from classify import environment
from classify.backends import backend
from classify.command import Problem, note, printable
from classify.data import sources, splits
from classify.distribution.following import FollowingRun
from classify.distribution.interrupts import AgreedInterrupts
from classify.distribution.processes import processes
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


def divided(settings):
    """Return the settings with a batch size that the devices divide which train with ``--distribute``.

    It is rounded up, and that is said. A run that is gone on with keeps its batch size, since its steps are counted.
    """
    devices = len(keras.distribution.list_devices()) if settings.distribute else 1
    left = -settings.batch_size % devices
    if devices > 1:
        note(f"{'':{len(settings.recipe)}}   devices: {devices}, processes: {processes.count}")
    if not left or settings.resume:
        return settings
    size = settings.batch_size + left
    note(f"batches of {settings.batch_size} images become {size}, which {devices} devices divide")
    return dataclasses.replace(settings, batch_size=size)


@contextlib.contextmanager
def open_run(settings, data, precision):
    """Open the ``Run`` to fill: a new one, or the one that the settings go on with, which must have the same data.

    What a new one is begun with is written down at once. Of several processes the first one does that.

    Raises:
        Problem: the folder is in use, the data are others, or the processes do not have the same.
    """
    interrupts = AgreedInterrupts(processes) if processes.client else None
    if processes.index:
        with FollowingRun(settings.resume or settings.out or "runs", interrupts) as run:
            _check_same(settings, data)
            if settings.resume:
                run.saved = run.checkpoints.newest()
            processes.check_same("checkpoint", run.saved and run.saved[0])
            run.devices = backend.all_devices()
            yield run
        return
    if settings.resume:
        folder = settings.resume
    else:
        another = unfinished.mention(settings.script) and not settings.out
        folder = folder_for(settings.out, settings.recipe, data.source.name, settings.overwrite)
        if another:
            note(f"This run is a new one, in {printable(folder)}.\n")
    with Run(folder, interrupts) as run:
        _check_same(settings, data)
        made_with = {"processor": environment.processor(), "packages": environment.packages()}
        if settings.resume:
            _go_on(run, data, made_with)
        else:
            begun = {"script": settings.script, "options": settings.options() | {"data": data.source.option}}
            run.checkpoints.begin(**begun, precision=precision, data_fingerprint=_fingerprint(data), **made_with)
        processes.check_same("checkpoint", run.saved and run.saved[0])
        run.devices = backend.all_devices() if settings.distribute else None
        yield run


def _check_same(settings, data):
    """Raise ``Problem`` unless all processes have the same options and images."""
    if processes.client:
        elsewhere = ("data", "data_dir")
        processes.check_same("options", {k: v for k, v in settings.options().items() if k not in elsewhere})
        processes.check_same("images", _fingerprint(data))


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
