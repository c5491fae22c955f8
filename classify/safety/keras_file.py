"""A .keras file from anywhere: what it holds is known, and bounded by what is stored, before Keras opens it."""

import contextlib
import io
import math

from classify.command import Problem, printable
from classify.safety import config, members, network
from classify.safety.refusal import Refused, refuse, unless

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
# Keras compresses nothing. What a person has compressed again is opened too, within reason.
LIMITS = {"metadata.json": (2**16, 100), CONFIG: (2**22, 100), WEIGHTS: (2**31, 4)}
HDF5 = b"\x89HDF\r\n\x1a\n"
NUMBER = 2  # bytes of the smallest number that weights are stored as: bfloat16


def check(path, trust=False):
    """Return the ``network.Network`` that a ``.keras`` file's config implies, without reading its weights.

    Args:
        path: the file.
        trust: whether built-in layers may be in it that this project's models do not have. Then None is returned if
            it holds any, as their shapes are not known before Keras builds them.

    Raises:
        Problem: the file is none, or nothing that may be opened.
    """
    with _problems(path, trust), _opened(path) as archive:
        return _implied(archive, trust)


def check_weights(path, trust=False):
    """Do as ``check`` does, and check the file's weights too: all that can be known before Keras builds the model."""
    from classify.safety import weights  # h5py, which takes a third of predict.py's start

    with _problems(path, trust), _opened(path) as archive:
        implied = _implied(archive, trust)
        weights.check(io.BytesIO(archive.read(WEIGHTS)), implied and implied.weights)
        return implied


def check_built(path):
    """Raise ``Problem`` unless the weights that Keras would make are no larger than what a ``.keras`` file stores.

    It is for a file of which ``check_weights`` returned None. In a ``StatelessScope`` Keras notes the shapes of
    variables and makes them later; here never.
    """
    import keras

    with _problems(path, trust=True), _opened(path) as archive:
        described = config.parse(archive.read(CONFIG)) | {"compile_config": None}
        try:
            with keras.StatelessScope(initialize_variables=False):
                model = keras.saving.deserialize_keras_object(described, safe_mode=True)
                _check_count(sum(math.prod(variable.shape) for variable in model.weights), archive)
        finally:
            keras.utils.clear_session(free_memory=False)  # else Keras's next operation would make the variables


@contextlib.contextmanager
def _problems(path, trust):
    """Turn ``Refused`` into a ``Problem`` that names the file, and --trust where that would open it."""
    try:
        yield
    except Refused as refused:
        hint = " (Other built-in layers: --trust)" if refused.by_name and not trust else ""
        raise Problem(f"{printable(path)} {refused}{hint and '.' + hint}") from refused


@contextlib.contextmanager
def _opened(path):
    with open(path, "rb") as file:
        unless(file.read(8) != HDF5, "it is an HDF5 model, which can hold code; save it again as .keras")
    if not str(path).endswith(".keras"):  # Keras would open it as another format, with fewer safeguards
        raise Refused(members.NO_MODEL)
    with members.opened(path, LIMITS) as archive:
        for name in (CONFIG, WEIGHTS):
            unless(name in archive.namelist(), f"it lacks {name}")
        yield archive


def _implied(archive, trust):
    described = config.parse(archive.read(CONFIG))
    config.check(described, trust)
    try:
        implied = network.implied(described)
    except Refused as refused:
        if trust and refused.by_name:
            return None
        raise
    _check_count(implied.parameters(), archive)
    return implied


def _check_count(parameters, archive):
    """Raise ``Refused`` unless the weights' file can hold so many parameters."""
    if NUMBER * parameters > archive.getinfo(WEIGHTS).file_size:
        refuse(f"its config.json implies {parameters:,} parameters, which are not there")
