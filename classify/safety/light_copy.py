"""A light copy, model.tflite, from anywhere: it may answer only for the network that the .keras file describes."""

import math

import numpy as np

from classify.safety.network import VALUES
from classify.safety.refusal import refuse, unless

OPERATORS = 5_000
# What our export makes of this project's models. None of them calls another subgraph, a library or a file.
ALLOWED = (
    "ADD AVERAGE_POOL_2D CONCATENATION CONV_2D EXPAND_DIMS FULLY_CONNECTED GELU LEAKY_RELU LOGISTIC MAX_POOL_2D MEAN "
    "MUL PACK REDUCE_MAX RELU RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SHAPE SOFTMAX STRIDED_SLICE SUB TANH "
    "TILE"
)


def check(interpreter, network, keras_file):
    """Raise ``Refused`` unless a light copy may answer for a network.

    Its FlatBuffer is whole: LiteRT verifies that when it opens the file. Here nothing of it has run yet.

    Args:
        interpreter: LiteRT's, of the copy, before it allocates its tensors.
        network: the ``Network`` that the ``.keras`` file's config implies.
        keras_file: that file's bytes. The copy's last layer must have its weights.
    """
    [source], [target] = interpreter.get_input_details(), interpreter.get_output_details()
    for tensor, shape in ((source, network.input_shape), (target, network.output_shape)):
        fits = tensor["dtype"] is np.float32 and tuple(tensor["shape_signature"]) == (-1, *shape)
        unless(fits, "its light copy is another network's")
    check_sizes(interpreter)
    operators = interpreter._get_ops_details()  # the library has no public way to ask
    allowed = ALLOWED.split()
    unless(len(operators) <= OPERATORS, "its light copy has too many operators")
    for operator in operators:
        if operator["op_name"] not in allowed:
            refuse(f"its light copy has an operator {operator['op_name'][:60]}")
    _check_tiles(interpreter, operators, math.prod(network.input_shape))
    _check_last(interpreter, operators, target["index"], keras_file)


def check_sizes(interpreter):
    """Raise ``Refused`` unless every tensor is a small one of float32 or int32: before and after they are allocated."""
    for tensor in interpreter.get_tensor_details():
        small = math.prod(tensor["shape"].tolist()) <= VALUES and tensor["shape"].size <= 6
        unless(small and tensor["dtype"] in (np.float32, np.int32), "its light copy has a huge or strange tensor")


def _check_tiles(interpreter, operators, values):
    """Raise ``Refused`` where repeated pixels could fill the memory: how many there will be is known only then."""
    for operator in operators:
        if operator["op_name"] == "TILE":
            values *= math.prod(interpreter.get_tensor(operator["inputs"][1]).tolist())
            unless(0 < values <= VALUES, "its light copy has a huge tensor")


def _check_last(interpreter, operators, target, keras_file):
    """Raise ``Refused`` unless a copy ends in a dense layer with weights of the .keras file, and a softmax."""
    unless([op["op_name"] for op in operators[-2:]] == ["FULLY_CONNECTED", "SOFTMAX"], "its light copy ends otherwise")
    dense, softmax = operators[-2:]
    joined = list(dense["outputs"]) == list(softmax["inputs"]) and list(softmax["outputs"]) == [target]
    kernel = interpreter.get_tensor(dense["inputs"][1])
    there = keras_file.rfind(np.ascontiguousarray(kernel.T).tobytes()) >= 0  # the last layer's stand near the end
    unless(joined and there, "its light copy is another network's")
