"""Saved models, found again: a run's, the newest ones, the one that comes with the project."""

import collections
import dataclasses
import os
from pathlib import Path

from classify.command import Problem, each, printable
from classify.environment import PROJECT
from classify.runs import description, history
from classify.runs.folder import ROOT

SHIPPED = PROJECT / "models" / "pretrained" / "cnn.keras"


@dataclasses.dataclass(frozen=True)
class SavedModel:
    """A saved model: what to call it, its file, and what run.json says of it ({} if there is none).

    ``info`` is as ``description.read`` returns it: any entry may be missing, but none is of another type. ``trust``
    is what the user said of it: as for ``find``.
    """

    name: str
    path: Path
    info: dict
    trust: bool = False

    @property
    def data(self):
        """The name of the data set it was trained on, or None if that is not known."""
        return self.info.get("data")

    @property
    def data_fingerprint(self):
        """What tells the names and contents of its own pictures from any others'; None for a named data set."""
        return self.info.get("data_fingerprint")

    @property
    def options(self):
        """The options it was trained with; {} if they are not known."""
        return self.info.get("options", {})

    @property
    def mirror(self):
        """Whether its images may be mirrored; not where it is unknown what they show."""
        known = self.data not in (None, "digits")  # all that older runs, which do not say it, were trained on
        return self.info.get("mirror", known)

    @property
    def reduction(self):
        """The way in which pictures become as small as its input."""
        return self.info.get("reduction", "centre-lanczos")  # the only way when runs did not say it

    @property
    def recipe(self):
        return self.info.get("recipe")

    def history(self):
        """Return the epochs of its training, from history.csv; [] if no history of its own can be read."""
        if not self.path.with_name("run.json").is_file():
            return []  # whatever lies there need not be this model's
        return history.read(self.path.with_name("history.csv"))

    def class_names(self, classes):
        """Return its class names, or ``class 0``, ``class 1`` … where none are recorded.

        Raises:
            Problem: another number of names is recorded than the model has ``classes``.
        """
        names = self.info.get("class_names") or [f"class {i}" for i in range(classes)]
        if len(names) != classes:
            raise Problem(f"{printable(self.path)} has {classes} classes, but its run.json names {len(names)}")
        return tuple(names)


def find(model, trust=False):
    """Return the ``SavedModel`` that a run's folder, its name under runs/ or a ``.keras`` file stands for.

    ``trust`` says whether it may hold built-in layers that this project's models do not have.
    """
    return dataclasses.replace(_found(model), trust=trust)


def _found(model):
    path = Path(os.path.expanduser(model))
    if path.is_file():
        return _described(path.stem, path, path.with_suffix(".json"), path.with_name("run.json"))
    folders = (path, ROOT / model)
    for folder in folders:
        if (folder / "model.keras").is_file():
            return _described(_folder_name(folder), folder / "model.keras", folder / "run.json")
    for folder in filter(Path.is_dir, folders):
        raise Problem(f"{printable(folder)} holds no model.keras")
    raise Problem(f"there is no run or model {printable(model)}")


def finished():
    """Return the finished runs under runs/, newest first; a run.json that cannot be used is named and passed over."""
    files = sorted(ROOT.glob("*/run.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    models, _ = each(files, lambda file: _described(file.parent.name, file.parent / "model.keras", file))
    return [model for model in models if model.path.is_file() and _is_finished(model)]


def shipped():
    """Return the trained model that the repository ships."""
    return _described("shipped", SHIPPED, SHIPPED.with_suffix(".json"))


def newest_of_each_recipe():
    """Return the newest finished run of each recipe on each data set; the shipped model if there is no run."""
    newest = {}
    for model in finished():
        newest.setdefault((model.data, model.data_fingerprint, model.recipe), model)
    return list(newest.values()) or [shipped()]


def newest_own():
    """Return the newest finished run on CIFAR-10 or on one's own pictures, else the shipped model."""
    return next((model for model in finished() if model.data == "cifar10" or model.data_fingerprint), None) or shipped()


def named(names, otherwise, trust):
    """Return the ``SavedModel``s of these names, told apart, and whether any name stands for none.

    Without a name they are those that ``otherwise()`` returns. ``trust`` is as for ``find``.
    """
    models, any_missing = each(names, lambda name: find(name, trust)) if names else (otherwise(), False)
    return told_apart(models), any_missing


def told_apart(models):
    """Return the ``SavedModel``s with no file twice; those that share a name get their path for a name."""
    by_file = {}
    for model in models:
        by_file.setdefault(model.path.resolve(), model)
    count = collections.Counter(model.name for model in by_file.values())
    return [
        dataclasses.replace(model, name=_by_path(model)) if count[model.name] > 1 else model
        for model in by_file.values()
    ]


def _by_path(model):
    return str(model.path.parent if model.path.name == "model.keras" else model.path)


def _is_finished(model):
    return model.info.get("status") in ("finished", "interrupted")


def _folder_name(folder):
    return folder.resolve().name


def _described(name, path, *descriptions):
    file = next((file for file in descriptions if file.is_file()), None)
    if file is None:
        return SavedModel(name, path, {})
    info = description.read(file)
    return SavedModel(_folder_name(path.parent) if file.name == "run.json" else name, path, info)
