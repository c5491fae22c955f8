"""Pictures that show none of CIFAR-10's ten classes, by kind: of photographs that packages bring, or drawn here."""

import string
from pathlib import Path

import numpy as np
from matplotlib import cbook
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_images

from classify.data import pictures, sources

SIZE = 32  # pixels a side, of all of them
COUNT = 300  # images of each kind that is drawn


def outsiders(photos=None):
    """Return a dictionary from each kind's name to its images, uint8 of shape (N, 32, 32, 3).

    Args:
        photos: a folder of photographs of other things, read with its subfolders as predict.py would; None for none.
    """
    kinds = {
        "tiles": tiles(),
        "crops": crops(),
        "digits": sources.find("digits").read("test").images,
        "text": drawn(_text),
        "drawings": drawn(_drawing),
        "texture": drawn(_texture),
        "noise": drawn(lambda rng: rng.integers(0, 256, (SIZE, SIZE, 3), dtype="uint8")),
        "blank": drawn(_blank),
    }
    if photos:
        files = sorted(file for file in Path(photos).rglob("*") if file.suffix.lower() in pictures.EXTENSIONS)
        kinds["photos"] = np.stack([pictures.load(file, SIZE, SIZE) for file in files])
    return kinds


def drawn(draw, count=COUNT):
    """Return ``count`` images of one kind, each from a random generator of its own."""
    return np.stack([np.asarray(draw(np.random.default_rng(number)), "uint8") for number in range(count)])


def tiles():
    """Return scikit-learn's two photographs, of a temple and a flower, cut into squares of 32 pixels."""
    squares = []
    for photo in load_sample_images().images:
        rows, columns = (length // SIZE for length in photo.shape[:2])
        cut = photo[: rows * SIZE, : columns * SIZE].reshape(rows, SIZE, columns, SIZE, 3)
        squares.append(cut.swapaxes(1, 2).reshape(-1, SIZE, SIZE, 3))
    return np.concatenate(squares)


def crops():
    """Return large parts of three photographs, of a temple, a flower and a person, made small."""
    photos = [Image.fromarray(photo) for photo in load_sample_images().images]
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        photos.append(Image.open(file).convert("RGB"))

    def crop(rng):
        photo = photos[rng.integers(len(photos))]
        side = int(rng.integers(96, min(photo.size) + 1))
        left, top = (int(rng.integers(length - side + 1)) for length in photo.size)
        return photo.resize((SIZE, SIZE), Image.Resampling.BOX, (left, top, left + side, top + side))

    return drawn(crop)


def _colour(rng):
    return tuple(int(value) for value in rng.integers(0, 256, 3))


def _text(rng):
    """Letters as on a page: dark on light, or any colour on any other."""
    paper, ink = ((255, 255, 255), (0, 0, 0)) if rng.random() < 0.5 else (_colour(rng), _colour(rng))
    image = Image.new("RGB", (4 * SIZE, 4 * SIZE), paper)
    pen, size = ImageDraw.Draw(image), int(rng.integers(12, 60))
    for line in range(4 * SIZE // size + 1):
        letters = "".join(rng.choice(list(string.ascii_letters + "   "), 20))
        pen.text((2, line * size * 1.2), letters, ink, ImageFont.load_default(size))
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)


def _drawing(rng):
    """A few lines, ellipses and polygons, outlined or filled."""
    image = Image.new("RGB", (4 * SIZE, 4 * SIZE), (255, 255, 255) if rng.random() < 0.5 else _colour(rng))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(2, 8)):
        corners = rng.integers(0, 4 * SIZE, (4, 2))
        points, fill = [tuple(int(value) for value in corner) for corner in corners], _colour(rng)
        kind = rng.integers(3)
        if kind == 0:
            pen.line(points, fill, int(rng.integers(2, 12)))
        elif kind == 1:
            pen.polygon(points, fill if rng.random() < 0.5 else None, _colour(rng))
        else:
            box = (*corners[:2].min(axis=0), *corners[:2].max(axis=0))
            pen.ellipse(tuple(map(int, box)), fill if rng.random() < 0.5 else None, _colour(rng), 4)
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)


def _texture(rng):
    """Stripes, checks, or clouds: noise whose spectrum falls with the frequency, as that of a photograph does."""
    y, x = np.mgrid[:SIZE, :SIZE]
    angle, period, phase = rng.uniform(0, np.pi), rng.uniform(3, 16), rng.uniform(0, 2 * np.pi, 2)
    across = np.sin(2 * np.pi / period * (x * np.cos(angle) + y * np.sin(angle)) + phase[0])
    along = np.sin(2 * np.pi / period * (y * np.cos(angle) - x * np.sin(angle)) + phase[1])
    kind = rng.integers(3)
    if kind == 0:
        pattern = across
    elif kind == 1:
        pattern = np.sign(across * along)
    else:
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE))) + 1 / SIZE
        pattern = np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIZE, SIZE))) / frequency).real
        pattern /= np.abs(pattern).max()
    first, second = rng.uniform(0, 255, (2, 3))
    return first + (second - first) * (pattern[..., None] + 1) / 2


def _blank(rng):
    """One colour, or one colour that passes into another."""
    first, second = rng.uniform(0, 255, (2, 3))
    if rng.random() < 0.5:
        second = first
    steps = np.linspace(0, 1, SIZE)[:, None, None]
    image = np.broadcast_to(first + (second - first) * steps, (SIZE, SIZE, 3))
    return image if rng.random() < 0.5 else image.swapaxes(0, 1)
