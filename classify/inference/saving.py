"""Saving a model: as a Keras file, and as the LiteRT copy that starts at once."""

from classify.command import Problem, note
from classify.files import whole
from classify.inference import export, litert


def save_model(model, path):
    """Write a Keras model to ``path``, which ends in ``.keras``, and its LiteRT copy beside it."""
    save_litert(model, path, save_keras(model, path))


def save_keras(model, path):
    """Write a Keras model to ``path``, which ends in ``.keras``; return the file's SHA-256."""
    with whole(path, size=4 * model.count_params()) as beside:
        model.save(beside)
        return litert.fingerprint(beside)


def save_litert(model, path, made_from, shortcut=None):
    """Write the LiteRT copy of a model beside its Keras file, whose SHA-256 is ``made_from``.

    ``shortcut`` is as ``export`` takes it.
    Where the copy cannot be made a line says so, and predict.py uses the Keras file.
    """
    try:
        export.export(model, path, made_from, "litert", shortcut)
    except Problem as problem:
        note(f"predict.py will start slowly with this model: {problem}")
        path.with_suffix(litert.SUFFIX).unlink(missing_ok=True)
