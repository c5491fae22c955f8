"""Test-time augmentation: a model's probabilities, averaged over mirrored and shifted views of an image."""

import numpy as np

SHIFT = 1  # in pixels


def average(predict, images, mirror=True, plain=None):
    """Return class probabilities averaged over six views of each image, or over three where none is mirrored.

    The views are the image and the image shifted by one pixel to each end of a diagonal, filled by reflection,
    and the mirror image of each. The unshifted views weigh twice as much (Jordan 2024, arXiv:2404.00498). The
    logits are averaged: the logarithms of probabilities differ from them by a constant that softmax cancels.

    Args:
        predict: a function that returns the probabilities, of shape (N, classes), of images like ``images``.
        images: array of shape (N, H, W, C).
        mirror: whether images of this data set may be mirrored.
        plain: the probabilities of the images as they are, if they are known.
    """
    border = (SHIFT, SHIFT)
    padded = np.pad(images, ((0, 0), border, border, (0, 0)), mode="reflect")
    up, down = slice(None, -2 * SHIFT), slice(2 * SHIFT, None)
    shifted = (padded[:, up, up], padded[:, down, down])
    logits = 0.0
    for view, weight in ((images, 0.5), (shifted[0], 0.25), (shifted[1], 0.25)):
        flips = (view, view[:, :, ::-1]) if mirror else (view,)
        for flipped in flips:
            known = plain if flipped is images else None
            probabilities = predict(flipped) if known is None else known
            logits = logits + weight / len(flips) * np.log(np.maximum(probabilities, np.finfo("float32").tiny))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
