"""A first convolution that whitens: what it sees of training images comes out uncorrelated and of one size."""

import numpy as np

IMAGES = 5000  # at the most
PATCHES = 5_000_000  # about as many as that many images of 32 pixels have: a 12x12 covariance needs far fewer
EPSILON = 5e-4  # of a variance of about 1: keeps the faintest pattern from being blown up to noise


def whiten(model, images):
    """Set the kernel of a model's layer ``whitening`` to filters that whiten images, each beside its negative.

    Neighbouring pixels are nearly equal, so a network that starts from noise first spends steps on telling
    differences from brightness. The filters are the principal components of patches, divided by their standard
    deviations. Each has its negative beside it, as an activation that cuts off below zero would lose half of it
    (Jordan 2024, arXiv:2404.00498, section 3.2; after Page 2019, "How to train your ResNet 8").

    Args:
        model: a network with a layer ``rescaling`` and right after it ``whitening``, a ``Conv2D`` with twice as
            many filters as its patches have numbers. A network without ``whitening`` is left as it is.
        images: training images, as ``Split`` holds them.
    """
    if not any(layer.name == "whitening" for layer in model.layers):
        return
    rescaling, layer = model.get_layer("rescaling"), model.get_layer("whitening")
    height, width, channels, filters = layer.kernel.shape
    rows, columns = model.input_shape[1:3]
    enough = max(1, PATCHES // ((rows - height + 1) * (columns - width + 1)))  # larger images have more patches
    few = np.arange(min(len(images), IMAGES, enough))
    pixels = images[few].astype("float32") * rescaling.scale + rescaling.offset
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (height, width), axis=(1, 2))
    patches = np.moveaxis(windows, 3, 5).reshape(-1, height * width * channels)
    variances, patterns = np.linalg.eigh(patches.T @ patches / len(patches))
    whitening = (patterns / np.sqrt(variances + EPSILON)).reshape(height, width, channels, filters // 2)
    layer.kernel.assign(np.concatenate([whitening, -whitening], axis=-1))
