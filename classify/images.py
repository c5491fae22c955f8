"""A person's image file -> an array."""

import glob
import logging
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from classify.command import Problem, describe

logging.getLogger("PIL").setLevel(logging.CRITICAL)  # it comments on odd files
EXPLAINED = ".explained.png"  # how the names of predict.py's own pictures end
EXTENSIONS = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


def load_image(path, height, width):
    """Return an image file of any size and mode as RGB pixels, uint8 of shape (height, width, 3).

    The camera's orientation is applied, what is transparent becomes white, 16 bits become 8 by scale, the
    centre of the model's proportions is cut out, and a larger image is reduced with an antialiasing filter.

    Raises:
        Problem: the file is missing, is no image, is damaged, or has more than Pillow's limit of 179 megapixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns from half of its limit on
            with Image.open(path) as image:
                image.draft("RGB", (2 * width, 2 * height))  # a JPEG is reduced while it is decoded
                image = _centre(_rgb(ImageOps.exif_transpose(image)), width, height)
                return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    except UnidentifiedImageError as error:
        raise Problem(f"{path}: cannot be read as an image") from error
    except Image.DecompressionBombError as error:
        raise Problem(f"{path}: has more pixels than the {2 * Image.MAX_IMAGE_PIXELS:,} allowed") from error
    except OSError as error:
        reason = describe(error) if error.filename else f"{path}: is damaged ({describe(error)})"
        raise Problem(reason) from error
    except Exception as error:  # whatever a stranger's file makes Pillow raise
        raise Problem(f"{path}: is damaged or of an unknown kind") from error


def _centre(image, width, height):
    """Cut out the largest centred part of the proportions width : height."""
    scale = min(image.width / width, image.height / height)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (image.width - wide) // 2, (image.height - high) // 2
    return image.crop((left, top, left + wide, top + high))


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
    values = np.nan_to_num(values * scale)
    return Image.fromarray(np.rint(np.clip(values, 0, 255)).astype("uint8")).convert("RGB")


def find_images(names):
    """Return the image paths that files, folders (their images, sorted, not those below) and globs name.

    Among the matches of a folder or pattern the explanations that predict.py wrote do not count.

    A name that stands for nothing, a folder or pattern without an image too, is a ``Problem`` in the list.
    """
    found = []
    for name in names:
        path = Path(name)
        try:
            if path.is_dir():
                images = sorted(file for file in path.iterdir() if file.suffix.lower() in EXTENSIONS)
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
    return found
