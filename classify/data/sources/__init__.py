"""The labelled data sets that ``--data`` names, a module for each kind."""

import os
from pathlib import Path

from classify.command import Problem, note, printable
from classify.data.download import Unreachable
from classify.data.sources import cifar10, digits, folder, prepared

NAMED = (None, "cifar10", "digits")  # what is no path


def find(data=None, data_dir=None, label=None, csv_order=None):
    """Return the ``Source`` that ``--data`` names.

    Args:
        data: ``cifar10``, ``digits``, a folder that TFDS prepared, or a ``cifar-10-binary.tar.gz``. None is
            CIFAR-10; where that cannot be had, it is digits, and a notice says so.
        data_dir: the folder where TFDS prepares data sets; None is TFDS's own default.
        label: the name of the class label, for a folder of TFDS with several; None leaves the choice to TFDS.

    Raises:
        Problem: the data set is not there or cannot be had, or has no such label.
    """
    path, shown = Path(os.path.expanduser(data or "cifar10")), printable(data or "cifar10")
    if label is not None and (data in NAMED or not path.is_dir()):
        raise Problem(f"--label chooses a label in a folder that TFDS prepared; {shown} is none", status=2)
    if data == "digits":
        return digits.source()
    if data in (None, "cifar10"):
        try:
            return cifar10.source(data_dir)
        except Unreachable as error:
            if data:
                raise Problem(cifar10.explain(error)) from error
            note(f"\n{cifar10.explain(error)}\nThis run now trains on digits, so that you can try the rest.\n")
            return digits.source()
    if path.is_dir():
        if (path / "dataset_info.json").is_file():
            return prepared.source(path, label=label)
        return folder.source(path)
    if path.name.endswith(".tar.gz") and path.is_file():
        return cifar10.archive_source(path)
    if path.exists():
        raise Problem(f"{shown} is neither a folder that TFDS prepared nor a {cifar10.ARCHIVE}")
    raise Problem(f"there is no data set {shown}: --data takes cifar10, digits, a TFDS folder or a {cifar10.ARCHIVE}")
