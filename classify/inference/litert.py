"""The LiteRT copy of a saved model: LiteRT runs it at once, where TensorFlow needs seconds to start.

``model.tflite`` lies beside ``model.keras``. Behind the network it holds a zip archive with the SHA-256 of the
``.keras`` file it was made from, so that it is never taken for the copy of another model.
"""

import hashlib
import zipfile

import numpy as np

from classify.command import standard_error_kept
from classify.environment import cores

SUFFIX = ".tflite"
MADE_FROM = "keras.sha256"
BATCH_SIZE = 10  # a larger batch takes more memory and was not faster


class LiteRTModel:
    """A LiteRT file with what prediction needs of a Keras model: its shapes and ``predict_on_batch``."""

    def __init__(self, path):
        from ai_edge_litert.interpreter import Interpreter

        with standard_error_kept():  # LiteRT says which fast library it found
            self.interpreter = Interpreter(model_path=str(path), num_threads=cores())
            self.interpreter.allocate_tensors()
        [source], [target] = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        self.source, self.target = source["index"], target["index"]
        self.input_shape = (None, *source["shape_signature"].tolist()[1:])
        self.output_shape = (None, *target["shape_signature"].tolist()[1:])
        self.batch_size = 1

    def predict_on_batch(self, images):
        """Return probabilities, float32 of shape (N, classes), of uint8 or float images (N, H, W, 3), 0 to 255."""
        batches = (images[first : first + BATCH_SIZE] for first in range(0, len(images), BATCH_SIZE))
        return np.concatenate([self._run(batch) for batch in batches])

    def _run(self, images):
        if len(images) != self.batch_size:
            self.interpreter.resize_tensor_input(self.source, images.shape)
            self.interpreter.allocate_tensors()
            self.batch_size = len(images)
        self.interpreter.set_tensor(self.source, images.astype("float32"))
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.target)


def find(path):
    """Return the ``LiteRTModel`` of a ``.keras`` file, or None where it has no current copy or LiteRT is missing."""
    copy = path.with_suffix(SUFFIX)
    try:
        with zipfile.ZipFile(copy) as archive:
            current = archive.read(MADE_FROM).decode() == fingerprint(path)
        return LiteRTModel(copy) if current else None
    except (OSError, ImportError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile):
        return None


def mark(copy, made_from):
    """Write into a LiteRT copy the ``fingerprint`` of the ``.keras`` file that it was made from."""
    with zipfile.ZipFile(copy, "a") as archive:
        archive.writestr(MADE_FROM, made_from)


def fingerprint(path):
    """Return a file's SHA-256 in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
