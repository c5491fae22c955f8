"""The labelled data sets that ``--data`` names, a module for each kind."""

import os
from pathlib import Path

from classify.command import Problem, note, printable
from classify.data.download import Unreachable
from classify.data.sources import arrays, batches, cifar10, digits, folder, named, numbered, prepared, table

LISTS = (numbered.LISTING, "train.csv")  # of images, or of pictures beside them


def find(data=None, data_dir=None, label=None, csv_order=None):
    """Return the ``Source`` that ``--data`` names.

    Args:
        data: ``cifar10``, ``digits``, a path, or the name of a data set of TFDS. A path is a folder of one's own
            pictures or one that TFDS prepared, CIFAR-10's batches as an archive or a folder, a CSV file or a folder
            with ``train.csv``, or an .npz file. None is CIFAR-10; where that cannot be had, it is digits, and a notice
            says so.
        data_dir: the folder where TFDS prepares data sets; None is TFDS's own default.
        label: the name of the class label, for a data set of TFDS with several; None leaves the choice to TFDS.
        csv_order: how the values stand in a row of a CSV file, a name in ``table.ORDERS``; None is CIFAR-10's order.

    Raises:
        Problem: the data set is not there or cannot be had, or has no such label.
    """
    path, shown = Path(os.path.expanduser(data or "cifar10")), printable(data or "cifar10")
    words = data in (None, "cifar10", "digits")
    listing = None if words else _listing(path)
    if csv_order is not None and (listing is None or numbered.is_listing(listing)):
        raise Problem(f"--csv-order says how the values of an image stand in a CSV file; {shown} is none", status=2)
    of_tfds = not words and ((path / "dataset_info.json").is_file() or not path.exists())
    if label is not None and not of_tfds:
        raise Problem(f"--label chooses a label in a data set of TFDS; {shown} is none", status=2)
    if data == "digits":
        return digits.source()
    if words:
        return _cifar10(data_dir, fall_back=data is None)
    if of_tfds:
        return prepared.source(path, label=label) if path.exists() else named.source(data, data_dir, label)
    if listing is not None:
        return numbered.source(path, listing) if numbered.is_listing(listing) else table.source(path, csv_order)
    if path.is_dir():
        return batches.source(path) if batches.is_folder(path) else folder.source(path)
    if path.suffix.lower() == ".npz":
        return arrays.source(path)
    if ".tar" in path.suffixes or path.suffix == ".tgz":
        return batches.source(path)
    raise Problem(f"{shown} is no data set: --data takes a folder, a .csv, an .npz, an archive of CIFAR-10 or a name")


def _listing(path):
    """Return the CSV file that a path is, or that says what is in a folder; None if there is none."""
    if path.is_dir():
        if batches.is_folder(path):
            return None
        return next((path / name for name in LISTS if (path / name).is_file()), None)
    return path if path.suffix.lower() == ".csv" and path.is_file() else None


def _cifar10(data_dir, fall_back):
    try:
        return cifar10.source(data_dir)
    except Unreachable as error:
        if not fall_back:
            raise Problem(cifar10.explain(error)) from error
        note(f"\n{cifar10.explain(error)}\nThis run now trains on digits, so that you can try the rest.\n")
        return digits.source()
