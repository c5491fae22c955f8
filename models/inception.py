"""InceptionV3, pretrained and frozen, under a small trained head."""

import keras
from keras import layers

SMALLEST = 75  # pixels: InceptionV3's stride leaves nothing of a smaller image
LARGEST = 1024  # pixels: the memory of a batch grows with their square
BLOCKS = 11  # mixed0 to mixed10
FEATURES = 2048


def build_inception(image_shape, classes, weights="imagenet", upsampling=7, interpolation="bilinear", dropout=0.5):
    """Return an uncompiled ``keras.Sequential`` from raw pixels to class probabilities, its base frozen.

    Rescaling to [-1, 1] (InceptionV3's own), UpSampling2D unless that is 1, InceptionV3 without its top,
    GlobalAveragePooling2D, Dense(256), Dropout, Dense(classes, softmax): 22,329,898 parameters for 10 classes, of which
    527,114 train. Layers have names, by which others find them.

    Args:
        image_shape: (height, width, 3); pixels are 0 to 255, of any numeric dtype. Times ``upsampling`` each
            side must reach 75.
        classes: the number of classes.
        weights: ``"imagenet"``, the path of a Keras weights file of InceptionV3 without its top, or None for
            random ones.
        upsampling: how many times larger InceptionV3 sees each side.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        dropout: the share of the 256 units that is dropped in training, 0 to 1.

    The base's ``trainable`` is False, which in Keras also keeps its batch normalization in inference mode.
    """
    height, width, channels = image_shape
    base = keras.applications.InceptionV3(
        include_top=False, weights=weights, input_shape=(height * upsampling, width * upsampling, channels)
    )
    base.trainable = False
    return keras.Sequential(
        [
            *front(image_shape, upsampling, interpolation),
            base,
            layers.GlobalAveragePooling2D(name="pooling"),
            *_head(classes, dropout),
        ],
        name="inception",
    )


def front(image_shape, upsampling, interpolation):
    """Return the layers that turn raw pixels into what InceptionV3 was trained on: -1 to 1, and large."""
    scaled = [layers.Input(image_shape), layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")]
    if upsampling == 1:
        return scaled
    return [*scaled, layers.UpSampling2D(upsampling, interpolation=interpolation, name="upsampling")]


def front_of(model):
    """Return (image_shape, upsampling, interpolation): what ``front`` took for a model of ``build_inception``."""
    for layer in model.layers:
        if layer.name == "upsampling":
            return model.input_shape[1:], layer.size[0], layer.interpolation
    return model.input_shape[1:], 1, None


def stands_on_base(model):
    """Return whether a model, which may come from anywhere, has the parts of ``build_inception``.

    These are layers before a base that ``fold`` can take, the base, its pooling, and a head.
    """
    names = [layer.name for layer in model.layers] if isinstance(model, keras.Sequential) else []
    if "inception_v3" not in names or "pooling" not in names[:-1]:
        return False
    base, pooling = model.get_layer("inception_v3"), model.get_layer("pooling")
    follows = names.index("pooling") == names.index("inception_v3") + 1
    pools = isinstance(pooling, layers.GlobalAveragePooling2D) and pooling.get_config()["keepdims"] is False
    return follows and pools and isinstance(base, keras.Model) and _folds(base)


def trunk(model, exact=0):
    """Return a copy of what stands before a model's head, from raw pixels to float32 features.

    It follows the dtype policy in force. Batch normalization is folded away.

    Args:
        model: one that ``stands_on_base``.
        exact: how many convolutions at the start compute in float32 in any case, as what is before them does then.
    """
    base = model.get_layer("inception_v3")
    before = [_copy(layer, exact) for layer in model.layers[: model.layers.index(base)]]
    pooling = layers.GlobalAveragePooling2D(dtype="float32")
    return keras.Sequential([layers.Input(model.input_shape[1:]), *before, fold(base, exact), pooling])


def describe_trunk(model):
    """Return what ``trunk`` computes, but for the weights: lists and dictionaries, a layer's number for its name."""
    entries = model.get_config()["layers"]
    last = [entry["config"]["name"] for entry in entries].index("pooling")
    numbers = {layer.name: number for number, layer in enumerate(model.get_layer("inception_v3").layers)}
    return _without_names(entries[: last + 1], numbers)


def _without_names(value, numbers):
    if isinstance(value, dict):
        kept = value.keys() - {"name", "dtype", "trainable"}
        return {key: _without_names(value[key], numbers) for key in sorted(kept)}
    if isinstance(value, (list, tuple)):
        return [_without_names(entry, numbers) for entry in value]
    return numbers.get(value, value) if isinstance(value, str) else value


def head_of(model):
    """Return the layers behind a model's pooling as a network of their own, from features to probabilities."""
    pooling = model.get_layer("pooling")
    behind = model.layers[model.layers.index(pooling) + 1 :]
    return keras.Sequential([layers.Input(pooling.output.shape[1:]), *behind])


def build_head(classes, dropout=0.5):
    """Return the trained part alone, from InceptionV3's pooled features of shape (N, 2048) to probabilities."""
    return keras.Sequential([layers.Input((FEATURES,)), *_head(classes, dropout)], name="head")


def _head(classes, dropout):
    return [
        layers.Dense(256, activation="relu", name="hidden"),
        layers.Dropout(dropout, name="dropout"),
        layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities"),
    ]


def set_head(model, other):
    """Give the head of ``model`` the weights of the head of ``other``."""
    for name in ("hidden", "probabilities"):
        model.get_layer(name).set_weights(other.get_layer(name).get_weights())


def split(base, blocks):
    """Return (copy, lower, upper): a copy of ``base`` under the dtype policy in force, and its two parts.

    ``lower``, folded and frozen, ends where the last ``blocks`` inception blocks begin. ``upper`` shares the copy's
    layers from there on and trains, except for its batch normalization, which stays in inference mode. (It would not
    be enough to call an unfrozen base with ``training=False``: in Keras 3 ``fit`` overrides that argument.)
    """
    copy = keras.Model.from_config(_config(base))
    copy.set_weights(base.get_weights())
    boundary = copy.get_layer(f"mixed{BLOCKS - 1 - blocks}").output
    lower, upper = fold(keras.Model(copy.input, boundary)), keras.Model(boundary, copy.output)
    for layer in upper.layers:
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    return copy, lower, upper


def fold(base, exact=0):
    """Return a copy of a functional base whose batch normalization, in inference mode, is folded away.

    Each normalization must follow a convolution without a bias, as all of InceptionV3's do. That convolution takes
    over the scale and shift: the same function but for rounding, without the passes over memory.

    The copy follows the dtype policy in force, but ``exact`` convolutions at the start compute in float32.
    """
    config, convolutions = _config(base), 0
    for entry in config["layers"]:
        convolutions += entry["class_name"] == "Conv2D"
        if convolutions <= exact and exact:
            entry["config"]["dtype"] = "float32"
        if entry["class_name"] == "Conv2D":
            entry["config"]["use_bias"] = True
        elif entry["class_name"] == "BatchNormalization":
            entry["class_name"] = "Activation"
            kept = {key: value for key, value in entry["config"].items() if key in ("name", "dtype")}
            entry["config"] = kept | {"activation": "linear"}
            entry["inbound_nodes"] = [node | {"kwargs": {}} for node in entry["inbound_nodes"]]
    folded = keras.Model.from_config(config)

    owner = {id(layer.output): layer for layer in base.layers}
    for layer in base.layers:
        if isinstance(layer, layers.BatchNormalization):
            convolution = owner[id(layer.input)]
            scale = 1 / keras.ops.sqrt(layer.moving_variance + layer.epsilon)
            if layer.scale:
                scale = scale * layer.gamma
            shift = layer.beta - layer.moving_mean * scale
            folded.get_layer(convolution.name).set_weights([convolution.kernel * scale, shift])
    folded.trainable = False
    return folded


def _folds(base):
    """Return whether ``fold`` can take a base: each normalization alone follows a convolution that has no bias."""
    try:
        owner = {id(layer.output): layer for layer in base.layers}
        sources = [id(tensor) for layer in base.layers for tensor in keras.tree.flatten(layer.input)]
        normalizations = [layer for layer in base.layers if isinstance(layer, layers.BatchNormalization)]
        convolutions = [owner[id(layer.input)] for layer in normalizations]
    except (AttributeError, KeyError, ValueError):  # a layer is used twice, or none made what is normalized
        return False
    return all(
        type(layer) is layers.Conv2D
        and not layer.use_bias
        and layer.activation is keras.activations.linear
        and layer.data_format == "channels_last"
        and normalization.axis in (-1, 3)
        and normalization.center
        and sources.count(id(layer.output)) == 1
        for layer, normalization in zip(convolutions, normalizations, strict=True)
    )


def _copy(layer, exact):
    """Return a copy of a layer without weights, in float32 or under the dtype policy in force."""
    config = layer.get_config()
    config.pop("dtype", None)
    if exact:
        config["dtype"] = "float32"
    return type(layer).from_config(config)


def _config(base):
    """The configuration of a functional model without its layers' dtypes: a copy follows the dtype policy in force."""
    config = base.get_config()
    for entry in config["layers"]:
        entry["config"].pop("dtype", None)
    return config
