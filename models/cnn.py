"""The convolutional networks: Sequential models of Conv2D, MaxPooling2D, Dropout and Dense."""

import functools

import keras
from keras import layers


def build_cnn(network, image_shape, classes, activation="relu", dropout=0.0, made_of=layers):
    """Return an uncompiled ``keras.Sequential`` from raw pixels to class probabilities.

    Args:
        network: a name in ``NETWORKS``: ``"standard"``, 1,975,082 parameters for 10 classes; ``"small"``, the same with
            fewer filters, 221,994; or ``"tutorial"``, 122,570 for 10 classes and 32x32 pixels.
        image_shape: (height, width, 3); pixels are 0 to 255, of any numeric dtype.
        classes: the number of classes.
        activation: the hidden activation by its Keras name.
        dropout: the share of units dropped before the last Dense layer, 0 to 1.
        made_of: where the classes ``Conv2D``, ``BatchNormalization`` and ``Activation`` come from, so that training can
            use faster ones with the same weights. The tutorial's network takes Keras's own.

    The model returns softmax probabilities of shape (N, classes). The last layer computes in float32 whatever the
    dtype policy, because bfloat16 probabilities have two digits.

    Raises:
        ValueError: the images are too small for the network's poolings.
    """
    return NETWORKS[network](image_shape, classes, activation, dropout, made_of)


def _tutorial(image_shape, classes, activation, dropout, made_of):
    """The network of TensorFlow's CNN tutorial: three convolutions, two poolings, one Dense layer of 64."""
    return keras.Sequential(
        [
            layers.Input(image_shape),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, activation=activation),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation=activation),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation=activation),
            layers.Flatten(),
            layers.Dense(64, activation=activation),
            layers.Dropout(dropout),
            layers.Dense(classes, activation="softmax", dtype="float32"),
        ],
        name="cnn",
    )


def _whitened(filters, image_shape, classes, activation, dropout, made_of):
    """A whitening convolution, then three blocks of two convolutions, each block half as wide in pixels.

    The shape is that of airbench94 (Jordan 2024, arXiv:2404.00498), here without a bias in the first layer: as
    nothing in it trains, no gradient goes back to the full-size image. That layer, named ``whitening``, is frozen, and
    random until ``classify.training.whitening.whiten`` sets it from training images.

    A block's first convolution is pooled before it is normalized and activated: both then touch a quarter of the
    values, and the second convolution costs a quarter. The last layer starts from zero: then all classes are equally
    likely, and there is no random answer to unlearn.
    """
    # SiLU, with both axes scaled by 1.7, differs from GELU by at most 0.021 and costs much less (Hendrycks & Gimpel
    # 2016, arXiv:1606.08415). The next normalization takes the scaling back.
    scale = 1.7 if activation == "silu" else 1.0

    def convolution(filters, pool):
        return [
            made_of.Conv2D(filters, 3, padding="same", use_bias=False),
            *([layers.MaxPooling2D()] if pool else []),
            # Keras's momentum of 0.99 lags behind in a run of few steps; a small one makes the averages noisy.
            made_of.BatchNormalization(momentum=0.8, gamma_initializer=keras.initializers.Constant(scale)),
            made_of.Activation(activation),
        ]

    blocks = [layer for width in filters for pool in (True, False) for layer in convolution(width, pool)]
    model = keras.Sequential(
        [
            layers.Input(image_shape),
            layers.Rescaling(1 / 64, offset=-2, name="rescaling"),  # CIFAR-10's pixels deviate from their mean by 63
            layers.Conv2D(24, 2, use_bias=False, trainable=False, name="whitening"),
            made_of.Activation(activation),
            *blocks,
            layers.GlobalMaxPooling2D(),
            layers.Dropout(dropout),
            layers.Dense(classes, activation="softmax", kernel_initializer="zeros", dtype="float32"),
        ],
        name="cnn",
    )
    _start_as_identity(model)
    return model


def _start_as_identity(model):
    """Let each convolution's first filters pass its inputs through unchanged, after airbench94.

    The image then reaches every layer from the first step on. (No initializer does this: a custom initializer
    would need our code to open the model.)
    """
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D) and layer.trainable:
            kernel = keras.ops.convert_to_numpy(layer.kernel).copy()
            passed = kernel.shape[2]  # no convolution here has more inputs than filters
            kernel[:, :, :, :passed] = 0
            kernel[1, 1, range(passed), range(passed)] = 1
            layer.kernel.assign(kernel)


NETWORKS = {
    "standard": functools.partial(_whitened, (64, 256, 256)),
    "small": functools.partial(_whitened, (32, 32, 128)),
    "tutorial": _tutorial,
}
