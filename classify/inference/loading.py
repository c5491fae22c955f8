"""Opening a saved model."""

from classify import command
from classify.command import Problem, printable
from classify.inference import litert
from classify.safety import keras_file


def load(path, trust=False):
    """Open a ``.keras`` file for predicting: its LiteRT copy, which starts at once, or else the Keras model.

    Returns a model with ``input_shape``, ``output_shape`` and ``predict_on_batch``.

    Args:
        path: the file. It may come from anywhere.
        trust: whether built-in layers may be in it that this project's models do not have.

    Raises:
        Problem: the file cannot be used or may not be opened, as ``load_keras`` says.
    """
    network = keras_file.check(path, trust)
    return (network and litert.find(path, network)) or load_keras(path, trust)


def load_keras(path, trust=False):
    """Open a ``.keras`` file as a Keras model.

    Args:
        path, trust: as for ``load``.

    Raises:
        Problem: the file is no Keras model, may not be opened, does not take RGB images of one size, or does not
            return one row an image.
    """
    name = printable(path)
    network = keras_file.check_weights(path, trust)
    command.start_keras()
    import keras

    try:
        if network is None:
            keras_file.check_built(path)
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Problem:
        raise
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
