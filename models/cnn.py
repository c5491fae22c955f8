"""The convolutional networks: Sequential models of Conv2D, MaxPooling2D, Dropout and Dense."""

import keras
from keras import layers

# The filters of the three blocks.
WIDTHS = {"standard": (64, 256, 256), "record": (64, 256, 256), "sprint": (32, 64, 128)}


def build_cnn(recipe, image_shape, classes, activation="relu", dropout=0.0, normalization=layers.BatchNormalization):
    """Return an uncompiled ``keras.Sequential`` from raw pixels to class probabilities.

    Args:
        recipe: ``"standard"`` and ``"record"`` (one network, 1,975,082 parameters for 10 classes), ``"sprint"``
            (295,978) or ``"tutorial"`` (122,570 for 10 classes and 32x32 pixels).
        image_shape: (height, width, 3); pixels are 0 to 255, of any numeric dtype.
        classes: the number of classes.
        activation: the hidden activation by its Keras name.
        dropout: the share of units dropped before the last Dense layer, 0 to 1.
        normalization: the batch normalization layer's class, so that training can hand in a faster one with the
            same weights. The tutorial's network has none.

    The model returns softmax probabilities of shape (N, classes). The last layer computes in float32 whatever the
    dtype policy, because bfloat16 probabilities have two digits. All but the tutorial's begin with a frozen
    convolution named ``whitening``, random until ``classify.training.whitening.whiten`` sets it from training images.

    Raises:
        ValueError: the images are too small for the network's poolings.
    """
    plain = recipe == "tutorial"
    hidden = _tutorial(activation) if plain else _whitened(WIDTHS[recipe], activation, normalization)
    # From zero, where all classes are equally likely, there is no random answer to unlearn.
    start = "glorot_uniform" if plain else "zeros"
    model = keras.Sequential(
        [
            layers.Input(image_shape),
            *hidden,
            layers.Dropout(dropout),
            layers.Dense(classes, activation="softmax", kernel_initializer=start, dtype="float32"),
        ],
        name="cnn",
    )
    if not plain:
        _start_as_identity(model)
    return model


def _tutorial(activation):
    """The network of TensorFlow's CNN tutorial: three convolutions, two poolings, one Dense layer of 64."""
    return [
        layers.Rescaling(1 / 255),
        layers.Conv2D(32, 3, activation=activation),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation=activation),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation=activation),
        layers.Flatten(),
        layers.Dense(64, activation=activation),
    ]


def _whitened(widths, activation, normalization):
    """A whitening convolution, then three blocks of two, each block half as wide in pixels.

    The shape is that of airbench94 (Jordan 2024, arXiv:2404.00498), here without a bias in the first layer: as
    nothing in it trains, no gradient goes back to the full-size image. A block's first convolution is pooled before
    it is normalized and activated: both then touch a quarter of the values, and the second one costs a quarter.
    """

    # SiLU is GELU but for 0.02, at a fraction of its cost, where both axes are stretched by 1.7 (Hendrycks & Gimpel
    # 2016, arXiv:1606.08415); the next normalization takes the stretched values back.
    scale = 1.7 if activation == "silu" else 1.0

    def convolution(filters, pool=False):
        return [
            layers.Conv2D(filters, 3, padding="same", use_bias=False),
            *([layers.MaxPooling2D()] if pool else []),
            # Keras's momentum of 0.99 lags behind in a run of few steps.
            normalization(momentum=0.6, gamma_initializer=keras.initializers.Constant(scale)),
            layers.Activation(activation),
        ]

    blocks = [convolution(filters, pool) for filters in widths for pool in (True, False)]
    return [
        layers.Rescaling(1 / 64, offset=-2),  # CIFAR-10's pixels deviate from their mean by 63
        layers.Conv2D(24, 2, use_bias=False, trainable=False, name="whitening"),
        layers.Activation(activation),
        *[layer for block in blocks for layer in block],
        layers.GlobalMaxPooling2D(),
    ]


def _start_as_identity(model):
    """Let each convolution's first filters pass its inputs through unchanged, after airbench94.

    The image then reaches every layer from the first step on. (No initializer does this, as one of our own would have
    to be found when a saved model is opened.)
    """
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D) and layer.trainable:
            kernel = keras.ops.convert_to_numpy(layer.kernel).copy()
            passed = kernel.shape[2]  # no convolution here has more inputs than filters
            kernel[:, :, :, :passed] = 0
            kernel[1, 1, range(passed), range(passed)] = 1
            layer.kernel.assign(kernel)
