"""What each layer of this project's models makes of its input's shape, and the shapes of its weights.

Shapes are tuples without the axis of images. Configs are those that ``fields.check`` let pass.
"""

import math

from classify.safety.refusal import unless


def _pair(config, key, otherwise):
    value = config.get(key, otherwise)
    return tuple(value) if isinstance(value, list | tuple) else (value, value)


def _slid(config, size, sides, key="strides", otherwise=(1, 1)):
    """Return how many positions a window of some size has along each side."""
    steps = _pair(config, key, otherwise)
    if config.get("padding", "valid") == "same":
        return tuple(-(-side // step) for side, step in zip(sides, steps, strict=True))
    return tuple((side - width) // step + 1 for side, width, step in zip(sides, size, steps, strict=True))


def _convolved(config, source):
    size, dilation = _pair(config, "kernel_size", None), _pair(config, "dilation_rate", (1, 1))
    *sides, channels = source
    seen = tuple((width - 1) * apart + 1 for width, apart in zip(size, dilation, strict=True))
    filters = config["filters"]
    bias = [(filters,)] if config.get("use_bias", True) else []
    return (*_slid(config, seen, sides), filters), [(*size, channels, filters), *bias]


def _pooled(config, source):
    *sides, channels = source
    size = _pair(config, "pool_size", (2, 2))
    strides = size if config.get("strides") is None else config["strides"]
    return (*_slid(config | {"strides": strides}, size, sides), channels), []


def _enlarged(config, source):
    times = _pair(config, "size", (2, 2))
    return (*(side * factor for side, factor in zip(source[:2], times, strict=True)), source[2]), []


def _normalized(config, source):
    axis = config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) else axis
    unless(axis in (-1, len(source)), "a layer in it normalizes another axis than the last", by_name=True)
    vectors = 2 + bool(config.get("scale", True)) + bool(config.get("center", True))
    return source, [(source[-1],)] * vectors


def joined(config, sources):
    """Return the shape of what a Concatenate layer makes of inputs of some shapes."""
    axis = config.get("axis", -1)
    unless(axis in (-1, len(sources[0])), "a layer in it joins another axis than the last", by_name=True)
    [rest] = {source[:-1] for source in sources}
    return (*rest, sum(source[-1] for source in sources))


def _dense(config, source):
    units = config["units"]
    bias = [(units,)] if config.get("use_bias", True) else []
    return (*source[:-1], units), [(source[-1], units), *bias]


def _same(config, source):
    return source, []


def _last(config, source):
    unless(len(source) == 3, "the shapes in it do not fit")
    return source[2:], []


# By class name, what says a layer's output shape and the shapes of its weights, from its config and its input shape.
SHAPES = {
    "Rescaling": _same,
    "Conv2D": _convolved,
    "BatchNormalization": _normalized,
    "Activation": _same,
    "MaxPooling2D": _pooled,
    "AveragePooling2D": _pooled,
    "GlobalAveragePooling2D": _last,
    "GlobalMaxPooling2D": _last,
    "UpSampling2D": _enlarged,
    "Flatten": lambda config, source: ((math.prod(source),), []),
    "Dropout": _same,
    "Softmax": _same,
    "Dense": _dense,
}
