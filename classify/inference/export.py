"""A Keras model written for other runtimes, each time reloaded and compared before it counts."""

import importlib.util

import numpy as np

from classify.command import Problem, note, standard_error_kept
from classify.inference import litert as light
from classify.runs.folder import whole

TOLERANCE = 1e-4  # the largest difference of a probability from Keras's
PACKAGES = {"litert": ("ai_edge_litert",), "onnx": ("onnx", "tf2onnx", "onnxruntime"), "saved_model": ()}
SUFFIXES = {"litert": light.SUFFIX, "onnx": ".onnx", "saved_model": ".saved_model"}


def save_model(model, path):
    """Save a Keras model whole, and its light copy beside it.

    Where that cannot be made, it is said in a line: ``predict.py`` then uses Keras.
    """
    with whole(path) as beside:
        model.save(beside)
    try:
        export(model, path, "litert")
    except Problem as problem:
        note(f"predict.py will start slowly with this model: {problem}")
        path.with_suffix(light.SUFFIX).unlink(missing_ok=True)


def export(model, path, format):
    """Write an opened model in another format beside its ``.keras`` file.

    Args:
        model: the Keras model, of one input (N, H, W, 3).
        path: the ``.keras`` file it was opened from or saved to.
        format: ``litert``, which is what ``predict.py`` uses, ``onnx`` or ``saved_model``, a folder.

    Returns (the path written, the largest difference of a probability from Keras's).

    Raises:
        Problem: a package is missing, the model cannot be converted, or what came out answers otherwise than Keras.
    """
    missing = [name for name in PACKAGES[format] if importlib.util.find_spec(name) is None]
    if missing:
        file = "requirements.txt" if format == "litert" else "requirements-export.txt"
        raise Problem(f"{missing[0]} is not installed; python -m pip install -r {file}")
    target = path.with_suffix(SUFFIXES[format])
    with whole(target) as beside:
        pixels = _pixels(model.input_shape[1:])
        expected = model.predict_on_batch(pixels)  # first, as Keras exports no model to ONNX that was never called
        difference = float(np.abs(_converted(model, beside, format, pixels) - expected).max())
        if not difference <= TOLERANCE:
            raise Problem(f"{target.name} would answer otherwise than Keras: probabilities differ by {difference:.2g}")
        if format == "litert":
            light.mark(beside, path)
    return target, difference


def _converted(model, path, format, pixels):
    """Convert ``model``, open what came out and return its answer to ``pixels``."""
    failure = None
    with standard_error_kept():  # the converters talk
        try:
            model.export(path, format="tf_saved_model" if format == "saved_model" else format, verbose=False)
            return _READERS[format](path, pixels)
        except Exception as error:  # whatever a converter raises
            failure = error
    reason = (str(failure).strip() or type(failure).__name__).splitlines()[0][:200]
    raise Problem(f"the model cannot be exported to {format}: {reason}") from failure


def _pixels(shape):
    """Return images to compare answers on, of coarse and of fine noise: uint8 of shape (16, H, W, 3)."""
    rng = np.random.default_rng(0)
    height, width, channels = shape
    fine = rng.integers(0, 256, (8, *shape), dtype="uint8")
    rows, columns = (np.arange(n) * 4 // n for n in (height, width))
    coarse = rng.integers(0, 256, (8, 4, 4, channels), dtype="uint8")[:, rows][:, :, columns]
    return np.concatenate([fine, coarse])


def _read_litert(path, pixels):
    return light.LightModel(path).predict_on_batch(pixels)


def _read_onnx(path, pixels):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: pixels.astype("float32")})[0]


def _read_saved_model(path, pixels):
    import keras

    return np.asarray(keras.layers.TFSMLayer(path, call_endpoint="serve")(pixels.astype("float32")))


_READERS = {"litert": _read_litert, "onnx": _read_onnx, "saved_model": _read_saved_model}
