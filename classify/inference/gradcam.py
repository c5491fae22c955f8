"""Where in an image a network sees a class: Grad-CAM."""

import keras
import numpy as np

from classify.backends import backend
from classify.command import Problem


class Explainer:
    """Grad-CAM: Selvaraju et al. (2017), ICCV, arXiv:1610.02391.

    It looks at the last features that still have a place in the image, those that the final pooling or Flatten takes.
    Of 32 x 32 pixels that is 3 x 3 places in the CNN (4 x 4 in the tutorial's), of 224 x 224 it is 5 x 5 in
    InceptionV3. Earlier features have more places, but their average gradient says little: on CIFAR-10's images such
    maps were scattered, or empty.

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
            classes: the number of a class for each image, of shape (N,).

        It is the sum over the features' channels, each weighted by its mean gradient over all places; of that sum the
        positive part is kept. The gradient is the logit's: a probability's would vanish where the model is certain.
        """
        features = _through(self.lower, keras.ops.convert_to_tensor(images, "float32"))
        chosen = keras.ops.one_hot(keras.ops.convert_to_tensor(classes, "int32"), self.last.units)

        def logit(features):
            logits = _through(self.upper, features) @ self.last.kernel + self.last.bias
            return keras.ops.sum(logits * chosen, axis=1)

        weights = keras.ops.mean(backend.gradient(logit, features), axis=(1, 2), keepdims=True)
        return np.array(keras.ops.relu(keras.ops.sum(weights * features, axis=-1)))


def _through(layers, values):
    for layer in layers:
        values = layer(values, training=False)
    return values
