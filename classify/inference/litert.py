"""The LiteRT copy of a saved model: LiteRT runs it at once, where TensorFlow needs seconds to start.

``model.tflite`` lies beside ``model.keras``. Behind the network it holds a zip archive with the SHA-256 of the
``.keras`` file it was made from, so that it is never taken for the copy of another model, and its own CRC-32, so that
a damaged one is noticed. Both can be forged; ``classify.safety.light_copy`` says what is checked besides.
"""

import hashlib
import mmap
import struct
import zipfile
import zlib

import numpy as np

from classify.command import standard_error_kept
from classify.environment import cores
from classify.safety import light_copy, members
from classify.safety.refusal import Refused

SUFFIX = ".tflite"
MADE_FROM, WHOLE = "keras.sha256", "copy.crc32"
LIMITS = {MADE_FROM: (64, 1), WHOLE: (8, 1)}  # the most bytes of each, and how often they may be packed
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


def find(path, network):
    """Return the ``LiteRTModel`` of a ``.keras`` file, or None where it has no current copy or LiteRT is missing.

    Args:
        path: the ``.keras`` file.
        network: the ``classify.safety.network.Network`` that its config implies. A copy of another one is not used.
    """
    copy = path.with_suffix(SUFFIX)
    try:
        with members.opened(copy, LIMITS) as archive:
            content = memoryview(mapped(copy))[: min(member.header_offset for member in archive.infolist())]
            if archive.read(WHOLE) != _checksum(content) or archive.read(MADE_FROM) != fingerprint(path).encode():
                return None
        light_copy.check(content, network, mapped(path))
        model = LiteRTModel(copy)
        light_copy.check_sizes(model.interpreter)
        return model
    except (OSError, ImportError, LookupError, TypeError, ValueError, RuntimeError, Refused):
        return None


def set_dense(copy, weights):
    """Give the last Dense layers in a LiteRT copy, a ``bytearray``, other weights.

    Args:
        copy: the FlatBuffer. What it says is not checked, so nothing may run it before ``light_copy.check``.
        weights: a pair of kernel and bias for each of these layers, in order.

    Raises:
        ValueError, LookupError or struct.error: there are no such layers.
    """
    model = light_copy.Table(copy, struct.unpack_from("<I", copy)[0])
    [graph] = model.tables(2)
    tensors, buffers = graph.tables(0), model.tables(4)
    is_dense = [light_copy.DENSE in (code.number(0, "<b"), code.number(3)) for code in model.tables(1)]
    dense = [operator for operator in graph.tables(3) if is_dense[operator.number(0, "<I")]]
    for operator, (kernel, bias) in zip(dense[-len(weights) :], weights, strict=True):
        for number, values in zip(operator.values(1, "<i4").tolist()[1:], (kernel.T, bias), strict=True):
            buffers[tensors[number].number(2, "<I")].values(0, "u1")[:] = (
                np.ascontiguousarray(values).ravel().view("u1")
            )


def mapped(path):
    """Return a file's bytes, read when they are needed."""
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def mark(copy, made_from):
    """Write into a LiteRT copy its CRC-32 and the ``fingerprint`` of the ``.keras`` file that it was made from."""
    whole = _checksum(copy.read_bytes())
    with zipfile.ZipFile(copy, "a") as archive:
        archive.writestr(MADE_FROM, made_from)
        archive.writestr(WHOLE, whole)


def _checksum(content):
    return f"{zlib.crc32(content):08x}".encode()


def fingerprint(path):
    """Return a file's SHA-256 in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
