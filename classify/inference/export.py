"""Writing a Keras model for other programs. The new file is read back and compared before it counts."""

import contextlib
import importlib.util
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np

from classify import command
from classify.command import Problem, printable, standard_error_kept
from classify.environment import PROJECT
from classify.files import Unwritable, whole
from classify.inference import litert
from classify.safety import keras_file, light_copy
from classify.safety.refusal import Refused

TOLERANCE = 1e-4  # how far a probability may differ from Keras's
PACKAGES = {"litert": ("ai_edge_litert",), "onnx": ("onnx", "tf2onnx", "onnxruntime"), "saved_model": ()}
SUFFIXES = {"litert": litert.SUFFIX, "onnx": ".onnx", "saved_model": ".saved_model"}


def export(model, path, made_from, format, shortcut=None):
    """Write a Keras model in another format beside its ``.keras`` file.

    Args:
        model: the Keras model, of one input (N, H, W, 3).
        path: the model's ``.keras`` file.
        made_from: the ``litert.fingerprint`` of that file when it was loaded or saved. A training may replace it since.
        format: ``litert``, which predict.py uses, ``onnx``, or ``saved_model``, which is a folder.
        shortcut: for ``litert``, a ``transfer.Shortcut`` to the model. A conversion takes much time and memory, so
            the copy of a network that differs in its last two Dense layers alone is used again, and kept.

    Returns (the path written, the largest difference of a probability from Keras's).

    Raises:
        Problem: a package is missing, the model cannot be converted, the new file's probabilities differ too much, or
            the ``.keras`` file is another by now.
    """
    _check_packages(format)
    if os.environ["KERAS_BACKEND"] != "tensorflow":
        return _export_elsewhere(path, made_from, format)
    target = path.with_suffix(SUFFIXES[format])
    with whole(target) as beside:
        images = _test_images(model.input_shape[1:])
        # First: Keras exports no model to ONNX that was never called.
        expected = shortcut.predict(images, "made-up") if shortcut else model.predict_on_batch(images)
        difference = _from_former(shortcut.light, model, path, beside, images, expected) if shortcut else np.inf
        made_now = not difference <= TOLERANCE
        if made_now:
            difference = float(np.abs(_converted(model, beside, format, images) - expected).max())
        if not difference <= TOLERANCE:
            raise Problem(
                f"{printable(target.name)} gives other probabilities than Keras: they differ by {difference:.2g}"
            )
        if shortcut and made_now:
            with contextlib.suppress(Unwritable), whole(shortcut.light) as kept:
                shutil.copyfile(beside, kept)
        if format == "litert":
            litert.mark(beside, made_from)
        if litert.fingerprint(path) != made_from:
            raise Problem(f"{printable(path)} was replaced meanwhile; export it again")
    return target, difference


def _from_former(former, model, path, beside, images, expected):
    """Write a LiteRT file of a model from a kept one; return the largest difference of a probability from ``expected``.

    The kept file may come from anywhere: it is checked as a light copy is, which predict.py opens. The difference is
    infinite where it cannot be used.
    """
    try:
        copy = bytearray(former.read_bytes())
        litert.set_dense(copy, [layer.get_weights() for layer in model.layers if layer.get_weights()][-2:])
        light_copy.check(copy, keras_file.check(path), litert.mapped(path))
        beside.write_bytes(copy)
        answers = litert.LiteRTModel(beside).predict_on_batch(images)
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, struct.error, Problem, Refused):
        return np.inf
    return float(np.abs(answers - expected).max()) if answers.shape == expected.shape else np.inf


def _export_elsewhere(path, made_from, format):
    """Write the other format in a process of its own, on TensorFlow: Keras can on no other backend."""
    code = "import sys; from classify.inference.export import export_file; export_file(*sys.argv[1:])"
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(PROJECT), "CUDA_VISIBLE_DEVICES": ""}
    arguments = [sys.executable, "-c", code, path, made_from, format]
    process = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [f"it ended with status {process.returncode}"]
        raise Problem(lines[-1].removeprefix("-c: "))
    return path.with_suffix(SUFFIXES[format]), float(process.stdout)


def export_file(path, made_from, format):
    """Export a ``.keras`` file that this project has just written or opened, and print the largest difference."""
    from classify.inference.loading import load_keras

    command.run(lambda: print(export(load_keras(Path(path), trust=True), Path(path), made_from, format)[1]))


def _check_packages(format):
    missing = [name for name in PACKAGES[format] if importlib.util.find_spec(name) is None]
    if missing:
        file = "requirements.txt" if format == "litert" else "requirements-export.txt"
        raise Problem(f"{missing[0]} is not installed; python -m pip install -r {file}")


def _converted(model, path, format, images):
    """Write ``model`` in a format, read the file back and return its probabilities for ``images``."""
    failure = None
    with standard_error_kept():  # the converters print much
        try:
            model.export(path, format="tf_saved_model" if format == "saved_model" else format, verbose=False)
            return _READERS[format](path, images)
        except Exception as error:  # the converters raise almost anything
            failure = error
    reason = (str(failure).strip() or type(failure).__name__).splitlines()[0][:200]
    raise Problem(f"the model cannot be exported to {format}: {printable(reason)}") from failure


def _test_images(shape):
    """Return images to compare probabilities on, half fine and half coarse noise: uint8 of shape (16, H, W, 3)."""
    rng = np.random.default_rng(0)
    height, width, channels = shape
    fine = rng.integers(0, 256, (8, *shape), dtype="uint8")
    rows, columns = (np.arange(n) * 4 // n for n in (height, width))
    coarse = rng.integers(0, 256, (8, 4, 4, channels), dtype="uint8")[:, rows][:, :, columns]
    return np.concatenate([fine, coarse])


def _read_litert(path, images):
    return litert.LiteRTModel(path).predict_on_batch(images)


def _read_onnx(path, images):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images.astype("float32")})[0]


def _read_saved_model(path, images):
    import keras

    return np.asarray(keras.layers.TFSMLayer(path, call_endpoint="serve")(images.astype("float32")))


_READERS = {"litert": _read_litert, "onnx": _read_onnx, "saved_model": _read_saved_model}
