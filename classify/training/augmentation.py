"""What training does to an image."""

import numpy as np


def augment(images, rng, mirrored=None, shift=None, part=None):
    """Return a copy of a batch, some images mirrored and each shifted at random.

    Args:
        images: uint8 array of shape (N, H, W, C).
        rng: a ``numpy.random.Generator``; the same state gives the same result.
        mirrored: which images to mirror, bool of shape (N,); none if left out.
        shift: the largest shift in pixels, up and down and sideways; a sixteenth of the shorter side if left out, which
            is two pixels of 32. The image reflected at its border moves in.
        part: where these images are a part of a batch: which one, a slice, and how many images the batch has. Each
            moves as it does in the whole batch.
    """
    n, height, width, channels = images.shape
    if mirrored is not None:
        images = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
    if shift is None:
        shift = round(min(height, width) / 16)
    border = (shift, shift)
    padded = np.pad(images, ((0, 0), border, border, (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width, channels), axis=(1, 2, 3))
    mine, whole = part or (slice(None), n)
    top, left = rng.integers(0, 2 * shift + 1, size=(2, whole))[:, mine]
    return windows[np.arange(n), top, left, 0]


def jitter(images, rng, amount, part=None):
    """Return a copy of a batch, the brightness and the contrast of each image changed at random.

    Args:
        images: uint8 array of shape (N, H, W, C).
        rng: a ``numpy.random.Generator``.
        amount: the largest change, 0 to 1. Contrast is multiplied by up to 1 plus or minus this much, around the middle
            of the range; brightness moves by up to a quarter of the range times it.
        part: as ``augment`` takes it.
    """
    mine, whole = part or (slice(None), len(images))
    brightness, contrast = rng.uniform(-amount, amount, (2, whole, 1, 1, 1)).astype("float32")[:, mine]
    changed = (images - np.float32(127.5)) * (1 + contrast) + (127.5 + 63.75 * brightness)
    return np.rint(changed.clip(0, 255, out=changed), out=changed).astype("uint8")
