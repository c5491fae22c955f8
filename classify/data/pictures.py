"""A person's picture files: found by name, and each read into an array."""

import functools
import glob
import io
import statistics
import sys
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from classify.command import Problem, describe, printable
from classify.data import decoding

STANDARD_INPUT = "-"
LONGEST_INPUT = 2**27  # bytes of standard input; all of them stay in memory
EXPLAINED = ".explained.png"  # the end of the names of the pictures that predict.py writes itself
EXTENSIONS = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm"}


def find(names):
    """Return the picture files that the given names stand for, as a list of paths.

    A name is a file, a folder (all pictures in it, sorted, but not those in its subfolders), a pattern such as
    ``*.png``, or ``-`` for standard input. Folders and patterns leave out the explanations that predict.py wrote.

    A name that stands for nothing gives a ``Problem`` in the list, in its place; so does a folder or a pattern
    without pictures.
    """
    paths = []
    for name in names:
        try:
            paths += _named(name)
        except OSError as error:
            paths.append(Problem(describe(error)))
        except Problem as problem:
            paths.append(problem)
    return paths


def load(path, height, width, reduction=decoding.REDUCTION):
    """Return a picture file of any size and mode as RGB pixels, uint8 of shape (height, width, 3).

    The camera's orientation is applied. What is transparent becomes white. 16-bit values are scaled to 8 bits. The
    largest centred part with the proportions of (height, width) is cut out, and resized with an antialiasing filter.

    Several threads may call this at once. Only one large picture at a time is in memory.

    Args:
        path: the file, or an open one; ``-`` is standard input.
        height, width: in pixels.
        reduction: the way to reduce it, a name in ``decoding.REDUCTIONS``.

    Raises:
        Problem: the file is missing, is no picture, is damaged, has more than Pillow's limit of 179 megapixels, or
            would take more than 1 GB of memory to read.
    """
    return _opened(path, lambda image: decoding.decode(image, height, width, reduction))


def load_with_facts(path, height, width):
    """Return what ``load`` does, the picture's ``size``, and 16 hexadecimal digits that only its copies share.

    The digits are of the pixels of the whole picture, before anything is cut off.
    """

    def use(image):
        shown = _shown_size(image)
        pixels, digest = decoding.decode_with_digest(image, height, width)
        return pixels, shown, digest

    return _opened(path, use)


def _opened(path, use):
    """Return ``use`` of an opened picture file, and raise ``Problem`` as ``load`` does."""
    name = printable(path)
    try:
        with Image.open(io.BytesIO(standard_input()) if str(path) == STANDARD_INPUT else path) as image:
            return use(image)
    except Problem:
        raise
    except UnidentifiedImageError as error:
        raise Problem(f"{name}: cannot be read as an image") from error
    except Image.DecompressionBombError as error:
        raise Problem(f"{name}: has more pixels than the {2 * Image.MAX_IMAGE_PIXELS:,} allowed") from error
    except decoding.TooLargeError as error:
        raise Problem(f"{name}: is too large, reading it would take more than 1 GB of memory") from error
    except OSError as error:
        reason = describe(error) if error.filename else f"{name}: is damaged ({describe(error)})"
        raise Problem(reason) from error
    except Exception as error:  # a damaged file can make Pillow raise almost anything
        raise Problem(f"{name}: is damaged or of an unknown kind") from error


def size(path):
    """Return a picture's (width, height) in pixels as a person sees it, or None if the file is no picture."""
    try:
        with Image.open(path) as image:
            return _shown_size(image)
    except Exception:  # a damaged file can make Pillow raise almost anything
        return None


def _shown_size(image):
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    return image.size[::-1] if turned else image.size


def typical_side(files):
    """Return the shorter side, in pixels, that half of the pictures reach; 32 where none can be read."""
    sides = [min(known) for known in map(size, files) if known]
    return int(statistics.median(sides)) if sides else 32


def _named(name):
    """Return the paths that one name stands for; raise ``Problem`` if there is none."""
    path, shown = Path(name), printable(name)
    if name == STANDARD_INPUT:
        standard_input()  # now, since the threads that read pictures later must not read it twice
        return [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in EXTENSIONS and file.is_file())
        missing = f"{shown}: has no images in it"
    elif path.exists():
        return [path]
    elif glob.has_magic(name):
        files = sorted(Path(match) for match in glob.glob(name, recursive=True))
        missing = f"{shown}: matches no file"
    else:
        raise Problem(f"{shown}: no such file")
    files = [file for file in files if not file.name.endswith(EXPLAINED)]
    if not files:
        raise Problem(missing)
    return files


@functools.cache
def standard_input():
    """Return all of standard input as bytes. It can be read only once, so they are kept."""
    if sys.stdin is None:
        raise Problem(f"{STANDARD_INPUT}: standard input is closed")
    content = sys.stdin.buffer.read(LONGEST_INPUT + 1)
    if len(content) > LONGEST_INPUT:
        raise Problem(f"{STANDARD_INPUT}: standard input has more than {LONGEST_INPUT:,} bytes; name the file instead")
    return content
