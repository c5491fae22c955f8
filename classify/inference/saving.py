"""Saving a model: as a Keras file, and as the LiteRT copy that starts at once."""

from classify.command import Problem, note
from classify.files import whole
from classify.inference import export, litert


def save_model(model, path):
    """Write a Keras model to ``path``, which ends in ``.keras``, and its LiteRT copy beside it.

    Where the copy cannot be made a line says so, and predict.py uses the Keras file.
    """
    with whole(path) as beside:
        model.save(beside)
    try:
        export.export(model, path, "litert")
    except Problem as problem:
        note(f"predict.py will start slowly with this model: {problem}")
        path.with_suffix(litert.SUFFIX).unlink(missing_ok=True)
