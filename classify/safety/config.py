"""A model's config.json: read within bounds, and each object in it is Keras's own and harmless."""

import json
import re

from classify.command import printable
from classify.safety.refusal import refuse, unless

DEPTH = 40  # of objects and lists in each other; a model in a model in a model takes some 20
LARGEST = 2**24  # of a whole number: 16 million
NAME = re.compile(r"[\w.-][\w. -]{0,199}")  # of a layer; no slash, as Keras makes paths of names


def _words(text):
    return frozenset(text.split())


# The activation functions, by their Keras name, of which none changes a shape.
ACTIVATIONS = _words(
    "elu exponential gelu hard_sigmoid hard_silu hard_swish leaky_relu linear mish relu relu6 selu sigmoid silu "
    "softmax softplus softsign swish tanh"
)
INITIALIZERS = _words(
    "Zeros Ones Constant GlorotUniform GlorotNormal HeUniform HeNormal LecunUniform LecunNormal RandomUniform "
    "RandomNormal TruncatedNormal VarianceScaling"
)
POLICIES = _words("DTypePolicy FloatDTypePolicy")  # Keras 3.0 to 3.3 wrote the latter
MODELS = _words("Sequential Functional Model")
# The layers of this project's models, and those that do as little: fields.py says what each may be set to.
LAYERS = _words(
    "InputLayer Rescaling Conv2D BatchNormalization Activation MaxPooling2D AveragePooling2D GlobalAveragePooling2D "
    "GlobalMaxPooling2D UpSampling2D Concatenate Flatten Dropout Softmax Dense"
)
# What --trust adds: objects that neither run code from the file nor read another one.
TRUSTED = {
    "keras.layers": _words(
        "Add Average AlphaDropout AveragePooling1D AveragePooling3D Bidirectional CenterCrop Conv1D Conv1DTranspose "
        "Conv2DTranspose Conv3D Cropping2D DepthwiseConv2D Dot ELU Embedding GRU GaussianDropout GaussianNoise "
        "GlobalAveragePooling1D GlobalMaxPooling1D GroupNormalization GroupQueryAttention LSTM LayerNormalization "
        "LeakyReLU Masking Maximum MaxPooling1D Minimum MultiHeadAttention Multiply Normalization PReLU Permute "
        "RMSNormalization RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom ReLU "
        "RepeatVector Reshape Resizing SeparableConv2D SimpleRNN SpatialDropout2D SpectralNormalization Subtract "
        "TimeDistributed UnitNormalization UpSampling1D ZeroPadding2D"
    ),
    "keras.initializers": _words("Orthogonal Identity"),
    "keras.regularizers": _words("L1 L2 L1L2 OrthogonalRegularizer"),
    "keras.constraints": _words("MaxNorm MinMaxNorm NonNeg UnitNorm"),
    "keras.random": _words("SeedGenerator"),
}
OWN = {
    "keras.layers": LAYERS,
    "keras.initializers": INITIALIZERS,
    "keras": MODELS | POLICIES,
    "keras.models": MODELS,
    "keras.dtype_policies": POLICIES,
    "keras.src.models.functional": _words("Functional"),
    "keras.src.models.sequential": _words("Sequential"),
}
WHY = {
    "Lambda": "which is code",
    "__lambda__": "which is code",
    "TFSMLayer": "which runs a program from a folder",
    "TorchModuleWrapper": "which is code",
    "JaxLayer": "which is code",
    "FlaxLayer": "which is code",
    "StringLookup": "which may read a file",
    "IntegerLookup": "which may read a file",
    "TextVectorization": "which may read a file",
}
KEYS = {"module", "class_name", "config", "registered_name", "build_config", "compile_config", "shared_object_id"}
KEYS |= {"name", "inbound_nodes"}  # of a layer in a functional model


def parse(text):
    """Return the object that config.json's text, UTF-8 bytes, holds.

    Raises:
        Refused: it is no JSON object, is nested too deeply, or holds a number that is not finite.
    """
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        config = None
    unless(isinstance(config, dict), "its config.json is no JSON object")
    return config


def check(config, trust):
    """Raise ``Refused`` unless a config's numbers are bounded and its objects are Keras's own and harmless.

    Args:
        config: from ``parse``.
        trust: whether built-in layers may be there that this project's models do not have.
    """
    shared, waiting = {}, [(key, value, 1) for key, value in config.items() if key != "compile_config"]
    _check_object(config, trust, shared)  # its compile_config is never used
    while waiting:
        key, value, depth = waiting.pop()
        if isinstance(value, str):
            if not (NAME.fullmatch(value) if key == "name" else len(value) <= 200):
                refuse(f"a name in its config.json is {printable(repr(value[:60]))}")
        elif isinstance(value, dict | list):
            unless(depth <= DEPTH, "its config.json is nested too deeply")
            if isinstance(value, dict):
                if "class_name" in value or "module" in value:
                    _check_object(value, trust, shared)
                    unless(not value.get("compile_config"), "a model in it is compiled")
                waiting += [(name, entry, depth + 1) for name, entry in value.items()]
            else:
                waiting += [(None, entry, depth + 1) for entry in value]
        elif value is not None and key not in ("shared_object_id", "seed"):
            if not abs(value) <= LARGEST:  # which no NaN is
                refuse(f"its config.json holds the number {str(value)[:30]}")
            unless(key != "name", "a name in its config.json is a number")


def _check_object(entry, trust, shared):
    """Raise ``Refused`` unless what Keras builds from a dictionary of class and module is allowed."""
    name, module, inner = (entry.get(key) for key in ("class_name", "module", "config"))
    if name == "__keras_tensor__" and "module" not in entry:
        return  # a mark of where a layer's input comes from
    unless(isinstance(name, str), "its config.json names no class")
    if name == "function":
        own = module in ("builtins", "keras.activations") and entry.get("registered_name") in (None, inner)
        if not (own and isinstance(inner, str) and inner in ACTIVATIONS):
            refuse(f"it names the function {printable(str(inner)[:60])}, which no layer needs")
        return
    known = isinstance(module, str) and (name in OWN.get(module, ()) or trust and name in TRUSTED.get(module, ()))
    if not known:
        refuse(f"it holds {_called(name)} layer, {_why(name, module)}", by_name=True)
    if not (entry.get("registered_name") in (None, name) and isinstance(inner, dict) and entry.keys() <= KEYS):
        refuse(f"its {name} is written strangely")
    if "shared_object_id" in entry:
        number, kind = entry["shared_object_id"], (name, json.dumps(inner, sort_keys=True))
        is_small = name in POLICIES or name in INITIALIZERS  # what has shapes is never shared here
        same = isinstance(number, int) and shared.setdefault(number, kind) == kind
        unless(trust or is_small and same, "it shares a layer", by_name=True)


def _called(name):
    """Return a class name with its article."""
    name = printable(name[:60])
    return f"an {name}" if name[:1] in "AEIO" or name == "LSTM" else f"a {name}"


def _why(name, module):
    if name in WHY:
        return WHY[name]
    if not (isinstance(module, str) and (module + ".").startswith("keras.")):
        return "which is not Keras's own, so it is code"
    return "which no model of this project has"
