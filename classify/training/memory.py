"""How much memory a training needs: an estimate, so that it can be said before the memory is taken."""

import keras
import numpy as np

from classify.inference.predictor import BATCH_SIZE

PROGRAM = 900e6  # bytes of Python, TensorFlow, Keras and what they compile, as measured
COPIES = 12  # of the weights, at the most: while they are converted to LiteRT, as measured


def memory(model, data, batch_size=0):
    """Return how much memory it takes, about, to train a network and to measure it, in words.

    A training step keeps what each layer makes of each image, and the gradient of it. A prediction keeps what two
    layers make, in float32.

    Args:
        model: the network.
        data: the ``Data``. Arrays lie in memory; what a store on disk holds does not.
        batch_size: images a training step; 0 where the network as a whole does not train.
    """
    arrays = sum(images.nbytes for images in _images(data) if isinstance(images, np.ndarray))
    layers = list(_layers(model))
    numbers = [_numbers(layer) for layer in layers]
    step = sum(2 * n * _itemsize(layer) for n, layer in zip(numbers, layers, strict=True))
    prediction = 4 * max(a + b for a, b in zip(numbers, numbers[1:], strict=False))
    weights = 4 * COPIES * model.count_params()
    trained = min(batch_size, len(data.train.images))
    most = max(trained * step, max(trained, BATCH_SIZE) * prediction)
    return f"about {(PROGRAM + arrays + weights + most) / 1e9:.1f} GB of memory"


def _images(data):
    return data.train.images, data.validation.images, data.test.images


def _layers(model):
    """Yield a model's layers, and those of a model that is one of its layers."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _numbers(layer):
    """Return how many numbers a layer makes of an image."""
    return int(np.prod(layer.output.shape[1:]))


def _itemsize(layer):
    """Return how many bytes each of them takes."""
    return 2 if layer.compute_dtype == "bfloat16" else 4
