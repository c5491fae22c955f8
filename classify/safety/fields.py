"""What each layer of this project's models may be set to. All of it decides shapes, or is harmless."""

from classify.command import printable
from classify.safety.config import ACTIVATIONS, INITIALIZERS, POLICIES
from classify.safety.refusal import refuse

DTYPES = ("float32", "bfloat16", "float16", "mixed_bfloat16", "mixed_float16", "float64", "uint8", "int32")


def is_whole(value, smallest=1, largest=2**20):
    """Return whether a value is a whole number within bounds, both included."""
    return isinstance(value, int) and not isinstance(value, bool) and smallest <= value <= largest


def _is_number(value):
    return isinstance(value, int | float) and abs(value) <= 2**63


def _one_of(*values):
    return lambda value: isinstance(value, str) and value in values


def _is_activation(value):
    name = value["config"] if _is_object(value, {"function"}) else value
    return isinstance(name, str) and name in ACTIVATIONS


def _is_object(value, names):
    return isinstance(value, dict) and value.get("class_name") in names


def _is_initializer(value):
    if not _is_object(value, INITIALIZERS):
        return isinstance(value, str)  # an older model's: Keras looks these up among its own initializers
    return all(entry is None or isinstance(entry, str) or _is_number(entry) for entry in value["config"].values())


def _is_dtype(value):
    name = value["config"].get("name") if _is_object(value, POLICIES) else value
    return isinstance(name, str) and name in DTYPES


def _is_pair(value):
    return is_whole(value, largest=1024) or _is_list(value, lambda entry: is_whole(entry, largest=1024), (2,))


def _is_list(value, fits, lengths):
    return isinstance(value, list) and len(value) in lengths and all(map(fits, value))


def _is_bool(value):
    return isinstance(value, bool)


def _is_scale(value):
    return _is_number(value) or _is_list(value, _is_number, (1, 3))


def _is_axis(value):
    return is_whole(value, -4, 4) or _is_list(value, lambda entry: is_whole(entry, -4, 4), (1,))


def _is_shape(value):
    sizes = value[1:] if isinstance(value, list) and value else [0]
    return value[:1] == [None] and all(size is None or is_whole(size) for size in sizes)


PADDING, LAST = _one_of("valid", "same"), _one_of("channels_last")
COMMON = {"name": lambda value: isinstance(value, str), "trainable": _is_bool, "dtype": _is_dtype}
POOLING = {"pool_size": _is_pair, "strides": _is_pair, "padding": PADDING, "data_format": LAST}
GLOBAL = {"data_format": LAST, "keepdims": lambda value: value is False}
WEIGHTED = {
    "activation": _is_activation,
    "use_bias": _is_bool,
    "kernel_initializer": _is_initializer,
    "bias_initializer": _is_initializer,
}
# None may stand for each, and for each of what Keras knows besides.
FIELDS = {
    "InputLayer": {
        "batch_shape": _is_shape,
        "sparse": lambda value: value is False,
        "ragged": lambda value: value is False,
        "optional": lambda value: value is False,
    },
    "Rescaling": {"scale": _is_scale, "offset": _is_scale},
    "Conv2D": {
        "filters": is_whole,
        "kernel_size": _is_pair,
        "strides": _is_pair,
        "padding": PADDING,
        "data_format": LAST,
        "dilation_rate": _is_pair,
        "groups": lambda value: value == 1,
        **WEIGHTED,
    },
    "BatchNormalization": {
        "axis": _is_axis,
        "momentum": _is_number,
        "epsilon": _is_number,
        "center": _is_bool,
        "scale": _is_bool,
        "synchronized": _is_bool,
        "renorm": lambda value: value is False,
        "renorm_momentum": _is_number,
        **{f"{name}_initializer": _is_initializer for name in ("beta", "gamma", "moving_mean", "moving_variance")},
    },
    "Activation": {"activation": _is_activation},
    "MaxPooling2D": POOLING,
    "AveragePooling2D": POOLING,
    "GlobalAveragePooling2D": GLOBAL,
    "GlobalMaxPooling2D": GLOBAL,
    "UpSampling2D": {"size": _is_pair, "data_format": LAST, "interpolation": _one_of("bilinear", "nearest")},
    "Concatenate": {"axis": _is_axis},
    "Flatten": {"data_format": LAST},
    "Dropout": {"rate": _is_number, "seed": lambda value: is_whole(value, 0, 2**63)},
    "Softmax": {"axis": _is_axis},
    "Dense": {"units": is_whole, **WEIGHTED},
}


def check(name, config):
    """Raise ``Refused`` unless each entry of a layer's config is what a layer of this class name may have."""
    known = FIELDS[name]
    for key, value in config.items():
        fits = known.get(key) or COMMON.get(key)
        if not (value is None or (fits and fits(value))):
            refuse(f"its {name} layer's {printable(key[:40])} is one that no model of this project has", by_name=True)
