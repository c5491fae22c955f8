"""Saved models, found again: a run's, the newest ones, the one that comes with the project."""

import dataclasses
import json
import os
from pathlib import Path

from classify.command import Problem
from classify.environment import PROJECT
from classify.runs import history
from classify.runs.folder import ROOT

SHIPPED = PROJECT / "models" / "pretrained" / "cnn.keras"


@dataclasses.dataclass(frozen=True)
class SavedModel:
    """A saved model: what to call it, its file, and what run.json says of it ({} if there is none)."""

    name: str
    path: Path
    info: dict

    @property
    def data(self):
        """The name of the data set it was trained on, or None if that is not known."""
        return self.info.get("data")

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
            raise Problem(f"{self.path} has {classes} classes, but its run.json names {len(names)}")
        return tuple(names)


def find(model):
    """Return the ``SavedModel`` that a run's folder, its name under runs/ or a ``.keras`` file stands for."""
    path = Path(os.path.expanduser(model))
    if path.is_file():
        return _described(path.stem, path, path.with_suffix(".json"), path.with_name("run.json"))
    folders = (path, ROOT / model)
    for folder in folders:
        if (folder / "model.keras").is_file():
            return _described(_folder_name(folder), folder / "model.keras", folder / "run.json")
    for folder in filter(Path.is_dir, folders):
        raise Problem(f"{folder} holds no model.keras")
    raise Problem(f"there is no run or model {model}")


def finished():
    """Return the finished runs under runs/, newest first."""
    descriptions = sorted(ROOT.glob("*/run.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    models = [_described(file.parent.name, file.parent / "model.keras", file) for file in descriptions]
    return [model for model in models if model.path.is_file() and _is_finished(model)]


def shipped():
    """Return the trained model that the repository ships."""
    return _described("shipped", SHIPPED, SHIPPED.with_suffix(".json"))


def newest_of_each_recipe():
    """Return the newest finished run of each recipe on each data set; the shipped model if there is no run."""
    newest = {}
    for model in finished():
        newest.setdefault((model.data, model.recipe), model)
    return list(newest.values()) or [shipped()]


def newest_cifar10():
    """Return the newest finished CIFAR-10 run, else the shipped model."""
    return next((model for model in finished() if model.data == "cifar10"), None) or shipped()


def _is_finished(model):
    return model.info.get("status") in ("finished", "interrupted")


def _folder_name(folder):
    return folder.resolve().name


def _described(name, path, *descriptions):
    file = next((file for file in descriptions if file.is_file()), None)
    if file is None:
        return SavedModel(name, path, {})
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        info = None
    if not isinstance(info, dict):
        raise Problem(f"{file} is not a run's description; delete it or train again")
    return SavedModel(_folder_name(path.parent) if file.name == "run.json" else name, path, info)
