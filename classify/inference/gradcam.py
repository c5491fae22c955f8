"""Where in an image a network sees a class: Grad-CAM."""

import keras
import numpy as np

from classify.backends import backend
from classify.command import Problem


class Explainer:
    """Grad-CAM: Selvaraju et al. (2017), ICCV, arXiv:1610.02391.

    It uses the last feature map before pooling or Flatten: for an image of 32 x 32 that is 3 x 3 places in the CNN
    (4 x 4 in the tutorial's), for 224 x 224 it is 5 x 5 in InceptionV3. Earlier feature maps have more places, but
    their average gradient says little: on CIFAR-10's images such maps were scattered, or empty.

    Args:
        model: a Keras model that obeys the saved-model contract.

    Raises:
        Problem: the model has no feature map, does not end in a softmax Dense layer, or the last layer uses features
            of several layers.
    """

    def __init__(self, model):
        self.last, [hidden, *_] = _made_by(model.outputs[0])
        softmax = isinstance(self.last, keras.layers.Dense) and self.last.activation is keras.activations.softmax
        features = _with_a_place(hidden)
        if features is None or not softmax:
            raise Problem("--explain takes a model of convolutions that ends in Dense with softmax")
        self.lower = keras.Model(model.inputs, features)
        try:
            self.upper = keras.Model(features, hidden)
        except ValueError as error:
            raise Problem("--explain takes no model whose last layer uses features of several layers") from error

    def maps(self, images, classes):
        """Return how much each place speaks for a class, float32 of shape (N, rows, columns), 0 or larger.

        Args:
            images: RGB pixels, 0 to 255, of shape (N, H, W, 3).
            classes: the number of a class for each image, of shape (N,).

        It is the sum over the features' channels, each weighted by its mean gradient over all places; of that sum the
        positive part is kept. The gradient is the logit's: a probability's would vanish where the model is certain.
        """
        features = self.lower(keras.ops.convert_to_tensor(images, "float32"), training=False)
        chosen = keras.ops.one_hot(keras.ops.convert_to_tensor(classes, "int32"), self.last.units)

        def logit(features):
            logits = self.upper(features, training=False) @ self.last.kernel  # a bias has no gradient
            return keras.ops.sum(logits * chosen, axis=1)

        weights = keras.ops.mean(backend.gradient(logit, features), axis=(1, 2), keepdims=True)
        return np.array(keras.ops.relu(keras.ops.sum(weights * features, axis=-1)))


def _made_by(tensor):
    """Return the layer that a model's symbolic tensor comes from, and the tensors that the layer took."""
    layer, call, _ = tensor._keras_history  # Keras says it nowhere else: `layer.input` is of the layer's first call
    return layer, layer._inbound_nodes[call].input_tensors


def _with_a_place(tensor):
    """Return the nearest tensor of shape (N, rows, columns, channels) before this one, or None if there is none."""
    while len(tensor.shape) != 4:
        _, taken = _made_by(tensor)
        if not taken:
            return None
        tensor = taken[0]
    return tensor
