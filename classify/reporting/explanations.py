"""Explanations as pictures in files: which part of an image speaks for a class."""

import difflib
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from classify.command import Problem, describe, note, printable
from classify.data import pictures
from classify.files import whole
from classify.inference.gradcam import Explainer

SIZE = 480  # pixels of the longer side of the image in an explanation, about
TAG = "predict.py --explain"  # written into each file of ours, so that no other is overwritten


class Explanations:
    """Writes IMAGE.explained.png for images: the image, and beside it the image under a map of what speaks for a class.

    Args:
        model: a Keras model that ``Explainer`` takes.
        class_names: one name a class.
        named: the class to explain; None for the most probable one of each image.
        folder: where to write; None for beside the image.

    Raises:
        Problem: there is no class of that name, or ``Explainer`` cannot explain the model.
    """

    def __init__(self, model, class_names, named=None, folder=None):
        if named is not None and named not in class_names:
            close = difflib.get_close_matches(named, class_names, n=1)
            known = ", ".join(map(printable, close or class_names))
            hint = f"did you mean {known}?" if close else f"the classes are {known}"
            raise Problem(f"--explain-class: there is no class {printable(named)}; {hint}", status=2)
        self.explainer = Explainer(model)
        height, width = model.input_shape[1:3]
        larger = max(1, SIZE // max(height, width))
        self.size = height * larger, width * larger
        self.named, self.folder = named, folder
        self.written = set()

    def write(self, path, prediction):
        """Write the explanation of a model's ``Prediction`` for the image file ``path``, say so, and return its path.

        Raises:
            Problem: it cannot be written, or a file of that name is there that is no explanation.
        """
        explanation = self.drawn(path, prediction)
        try:
            target = self._target(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with whole(target) as beside:
                explanation.savefig(beside, format="png", metadata={"Software": TAG})
        except OSError as error:
            raise Problem(f"{printable(path)}: its explanation cannot be written ({describe(error)})") from error
        note(f"{printable(path)}: explained in {printable(target)}")
        return target

    def drawn(self, path, prediction):
        """Return the explanation of a model's ``Prediction`` for the image file ``path`` as a figure.

        Raises:
            Problem: ``pictures.load`` cannot read the image.
        """
        names, probabilities = prediction.class_names, prediction.probabilities
        chosen = names.index(self.named) if self.named else int(np.argmax(probabilities))
        strengths = self.explainer.maps(prediction.pixels[None], [chosen])[0]
        what = "what speaks" if strengths.any() else "nothing speaks"
        title = f"{what} for {printable(names[chosen])}, {100 * probabilities[chosen]:.1f} %"
        return draw(pictures.load(path, *self.size), strengths, title)

    def _target(self, path):
        """Return the file to write; raise ``Problem`` if something else than an explanation of ours is there."""
        folder = path.parent if self.folder is None else Path(self.folder)
        name = "stdin" if str(path) == pictures.STANDARD_INPUT else path.name
        target, number = folder / (name + pictures.EXPLAINED), 2
        while target in self.written:  # images of the same name from several folders
            target = folder / f"{name}-{number}{pictures.EXPLAINED}"
            number += 1
        if target.exists() and not _is_ours(target):
            reason = f"{printable(target)} is there and is no explanation of ours; pass --explain-to FOLDER"
            raise Problem(f"{printable(path)}: {reason}")
        self.written.add(target)
        return target


def _is_ours(file):
    try:
        with Image.open(file) as image:
            return image.info.get("Software") == TAG
    except OSError:
        return False


def draw(image, strengths, title):
    """Return a figure of an image beside itself under a map of what speaks for a class.

    Args:
        image: RGB, uint8 of shape (rows, columns, 3).
        strengths: how much each place speaks for the class, 0 or larger, of shape (rows, columns) with fewer of both.
            The largest is drawn brightest.
        title: what the map is of.
    """
    rows, columns, _ = image.shape
    heat = Image.fromarray((strengths / max(strengths.max(), 1e-9)).astype("float32"))
    heat = np.clip(heat.resize((columns, rows), Image.Resampling.BICUBIC), 0, 1)
    opacity = 0.75 * heat[..., None]
    overlay = image / 255 * (1 - opacity) + colormaps["inferno"](heat)[..., :3] * opacity
    figure = Figure(figsize=(8.2, 4 * rows / columns + 0.4), layout="constrained", dpi=120)
    left, right = figure.subplots(1, 2)
    left.imshow(image)
    right.imshow(overlay)
    for axes in (left, right):
        axes.set_axis_off()
    figure.suptitle(title, parse_math=False)  # a class name may have dollar signs
    return figure
