"""A model's weights, model.weights.h5: arrays whose values lie in this file, of the shapes that config.json implies."""

import math

import h5py
import numpy as np

from classify.command import printable
from classify.safety.refusal import Refused, unless

NODES = 50_000  # groups and arrays; InceptionV3 has 1,400
DEPTH = 40  # of groups in each other


def check(file, expected):
    """Raise ``Refused`` unless a weights file holds plain arrays alone, and those that a network needs.

    Args:
        file: the HDF5 file, an open binary file.
        expected: the shape of each array by its path; None where that is not known. Others may be there, such as an
            optimizer's.
    """
    try:
        with h5py.File(file, "r") as opened:
            shapes, stored = _read(opened)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:  # what HDF5 raises for a damaged file
        raise Refused("is damaged: its model.weights.h5 is no whole HDF5 file") from error
    size = file.seek(0, 2)
    unless(stored <= size, "its weights lie upon each other")
    for path, shape in (expected or {}).items():
        unless(path in shapes, f"its weights lack {path}")
        unless(shapes[path] == shape, f"its weights {path} are {shapes[path]}, not {shape} as its config.json implies")


def _read(file):
    """Return the shape of each array by its path, and the bytes that all take."""
    shapes, stored, seen, waiting = {}, 0, 0, [("", file, 0)]
    while waiting:
        path, group, depth = waiting.pop()
        unless(depth <= DEPTH, "its weights are nested too deeply")
        for name in group:
            seen += 1
            unless(seen <= NODES, "its weights are too many")
            here, shown = f"{path}{name}", printable(f"{path}{name}"[:100])
            link = group.get(name, getlink=True)
            unless(isinstance(link, h5py.HardLink), f"its weights {shown} lie elsewhere: they are a link")
            node = group[name]
            if isinstance(node, h5py.Group):
                waiting.append((f"{here}/", node, depth + 1))
            else:
                unless(isinstance(node, h5py.Dataset), f"its weights {shown} are no array")
                stored += _stored(node, shown)
                shapes[here] = node.shape
    return shapes, stored


def _stored(array, shown):
    """Return the bytes of an array's values; raise ``Refused`` unless all of them lie in this file as they are."""
    layout = array.id.get_create_plist()
    plain = layout.get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT) and not layout.get_nfilters()
    unless(plain and not layout.get_external_count(), f"its weights {shown} are packed, or lie in another file")
    unless(array.dtype.kind in "fiubV" and array.dtype.names is None, f"its weights {shown} are no numbers")
    unless(array.dtype.itemsize <= 8 and array.shape is not None, f"its weights {shown} are no numbers")
    size = math.prod(array.shape) * np.dtype(array.dtype).itemsize
    unless(array.id.get_storage_size() == size, f"its weights {shown} are declared, but not there")
    return size
