"""How large InceptionV3 sees an image: a photograph as it is, a small picture enlarged in the network."""

from classify.command import Problem
from classify.data import splits
from models.inception import LARGEST, SMALLEST

SIDE = 224  # pixels; about what InceptionV3 was trained on


def image_size(source):
    """Return the pixels a side that pictures of many sizes are reduced to: 224, or the typical size of small ones."""
    return SIDE if source.side > SIDE // 2 else max(splits.SMALLEST, source.side)


def upsampling(shape, times=None):
    """Return how many times the network enlarges each side of images of shape (height, width, 3).

    Args:
        shape: theirs.
        times: what was asked for; None for as often as fits into 224 pixels.

    Raises:
        Problem: the network cannot take images of that size.
    """
    small, large = sorted(shape[:2])
    times = times or max(1, SIDE // small)
    pixels = f"--upsampling: {small} pixels times {times}"
    if small * times < SMALLEST:
        raise Problem(f"{pixels} is less than the {SMALLEST} that InceptionV3 needs", status=2)
    if large * times > LARGEST:
        raise Problem(f"{pixels} is more than the {LARGEST} that memory allows for", status=2)
    return times
