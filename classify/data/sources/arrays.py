"""An .npz file with the arrays x_train, y_train, x_test and y_test, as Keras's data sets have them."""

import contextlib

import numpy as np

from classify.command import Problem, printable
from classify.data.dataset import Source, Split
from classify.data.sources import batches, table

READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def source(path):
    """Return the ``Source`` of an .npz file.

    Images are whole numbers from 0 to 255 of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3). Labels are whole numbers or
    texts of shape (N,) or (N, 1). Test may be missing.

    Args:
        path: the file.

    Raises:
        Problem: it is damaged or holds other arrays, or test has a label that train lacks.
    """
    shown = printable(path)
    with _refusing(shown), np.load(path, allow_pickle=False) as file:
        splits = ("train", "test") if {"x_test", "y_test"} <= set(file) else ("train",)
        lacking = [name for name in ("x_train", "y_train") if name not in file]
        if lacking:
            raise Problem(f"{shown} lacks {' and '.join(lacking)}; save the arrays by these names with numpy.savez")
        shapes = {split: _image_shape(file, shown, split) for split in splits}
        texts = {split: _texts(file, shown, split, shapes[split][0]) for split in splits}
    shape = shapes["train"][1:3]
    if any(other[1:3] != shape for other in shapes.values()):
        raise Problem(f"{shown}: the images of test differ in size from those of train; resize them")
    in_colour = shapes["train"][3:] == (3,)
    class_names, labels = batches.classes(shown, texts, in_colour and shape == (32, 32))

    def read(split, size=None):
        with _refusing(shown), np.load(path, allow_pickle=False) as file:
            images = file[f"x_{split}"]
            if images.dtype != np.uint8:
                if images.min(initial=0) < 0 or images.max(initial=0) > 255:
                    raise Problem(f"{shown}: x_{split} has values below 0 or above 255; scale them to 0 to 255")
                images = images.astype("uint8")
        images = images.reshape(*images.shape[:3], -1)
        return Split(images if images.shape[3] == 3 else images.repeat(3, axis=3), labels[split])

    who = table.identity(path, [path], class_names, splits, shape)
    return Source(**who, class_names=class_names, splits=splits, read=read)


@contextlib.contextmanager
def _refusing(shown):
    """Turn what a damaged file raises into a ``Problem``."""
    try:
        yield
    except Problem:
        raise
    except MemoryError as error:
        raise Problem(f"{shown} needs more memory than there is; pass fewer images, or a folder of pictures") from error
    except Exception as error:  # such a file can make zipfile and NumPy raise almost anything
        raise Problem(f"{shown} is damaged or no .npz file; save it again with numpy.savez") from error


def _image_shape(file, shown, split):
    """Return the shape of a split's images, (N, H, W) or (N, H, W, channels), from the head of the array alone."""
    name = f"x_{split}"
    shape, dtype = _head(file, name)
    if dtype.kind not in "iu":
        raise Problem(f"{shown}: {name} holds {_kind(dtype)}; save whole numbers from 0 to 255, as uint8")
    if len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,)) or not all(shape):
        size = " x ".join(map(str, shape))
        raise Problem(f"{shown}: {name} is {size}; its shape must be images x height x width x 3 (or 1, or nothing)")
    return shape


def _texts(file, shown, split, count):
    """Return a split's labels as a list of texts."""
    name = f"y_{split}"
    shape, dtype = _head(file, name)
    if dtype.kind not in "iuU":
        raise Problem(f"{shown}: {name} holds {_kind(dtype)}; save whole numbers or texts, one for each image")
    if shape not in ((count,), (count, 1)):
        size = " x ".join(map(str, shape))
        raise Problem(f"{shown}: {name} is {size}; it must hold a label for each of the {count:,} images in x_{split}")
    return [str(label) for label in file[name].ravel()]


def _head(file, name):
    """Return an array's shape and type without reading it, since it may be large."""
    with file.zip.open(f"{name}.npy") as array:
        shape, _, dtype = READERS[np.lib.format.read_magic(array)](array)
    return shape, dtype


def _kind(dtype):
    return "Python objects" if dtype.hasobject else f"{dtype.name} numbers" if dtype.kind in "fc" else dtype.name
