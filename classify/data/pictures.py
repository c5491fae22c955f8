"""A person's image file -> an array."""

import functools
import glob
import io
import logging
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from classify.command import Problem, describe

# It comments on odd and on large files.
logging.getLogger("PIL").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"PIL\.")
EXPLAINED = ".explained.png"  # how the names of predict.py's own pictures end
EXTENSIONS = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
STANDARD_INPUT = "-"

# The formats that are read, and the bytes a pixel that their libraries take beside Pillow's own copy, as measured.
# Others, which are rare, have readers that take minutes or start programs. MPO is a JPEG with a second image behind.
FORMATS = dict.fromkeys(("PNG", "JPEG", "MPO", "GIF", "BMP", "PPM", "TIFF"), 0)
FORMATS |= {"WEBP": 12, "AVIF": 12, "JPEG2000": 16}
PILLOW = {"1": 1, "L": 1, "P": 1, "I;16": 2}  # bytes a pixel; 4 in every other mode
MEMORY = 860e6  # bytes that decoding an image may take: with Python and a model that is below 1 GB
LARGE = 2**24  # such bytes, from which on an image is read alone and reduced in strips
STRIP = 2**20  # pixels, at most
LONGEST_INPUT = 2**27  # bytes of standard input, which are kept in memory
_one_large_image = threading.Lock()


def load_image(path, height, width):
    """Return an image file of any size and mode as RGB pixels, uint8 of shape (height, width, 3).

    The camera's orientation is applied, what is transparent becomes white, 16 bits become 8 by scale, the
    centre of the model's proportions is cut out, and a larger image is reduced with an antialiasing filter.
    Several threads may do this at once: of large images only one at a time is in memory.

    Args:
        path: the file; ``-`` is standard input.
        height, width: in pixels.

    Raises:
        Problem: the file is missing, is no image, is damaged, has more than Pillow's limit of 179 megapixels or
            would take more than 1 GB to read.
    """
    try:
        with Image.open(io.BytesIO(_standard_input()) if str(path) == STANDARD_INPUT else path) as image:
            cost = _cost(image, width, height)
            if cost > MEMORY:
                raise Problem(f"{path}: is too large, reading it would take more than 1 GB of memory")
            if cost > LARGE:
                with _one_large_image:
                    large, image = image, _reduced(image, width, height)
                    large.close()  # frees its pixels
            image = _centre(_rgb(ImageOps.exif_transpose(image), _white(image)), width, height)
            return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    except UnidentifiedImageError as error:
        raise Problem(f"{path}: cannot be read as an image") from error
    except Image.DecompressionBombError as error:
        raise Problem(f"{path}: has more pixels than the {2 * Image.MAX_IMAGE_PIXELS:,} allowed") from error
    except Problem:
        raise
    except OSError as error:
        reason = describe(error) if error.filename else f"{path}: is damaged ({describe(error)})"
        raise Problem(reason) from error
    except Exception as error:  # whatever a stranger's file makes Pillow raise
        raise Problem(f"{path}: is damaged or of an unknown kind") from error


@functools.cache
def _standard_input():
    """Return all of standard input, which can be read only once, as bytes."""
    content = sys.stdin.buffer.read(LONGEST_INPUT + 1)
    if len(content) > LONGEST_INPUT:
        raise Problem(f"{STANDARD_INPUT}: standard input has more than {LONGEST_INPUT:,} bytes; name the file instead")
    return content


def _cost(image, width, height):
    """Return about how many bytes it takes to decode an opened image; sets a JPEG to be reduced meanwhile."""
    if image.format not in FORMATS:
        raise UnidentifiedImageError
    pixels = image.width * image.height
    extra = FORMATS[image.format] * pixels + 8 * image.width  # PNG's reader has rows of its own
    if "progressive" in image.info:  # two bytes a coefficient, of all of them at once
        samples = [across * down for _, across, down, _ in image.layer]
        extra += 2 * pixels * sum(samples) / max(samples)
    if image.format == "TIFF":
        tags = image.tag_v2
        if image.tile[0].codec_name == "libtiff":  # it holds the file and a strip, and either may be all of it
            extra += 2 * pixels * sum(tags.get(ExifTags.Base.BitsPerSample, (1,))) / 8
        if tags.get(ExifTags.Base.Orientation, 1) != 1:  # Pillow itself makes a turned copy
            extra += 4 * pixels
    image.draft("RGB", (2 * width, 2 * height))
    return extra + image.width * image.height * PILLOW.get(image.mode, 4)


def _reduced(image, width, height):
    """Return the centre of a large image in RGB, at least sixteen times the model's size where it is so large.

    It is made strip by strip, as a converted copy of the whole would not fit into memory. The part that is kept is
    as long as the model's proportions ask for, whichever way the camera's orientation then turns it.
    """
    image.load()  # before its size is asked: some TIFF files change it
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


def _centre(image, width, height):
    """Cut out the largest centred part of the proportions width : height."""
    scale = min(image.width / width, image.height / height)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (image.width - wide) // 2, (image.height - high) // 2
    return image.crop((left, top, left + wide, top + high))


def _white(image):
    """Return the value of white in 16-bit and floating-point grey; of other modes it is known."""
    if image.mode.startswith("I"):
        return 65535
    return 1 if image.mode == "F" and image.getextrema()[1] <= 1 else 255


def _rgb(image, white):
    if image.mode.startswith(("I", "F")):
        # Pillow's own conversion to 8 bits clips instead of scaling.
        values = np.nan_to_num(np.asarray(image, "float64") * (255 / white))
        return Image.fromarray(np.rint(np.clip(values, 0, 255)).astype("uint8")).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def find_images(names):
    """Return the image paths that files, folders (their images, sorted, not those below) and globs name; ``-`` stays.

    Among the matches of a folder or pattern the explanations that predict.py wrote do not count.

    A name that stands for nothing, a folder or pattern without an image too, is a ``Problem`` in the list.
    """
    found = []
    for name in names:
        path = Path(name)
        try:
            if name == STANDARD_INPUT:
                _standard_input()
                found.append(path)
            elif path.is_dir():
                images = sorted(file for file in path.iterdir() if file.suffix.lower() in EXTENSIONS and file.is_file())
                images = [file for file in images if not file.name.endswith(EXPLAINED)]
                found += images or [Problem(f"{name}: has no images in it")]
            elif path.exists():
                found.append(path)
            elif glob.has_magic(name):
                images = sorted(
                    Path(match) for match in glob.glob(name, recursive=True) if not match.endswith(EXPLAINED)
                )
                found += images or [Problem(f"{name}: matches no file")]
            else:
                found.append(Problem(f"{name}: no such file"))
        except OSError as error:
            found.append(Problem(describe(error)))
        except Problem as problem:
            found.append(problem)
    return found
