"""A person's image file -> an array."""

import glob
import logging
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from classify.command import Problem, describe

logging.getLogger("PIL").setLevel(logging.CRITICAL)  # it comments on odd files
LANCZOS = Image.Resampling.LANCZOS
EXPLAINED = ".explained.png"  # how the names of predict.py's own pictures end; a folder's are not classified
EXTENSIONS = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


def load_image(path, height, width):
    """Return an image file of any size and mode as RGB pixels, uint8 of shape (height, width, 3).

    The camera's orientation is applied, what is transparent becomes white, 16 bits become 8 by scale, the
    centre of the model's proportions is cut out, and a larger image is reduced with an antialiasing filter.

    Raises:
        Problem: the file is missing, is no image, is damaged, or has more than Pillow's limit of 179 megapixels.
    """

    def model_sees(image):
        return np.asarray(_rgb(image).crop(_centre(*image.size, height, width)).resize((width, height), LANCZOS))

    return _read(path, (2 * width, 2 * height), model_sees)


def load_picture(path, longest, height, width):
    """Return an image file as a person sees it, and where in it is what ``load_image`` cuts out.

    The picture is uint8 of shape (rows, columns, 3), reduced to at most ``longest`` a side; the place is (left, top,
    right, bottom) in its pixels. Raises what ``load_image`` raises.
    """

    def person_sees(image):
        picture = _rgb(image)
        picture.thumbnail((longest, longest), LANCZOS)
        return np.asarray(picture), _centre(*picture.size, height, width)

    return _read(path, (longest, longest), person_sees)


def _read(path, enough, use):
    """Return ``use(image)`` of an upright Pillow image; one of a size that is ``enough`` will do."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns from half of its limit on
            with Image.open(path) as image:
                image.draft("RGB", enough)  # a JPEG is reduced while it is decoded
                return use(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise Problem(f"{path}: cannot be read as an image") from error
    except Image.DecompressionBombError as error:
        raise Problem(f"{path}: has more pixels than the {2 * Image.MAX_IMAGE_PIXELS:,} allowed") from error
    except OSError as error:
        reason = describe(error) if error.filename else f"{path}: is damaged ({describe(error)})"
        raise Problem(reason) from error
    except Exception as error:  # whatever a stranger's file makes Pillow raise
        raise Problem(f"{path}: is damaged or of an unknown kind") from error


def _centre(columns, rows, height, width):
    """Return (left, top, right, bottom) of the largest centred part of the proportions width : height."""
    scale = min(columns / width, rows / height)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (columns - wide) // 2, (rows - high) // 2
    return left, top, left + wide, top + high


def _rgb(image):
    if image.mode.startswith(("I", "F")):
        return _grey_to_rgb(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _grey_to_rgb(image):
    """16-bit and floating-point grey; Pillow's own conversion to 8 bits clips instead of scaling."""
    values = np.asarray(image, "float64")
    scale = 1 if image.mode == "F" and values.max() > 1 else 255 if image.mode == "F" else 1 / 257
    return Image.fromarray(np.rint(np.clip(values * scale, 0, 255)).astype("uint8")).convert("RGB")


def _is_picture(file):
    return file.suffix.lower() in EXTENSIONS and not file.name.endswith(EXPLAINED)


def find_images(names):
    """Return the image paths that files, folders (their images, sorted, not those below) and globs name.

    A name that stands for nothing, a folder or pattern without an image too, is a ``Problem`` in the list.
    """
    found = []
    for name in names:
        path = Path(name)
        try:
            if path.is_dir():
                images = sorted(file for file in path.iterdir() if _is_picture(file))
                found += images or [Problem(f"{name}: has no images in it")]
            elif path.exists():
                found.append(path)
            elif glob.has_magic(name):
                images = sorted(Path(match) for match in glob.glob(name, recursive=True))
                found += images or [Problem(f"{name}: matches no file")]
            else:
                found.append(Problem(f"{name}: no such file"))
        except OSError as error:
            found.append(Problem(describe(error)))
    return found
