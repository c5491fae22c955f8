"""Opening a saved model."""

import zipfile

from classify import command
from classify.command import Problem, printable
from classify.inference import litert


def load(path):
    """Open a ``.keras`` file for predicting: its LiteRT copy, which starts at once, or else the Keras model.

    Returns a model with ``input_shape``, ``output_shape`` and ``predict_on_batch``.

    Raises:
        Problem: there is no current LiteRT copy, and the file cannot be used either, as ``load_keras`` says.
    """
    return litert.find(path) or load_keras(path)


def load_keras(path):
    """Open a ``.keras`` file as a Keras model.

    Raises:
        Problem: the file is no Keras model, does not take RGB images of one size, or does not return one row an image.
    """
    name = printable(path)
    if not zipfile.is_zipfile(path):
        raise Problem(f"{name} is not a Keras model (a .keras file)")
    command.start_keras()
    import keras

    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # a damaged or unusual file makes Keras raise almost anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise Problem(f"{name} cannot be opened as a Keras model: {printable(reason)}") from error
    shape = getattr(model, "input_shape", None)
    if not (isinstance(shape, tuple) and len(shape) == 4 and None not in shape[1:3] and shape[3] == 3):
        raise Problem(f"{name} does not take RGB images of one size: its input is {shape}")
    if isinstance(getattr(model, "output", None), dict):
        raise Problem(f"{name} returns a dictionary of outputs, not one row of probabilities an image")
    shape = model.output_shape
    if not (isinstance(shape, tuple) and len(shape) == 2):
        raise Problem(f"{name} does not return one row of probabilities an image: its output is {shape}")
    return model
