"""A light copy, model.tflite, from anywhere: it may answer only for the network that the .keras file describes.

It is a FlatBuffer: tables that point at tables. LiteRT finds out whether these lie in the file, but trusts what they
say of each other, and one that lies can end the process. So that is looked at first. The numbers of fields are those of
https://github.com/google-ai-edge/LiteRT/blob/main/tflite/schema/schema.fbs.
"""

import math
import struct

import numpy as np

from classify.safety.network import VALUES
from classify.safety.refusal import Refused, unless

FLOAT, WHOLE = 0, 2  # the types of tensors that there may be: float32, int32
RESIZE, TILE, CONCATENATE, DENSE, SOFTMAX = (23, 97), 69, 2, 9, 25
ARITHMETIC = 0, 18, 41  # add, multiply, subtract
# The operators that our export makes of this project's models, with how many inputs each has; None for any number.
INPUTS = {0: 2, 1: 1, 2: None, 3: 3, 9: 3, 14: 1, 17: 1, 18: 2, 19: 1, 22: 2, 23: 2, 25: 1, 28: 1, 40: 2, 41: 2}
INPUTS |= {45: 4, 69: 2, 70: 2, 77: 1, 82: 2, 83: None, 97: 2, 98: 1, 150: 1}
WINDOWS = {1: (1, 2, 3, 4), 3: (1, 2, 4, 5), 17: (1, 2, 3, 4)}  # the fields of strides, sizes and dilations
WIDEST = 64  # pixels a side of such a window
MOST = 10_000  # tables in a list
DAMAGED = "its light copy is damaged"


class Table:
    """A table of a FlatBuffer, at some byte of it. A field that is not there is 0, or an empty list."""

    def __init__(self, data, position):
        self.data, self.position = data, position
        self.index = position - self._number("<i", position)
        self.size = self._number("<H", self.index)

    def _number(self, kind, position):
        unless(position >= 0, DAMAGED)
        return struct.unpack_from(kind, self.data, position)[0]

    def _place(self, field):
        place = 4 + 2 * field
        offset = self._number("<H", self.index + place) if place < self.size else 0
        return self.position + offset if offset else None

    def number(self, field, kind="<i"):
        place = self._place(field)
        return 0 if place is None else self._number(kind, place)

    def table(self, field):
        place = self._place(field)
        unless(place is not None, DAMAGED)
        return Table(self.data, place + self._number("<I", place))

    def values(self, field, kind):
        """Return the numbers of a list as an array."""
        place = self._place(field)
        if place is None:
            return np.empty(0, kind)
        place += self._number("<I", place)
        return np.frombuffer(self.data, kind, self._number("<I", place), place + 4)

    def tables(self, field):
        """Return the tables of a list, of which there is at least one."""
        place = self._place(field)
        unless(place is not None, DAMAGED)
        place += self._number("<I", place)
        count = self._number("<I", place)
        unless(0 < count <= MOST, DAMAGED)
        starts = [place + 4 + 4 * number for number in range(count)]
        return [Table(self.data, start + self._number("<I", start)) for start in starts]

    def lacks(self, *fields):
        """Return whether none of these fields is there."""
        return all(self._place(field) is None for field in fields)


def check(copy, network, keras_file):
    """Raise ``Refused`` unless a light copy may answer for a network.

    Args:
        copy: the FlatBuffer's bytes.
        network: the ``Network`` that the ``.keras`` file's config implies.
        keras_file: that file's bytes. The copy's last layer must have its weights.
    """
    try:
        unless(copy[4:8] == b"TFL3", DAMAGED)
        model = Table(copy, struct.unpack_from("<I", copy)[0])
        codes = [max(code.number(0, "<b"), code.number(3)) for code in model.tables(1)]
        unless(
            all(code in INPUTS for code in codes), "its light copy has an operator that no model of this project has"
        )
        unless(all(code.lacks(1) for code in model.tables(1)), "its light copy has an operator of its own")
        [graph] = model.tables(2)
        unless(all(buffer.lacks(1, 2) for buffer in model.tables(4)), "its light copy keeps its weights elsewhere")
        buffers = [buffer.values(0, "u1") for buffer in model.tables(4)]
        tensors = [_tensor(tensor, buffers) for tensor in graph.tables(0)]
        [source], [target] = graph.values(1, "<i4"), graph.values(2, "<i4")
        unless(min(source, target) >= 0, DAMAGED)
        for place, shape in ((source, network.input_shape), (target, network.output_shape)):
            unless(tensors[place][:2] == (FLOAT, (1, *shape)), "its light copy is another network's")
        _check_operators(graph.tables(3), codes, tensors, source, target, network, keras_file)
    except (struct.error, ValueError, LookupError, OverflowError) as error:
        raise Refused(f"is refused: {DAMAGED}") from error


def _tensor(tensor, buffers):
    """Return a tensor's (type, shape, values or None)."""
    kind, shape, content = (
        tensor.number(1, "<b"),
        tuple(tensor.values(0, "<i4").tolist()),
        buffers[tensor.number(2, "<I")],
    )
    unless(kind in (FLOAT, WHOLE) and tensor.lacks(6, 9, 10) and not tensor.number(5, "<b"), DAMAGED)
    small = len(shape) <= 6 and all(size > 0 for size in shape) and math.prod(shape) <= VALUES
    unless(small, "its light copy has a huge tensor")
    signature = tensor.values(7, "<i4").tolist()
    unless(not signature or all(a in (-1, b) for a, b in zip(signature, shape, strict=True)), DAMAGED)
    unless(len(content) in (0, 4 * math.prod(shape)), DAMAGED)
    return kind, shape, content.view("<f4" if kind == FLOAT else "<i4").reshape(shape) if len(content) else None


def _check_operators(operators, codes, tensors, source, target, network, keras_file):
    known = {source} | {number for number, tensor in enumerate(tensors) if tensor[2] is not None}
    repeated, last = math.prod(network.input_shape), (None, None, None)
    for operator in operators:
        code, inputs = codes[operator.number(0, "<I")], operator.values(1, "<i4").tolist()
        [output] = operator.values(2, "<i4").tolist()
        there = [number for position, number in enumerate(inputs) if position != 2 or number != -1]  # 2 may be a bias
        unless(operator.lacks(5, 8, 9, 11, 12) and INPUTS[code] in (None, len(inputs)), DAMAGED)
        unless(inputs and set(there) <= known and 0 <= output < len(tensors) and output not in known, DAMAGED)
        known.add(output)
        options = operator.table(4) if code in WINDOWS else None
        unless(all(0 <= options.number(field) <= WIDEST for field in WINDOWS.get(code, ())), DAMAGED)
        shape, shapes = tensors[output][1], [tensors[number][1] for number in there]
        if code in RESIZE:
            unless(tuple(tensors[inputs[1]][2].tolist()) == shape[1:3], DAMAGED)
        elif code == TILE:  # how many values there will be is known only when it runs
            repeated *= math.prod(tensors[inputs[1]][2].tolist())
            unless(0 < repeated <= VALUES, "its light copy has a huge tensor")
        elif code in ARITHMETIC:
            unless(np.broadcast_shapes(*shapes) == shape, DAMAGED)
        elif code == CONCATENATE:
            unless(sum(map(math.prod, shapes)) == math.prod(shape), DAMAGED)
        previous, last = last, (code, inputs, output)
    kernel = tensors[previous[1][1]][2] if previous[0] == DENSE and last == (SOFTMAX, [previous[2]], target) else None
    there = kernel is not None and keras_file.rfind(np.ascontiguousarray(kernel.T).tobytes()) >= 0
    unless(there, "its light copy does not end in the model's last layer")  # that stands near the end of the file


def check_sizes(interpreter):
    """Raise ``Refused`` unless every tensor is a small one of float32 or int32, once LiteRT has allocated them."""
    for tensor in interpreter.get_tensor_details():
        small = math.prod(tensor["shape"].tolist()) <= VALUES
        unless(small and tensor["dtype"] in (np.float32, np.int32), "its light copy has a huge or strange tensor")
