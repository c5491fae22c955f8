"""What can go wrong with an image on its way to a model, at five severities.

After Hendrycks & Dietterich (2019), arXiv:1903.12261, with the severities of their CIFAR-10-C, which are made for 32
pixels: lengths in pixels (of blur and shift) grow with larger images. ``shift`` is not in CIFAR-10-C. Results are
rounded where CIFAR-10-C cuts off.

Each function takes (images, severity, rng): uint8 of shape (N, H, W, 3), 1 to 5, a ``numpy.random.Generator``, and
returns images of the same shape and dtype.
"""

import io

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter


def gaussian_noise(images, severity, rng):
    """Add normal noise to each value, with a standard deviation of 0.04 to 0.1 of the range."""
    deviation = (0.04, 0.06, 0.08, 0.09, 0.1)[severity - 1]
    return _pixels(images + 255 * deviation * rng.standard_normal(images.shape, "float32"))


def blur(images, severity, rng):
    """Blur by a Gaussian of standard deviation 0.4 to 1 pixels (of 32)."""
    deviation = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1] * _scale(images)
    return _pixels(gaussian_filter(images.astype("float32"), (0, deviation, deviation, 0), mode="nearest"))


def brightness(images, severity, rng):
    """Raise the value of HSV, which is the largest of red, green and blue, by 0.05 to 0.3 of the range."""
    value = images.max(axis=-1, keepdims=True).astype("float32")
    brighter = np.minimum(value + 255 * (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1], 255)
    return _pixels(np.where(value > 0, images * (brighter / np.maximum(value, 1)), brighter))  # hue, saturation kept


def contrast(images, severity, rng):
    """Bring each value nearer to its image's and colour's mean: to 0.75 to 0.15 of the distance."""
    mean = images.mean(axis=(1, 2), keepdims=True, dtype="float32")
    return _pixels((images - mean) * (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1] + mean)


def jpeg(images, severity, rng):
    """Compress as JPEG of quality 80 to 40 and open again."""
    quality = (80, 65, 58, 50, 40)[severity - 1]

    def compressed(image):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _each(images, compressed)


def pixelate(images, severity, rng):
    """Reduce to 0.95 to 0.65 of the width and height and enlarge again, by areas."""
    share = (0.95, 0.9, 0.85, 0.75, 0.65)[severity - 1]
    height, width = images.shape[1:3]
    fewer = max(1, int(share * width)), max(1, int(share * height))
    box = Image.Resampling.BOX
    return _each(images, lambda image: image.resize(fewer, box).resize((width, height), box))


def shift(images, severity, rng):
    """Move each image by 1 to 8 pixels (of 32) up or down and as many sideways.

    What moves in is the image reflected at its border.
    """
    height, width = images.shape[1:3]
    distance = round((1, 2, 4, 6, 8)[severity - 1] * _scale(images))
    border = (distance, distance)
    padded = np.pad(images, ((0, 0), border, border, (0, 0)), mode="reflect")
    corners = 2 * distance * rng.integers(0, 2, size=(len(images), 2))
    return np.stack([image[y : y + height, x : x + width] for image, (y, x) in zip(padded, corners, strict=True)])


CORRUPTIONS = {
    "gaussian noise": gaussian_noise,
    "blur": blur,
    "brightness": brightness,
    "contrast": contrast,
    "JPEG": jpeg,
    "pixelation": pixelate,
    "shift": shift,
}


def _pixels(values):
    return np.rint(np.clip(values, 0, 255)).astype("uint8")


def _each(images, change):
    return np.stack([np.asarray(change(Image.fromarray(image))) for image in images])


def _scale(images):
    """How many times larger than CIFAR-10's the images are."""
    return min(images.shape[1:3]) / 32
