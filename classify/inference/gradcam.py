"""Where in an image a network sees a class: Grad-CAM."""

import difflib
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from classify.command import Problem, describe, note
from classify.data import pictures as images
from classify.reporting import plots
from classify.runs import folder as runs

SIZE = 480  # pixels of the longer side of the picture in an explanation, about
SOFTWARE = "predict.py --explain"  # by which a file of ours is known, so that no other is overwritten


class Explainer:
    """Grad-CAM: Selvaraju et al. (2017), ICCV, arXiv:1610.02391.

    Looks at the last features that still have a place in the image, those that the final pooling or Flatten takes:
    3 x 3 places in the CNN (4 x 4 in the tutorial's) for 32 x 32 pixels, 5 x 5 in InceptionV3 at 224. Earlier ones have
    more places, but their average gradient says little: over CIFAR-10's images such maps were scattered, or empty.

    Args:
        model: a Keras model that obeys the saved-model contract.

    Raises:
        Problem: it is no Sequential model that ends in a softmax Dense layer, or has no features with a place.
    """

    def __init__(self, model):
        *hidden, last = model.layers
        places = [number for number, layer in enumerate(hidden) if len(layer.input.shape) == 4]
        softmax = isinstance(last, keras.layers.Dense) and last.activation is keras.activations.softmax
        if not (isinstance(model, keras.Sequential) and places and softmax):
            raise Problem("--explain takes a Sequential model of convolutions that ends in Dense with softmax")
        self.lower, self.upper, self.last = hidden[: places[-1]], hidden[places[-1] :], last

    def maps(self, images, classes):
        """Return how much each place speaks for a class, float32 of shape (N, rows, columns), 0 or larger.

        Args:
            images: RGB pixels, 0 to 255, of shape (N, H, W, 3).
            classes: the number of a class an image, of shape (N,).

        That is the sum over the features' channels, each weighted by the mean gradient over all places, of what is
        positive in it. The gradient is of the logit: a probability's would vanish where the model is certain.
        """
        features = _through(self.lower, keras.ops.convert_to_tensor(images, "float32"))
        chosen = keras.ops.one_hot(keras.ops.convert_to_tensor(classes, "int32"), self.last.units)

        def logit(features):
            logits = _through(self.upper, features) @ self.last.kernel + self.last.bias
            return keras.ops.sum(logits * chosen, axis=1)

        weights = keras.ops.mean(_gradient(logit, features), axis=(1, 2), keepdims=True)
        return np.array(keras.ops.relu(keras.ops.sum(weights * features, axis=-1)))


def _through(layers, values):
    for layer in layers:
        values = layer(values, training=False)
    return values


def _gradient(function, at):
    """The gradient, the one thing here that is TensorFlow's alone; each of ``function``'s values is of one image."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(at)
        values = function(at)
    return tape.gradient(values, at)


class Explanations:
    """Draws what in an image speaks for a class, into a PNG beside the image or in a folder.

    Args:
        model: what ``Explainer`` takes.
        class_names: one name a class.
        named: the class to explain; None for the one that is predicted.
        folder: None for beside the image.

    Raises:
        Problem: there is no class of that name, or ``Explainer`` cannot explain the model.
    """

    def __init__(self, model, class_names, named=None, folder=None):
        if named and named not in class_names:
            close = difflib.get_close_matches(named, class_names, n=1)
            hint = f"did you mean {close[0]}?" if close else f"the classes are {', '.join(class_names)}"
            raise Problem(f"--explain-class: there is no class {named}; {hint}", status=2)
        self.explainer = Explainer(model)
        height, width = model.input_shape[1:3]
        larger = max(1, SIZE // max(height, width))
        self.size = height * larger, width * larger
        self.class_names, self.named, self.folder = class_names, named, folder
        self.written = set()

    def write(self, answered):
        """Write the explanation of ``((path, pixels), probabilities)``, say so, and return its path.

        ``path`` is of the image file, ``pixels`` what the model saw of it, of shape (H, W, 3), ``probabilities`` its
        answer.

        Raises:
            Problem: it cannot be written, or a file of that name is there that is no explanation.
        """
        (path, pixels), probabilities = answered
        chosen = self.class_names.index(self.named) if self.named else int(np.argmax(probabilities))
        strengths = self.explainer.maps(pixels[None], [chosen])[0]
        name = f"{self.class_names[chosen]}, {100 * probabilities[chosen]:.1f} %"
        title = f"what speaks for {name}" if strengths.any() else f"nothing speaks for {name}"
        picture = images.load_image(path, *self.size)
        try:
            target = self._target(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with runs.whole(target) as beside:
                figure = plots.explanation(picture, strengths, title)
                figure.savefig(beside, format="png", metadata={"Software": SOFTWARE})
        except OSError as error:
            raise Problem(f"{path}: its explanation cannot be written ({describe(error)})") from error
        note(f"{path}: explained in {target}")
        return target

    def _target(self, path):
        folder = path.parent if self.folder is None else Path(self.folder)
        name = "stdin" if str(path) == images.STANDARD_INPUT else path.name
        target, number = folder / (name + images.EXPLAINED), 2
        while target in self.written:  # images of the same name from several folders
            target = folder / f"{name}-{number}{images.EXPLAINED}"
            number += 1
        if target.exists() and not _is_ours(target):
            raise Problem(f"{path}: {target} is there and is no explanation of ours; pass --explain-to FOLDER")
        self.written.add(target)
        return target


def _is_ours(file):
    try:
        with Image.open(file) as image:
            return image.info.get("Software") == SOFTWARE
    except OSError:
        return False
