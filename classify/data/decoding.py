"""An opened picture -> RGB pixels of the wanted size, in bounded memory.

Pillow decodes a picture as a whole. A file of a few kilobytes may hold a picture of a gigabyte, so its memory is
estimated before it is decoded.
"""

import hashlib
import logging
import threading
import warnings

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

# Pillow writes about odd and large files; the user shall read our own messages only.
logging.getLogger("PIL").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"PIL\.")

# The formats that are read. For each: the bytes a pixel that its library takes beside Pillow's own copy, as measured.
# Other formats are rare, and their readers may take minutes or start programs. MPO is a JPEG with a second picture.
FORMATS = {
    "PNG": 0,
    "JPEG": 0,
    "MPO": 0,
    "GIF": 0,
    "BMP": 0,
    "PPM": 0,
    "TIFF": 0,
    "WEBP": 12,
    "AVIF": 12,
    "JPEG2000": 16,
}
PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}  # of Pillow's own copy, by mode; 4 in every other mode
MEMORY = 860e6  # the most bytes for decoding a picture; with Python and a model that makes less than 1 GB
LARGE = 2**24  # bytes; a picture that takes more is decoded alone, and made smaller in strips
STRIP = 2**20  # pixels in a strip, at most

# The ways to reduce a picture to a network's size, by the names that run.json records.
REDUCTIONS = {
    "centre-lanczos": Image.Resampling.LANCZOS,  # the centre, by an antialiasing filter
    "centre-bilinear": Image.Resampling.BILINEAR,  # likewise, by a softer one
    "centre-box": Image.Resampling.BOX,  # likewise, the mean of the pixels that become one
    "centre-quick": Image.Resampling.BILINEAR,  # a JPEG is decoded as small as may be: half of the time, or less
}
REDUCTION = "centre-quick"  # of pictures that a network was trained on

_one_large_picture = threading.Lock()


class TooLargeError(Exception):
    """Decoding the picture would take more memory than ``MEMORY``."""


def decode(image, height, width, reduction=REDUCTION):
    """Return an opened picture as RGB pixels, uint8 of shape (height, width, 3); ``pictures.load`` says how.

    Args:
        image: what ``PIL.Image.open`` returns. A large one is closed.
        height, width: in pixels.
        reduction: a name in ``REDUCTIONS``.

    Raises:
        UnidentifiedImageError: the format is not one of ``FORMATS``.
        TooLargeError: it would take too much memory.
        Exception: whatever Pillow raises on a damaged file.
    """
    return resize(_upright(image, height, width, reduction), height, width, reduction)


def decode_with_digest(image, height, width):
    """Return what ``decode`` does, and the digest of all of the picture's pixels, 16 hexadecimal digits."""
    upright = _upright(image, height, width, REDUCTION)
    digest = hashlib.sha1(repr(upright.size).encode(), usedforsecurity=False)
    digest.update(upright.tobytes())
    return resize(upright, height, width), digest.hexdigest()[:16]


def _upright(image, height, width, reduction):
    """Return an opened picture in RGB as a person sees it, not yet cut or resized, but perhaps already made smaller."""
    if image.format not in FORMATS:
        raise UnidentifiedImageError
    memory = _library_memory(image)
    margin = 1 if reduction == "centre-quick" else 2
    image.draft("RGB", (margin * width, margin * height))  # lets a JPEG be made smaller while it is decoded
    memory += image.width * image.height * PIXEL_BYTES.get(image.mode, 4)
    if memory > MEMORY:
        raise TooLargeError
    if memory > LARGE:
        with _one_large_picture:
            large, image = image, _reduced(image, height, width)
            large.close()  # frees its pixels before the next large picture is decoded
    ImageOps.exif_transpose(image, in_place=True)  # Pillow copies a picture that need not be turned
    return _rgb(image, _white(image))


def resize(image, height, width, reduction=REDUCTION):
    """Return an RGB picture of Pillow's as uint8 of shape (height, width, 3), resized as ``decode`` does it."""
    return np.asarray(_centre(image, height, width).resize((width, height), REDUCTIONS[reduction]))


def _library_memory(image):
    """Return about how many bytes decoding takes beside Pillow's copy of the pixels, before ``draft`` is called."""
    pixels = image.width * image.height
    memory = FORMATS[image.format] * pixels + 8 * image.width  # PNG's reader has two rows of its own
    if "progressive" in image.info:  # such a JPEG keeps two bytes for each coefficient until the end
        samples = [across * down for _, across, down, _ in image.layer]
        memory += 2 * pixels * sum(samples) / max(samples)
    if image.format == "TIFF":
        tags = image.tag_v2
        if image.tile[0].codec_name == "libtiff":  # it keeps the file and a strip; each may be the whole picture
            memory += 2 * pixels * sum(tags.get(ExifTags.Base.BitsPerSample, (1,))) / 8
        if tags.get(ExifTags.Base.Orientation, 1) != 1:  # Pillow turns it at once, which makes a copy
            memory += 4 * pixels
    return memory


def _reduced(image, height, width):
    """Return the centre of a large picture in RGB, at a smaller size.

    It is converted strip by strip, since a converted copy of the whole would not fit into memory. The result is
    still at least sixteen times as large as (height, width), if the picture is, so that the final resizing decides
    the quality. The centre is as long as needed, whichever way the camera's orientation turns it afterwards.
    """
    image.load()  # first, since some TIFF files change their size when they are loaded
    white = _white(image)
    side = min(image.size)
    longest = round(side * max(width, height) / min(width, height))
    factor = max(1, side // (16 * max(width, height)))
    wide, high = (min(length, longest) // factor * factor for length in image.size)
    left, top = (image.width - wide) // 2, (image.height - high) // 2
    rows = factor * max(1, STRIP // (wide * factor))
    reduced = Image.new("RGB", (wide // factor, high // factor))
    for first in range(0, high, rows):
        strip = image.crop((left, top + first, left + wide, top + min(first + rows, high)))
        reduced.paste(_rgb(strip, white).reduce(factor), (0, first // factor))
    orientation = ExifTags.Base.Orientation
    reduced.getexif()[orientation] = image.getexif().get(orientation, 1)
    return reduced


def _centre(image, height, width):
    """Return the largest centred part with the proportions of (height, width)."""
    scale = min(image.width / width, image.height / height)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (image.width - wide) // 2, (image.height - high) // 2
    whole = (wide, high) == image.size
    return image if whole else image.crop((left, top, left + wide, top + high))


def _white(image):
    """Return the value that means white in a grey picture of 16-bit integers or of floating-point numbers."""
    if image.mode.startswith("I"):
        return 65535
    return 1 if image.mode == "F" and image.getextrema()[1] <= 1 else 255


def _rgb(image, white):
    """Return a picture in RGB; ``white`` is what ``_white`` returns for the whole of it."""
    if image.mode.startswith(("I", "F")):
        # Pillow's own conversion to 8 bits clips the values; they must be scaled.
        values = np.nan_to_num(np.asarray(image, "float64") * (255 / white))
        return Image.fromarray(np.rint(np.clip(values, 0, 255)).astype("uint8")).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
