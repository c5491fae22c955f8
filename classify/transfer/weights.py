"""InceptionV3's pretrained weights: found, fetched, or a clear word about what to do."""

import contextlib
import hashlib
import os
import warnings
from pathlib import Path

from classify.command import Problem, printable
from classify.data.download import Unreachable, fetch_file

NAME = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
URL = f"https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/{NAME}"
MD5 = "bcbd6486424b2319ff4ef7d526e38f63"  # the one that Keras checks


def find(weights):
    """Return what Keras's ``weights`` argument takes, for ``imagenet``, ``none`` or the path of a weights file.

    ImageNet's are fetched to where Keras keeps them if they are not there: Keras would wait for a silent host for
    minutes without a word.

    Raises:
        Problem: there is no such file, or the download failed.
    """
    if weights == "none":
        return None
    if weights != "imagenet":
        if not Path(weights).is_file():
            raise Problem(f"there is no weights file {printable(weights)}: --weights takes imagenet, none or a file")
        return weights
    path = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models" / NAME
    if not path.is_file():
        try:
            fetch_file(URL, path, "InceptionV3's weights", hashlib.md5(usedforsecurity=False), MD5)
        except Unreachable as error:
            raise Problem(
                f"InceptionV3's ImageNet weights could not be downloaded:\n  {error}\nAny of these helps:\n"
                f"  · put {NAME}\n    into {path.parent}\n"
                "  · pass that file, wherever it is, with  --weights path/to/file\n"
                f"    (its address is {URL.removesuffix(NAME)}\n    with its name)\n"
                "  · try everything else with  --weights none  (random weights, poor accuracy)"
            ) from error
    return str(path)


def title(weights):
    """Return what a person shall read of ``--weights``: 'ImageNet weights', 'random weights' or the file's name."""
    return {"imagenet": "ImageNet weights", "none": "random weights"}.get(
        weights, f"weights {printable(Path(weights).name)}"
    )


@contextlib.contextmanager
def checked(file):
    """Raise ``Problem`` if the network built inside finds that a weights file is damaged or another network's.

    ``file`` is what ``find`` returned.
    """
    try:
        with warnings.catch_warnings():
            # Keras only warns when a file lacks the weights of some layers, and leaves these random.
            warnings.filterwarnings("error", message="Skipping")
            yield
    except (ValueError, OSError, KeyError, TypeError, UserWarning) as error:
        if file is None:
            raise
        raise Problem(
            f"{printable(file)} does not hold InceptionV3's weights without its top, or is damaged"
        ) from error
