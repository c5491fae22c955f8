"""A quicker way to the answers of a saved model that is a head on a frozen InceptionV3.

The features of a set of images are kept, so to measure a model on it again, or another head, computes none. Many views
of images, of which no features are kept, go through a copy with folded batch normalization, in bfloat16 if that is
asked for.
"""

from classify.inference.predictor import predict
from classify.training.loop import dtype_policy
from classify.transfer.features import Extractor
from models.inception import head_of, stands_on_base, trunk

EXACT = 2  # convolutions


def find(model):
    """Return the ``Shortcut`` of an opened Keras model, or None where it is another network."""
    return Shortcut(model) if stands_on_base(model) else None


class Shortcut:
    """The two parts of a model, the second of which is its own: where its weights change, the answers do.

    Args:
        model: a Keras model that ``stands_on_base``.

    Attributes:
        light: where a light copy with another head is kept, in the folder of the features.
    """

    def __init__(self, model):
        self.model, self.head = model, head_of(model)
        self.extractor = Extractor(model, "float32")
        self.light = self.extractor.folder / f"{model.output_shape[-1]}-classes.tflite"

    def predict(self, images, name):
        """Return the model's probabilities, float32 of shape (N, classes), from kept float32 features.

        They differ from those of the whole model by rounding, at the most by about 1e-5.

        Args:
            images: ``Images``, uint8 of shape (N, H, W, 3).
            name: which images they are, for the bar: 'test'.
        """
        return predict(self.head, self.extractor.extract(images, name), doing=None)

    def folded(self, precision):
        """Return the same model in a precision, ``"float32"`` or ``"bfloat16"``, for ``predict``."""
        return Folded(self.model, self.head, precision)


class Folded:
    """A model whose batch normalization is folded away, for ``predict``.

    Its head computes in float32, and so do its first convolutions: their rounding is most of what bfloat16 costs.
    """

    def __init__(self, model, head, precision):
        with dtype_policy(precision):
            self.trunk = trunk(model, EXACT)
        self.head, self.output_shape = head, model.output_shape

    def predict_on_batch(self, images):
        return self.head.predict_on_batch(self.trunk.predict_on_batch(images))
