"""The run folder: its layout, files that appear whole or not at all, run.json, and finding saved models."""

import contextlib
import csv
import dataclasses
import importlib.metadata
import io
import json
import math
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from classify.command import Problem

ROOT = Path("runs")
PROJECT = Path(__file__).resolve().parents[2]
SHIPPED = PROJECT / "models" / "pretrained" / "cnn.keras"
PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy", "scikit-learn")
COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")


class Run:
    """A run folder while it is filled. ``finish`` comes last: a folder without run.json is no finished run.

    Leaving the ``with`` block without anything saved removes the folder again.
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "run.json").unlink(missing_ok=True)
        return self

    def __exit__(self, *error):
        with contextlib.suppress(OSError):  # raised unless the folder is empty
            self.folder.rmdir()

    def save_figure(self, name, figure):
        with whole(self.folder / name) as path:
            figure.savefig(path)

    def save_json(self, name, content):
        write_json(self.folder / name, content)

    def save_history(self, rows):
        """Write ``history.csv`` from one dictionary an epoch."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        with whole(self.folder / "history.csv") as path:
            path.write_text(text.getvalue())

    def finish(self, status, **entries):
        """Write run.json. ``status`` is ``finished`` or ``interrupted``."""
        self.save_json("run.json", {"status": status, **entries, "packages": packages(), "commit": commit()})


def folder_for(out, recipe, data, overwrite=False):
    """Return the folder a run shall fill.

    Args:
        out: the folder asked for, or None for a new one under runs/: ``cnn`` for the standard recipe,
            ``cnn-RECIPE``, ``inception``; with ``-DATA`` for other data than CIFAR-10; with ``-2`` and so on for
            a further run.
        recipe, data: their names.
        overwrite: whether a finished run in ``out``, or in the first such folder, is to be replaced.

    Raises:
        Problem: ``out`` holds a finished run, or is a file.
    """
    if out is None:
        name = {"standard": "cnn", "inception": "inception"}.get(recipe, f"cnn-{recipe}")
        first = ROOT / (name if data == "cifar10" else f"{name}-{data}")
        number = 2
        folder = first
        while folder.exists() and not overwrite:
            folder = first.with_name(f"{first.name}-{number}")
            number += 1
        return folder
    check_free(out, overwrite)
    return Path(out)


def check_free(out, overwrite=False):
    """Raise ``Problem`` if ``out`` is a file or, without ``overwrite``, holds a finished run."""
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise Problem(f"--out {out} is a file; it takes a folder", status=2)
    if (folder / "run.json").exists() and not overwrite:
        raise Problem(f"{out} holds a finished run; pass --overwrite to replace it, or another --out", status=2)


@dataclasses.dataclass(frozen=True)
class SavedModel:
    """A saved model that was found: what to call it, its file, and what run.json says of it ({} if there is none)."""

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
    def mirrored(self):
        """Whether its images may be mirrored; not where it is unknown what they show."""
        from classify.data.sources import NOT_MIRRORED

        return self.data is not None and self.data not in NOT_MIRRORED

    @property
    def recipe(self):
        return self.info.get("recipe")

    def history(self):
        """Return history.csv's rows of finite numbers as dictionaries; [] if no history of its own can be read."""
        if not self.path.with_name("run.json").is_file():
            return []  # whatever lies there need not be this model's
        try:
            with open(self.path.with_name("history.csv"), newline="", encoding="utf-8") as file:
                rows = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
        except (OSError, ValueError, TypeError):
            return []
        complete = {"epoch", "loss", "accuracy", "learning_rate"} <= set(rows[0] if rows else ())
        rows = [row for row in rows if all(map(math.isfinite, row.values()))]  # a diverged training ends with others
        return rows if complete and all(row.keys() == rows[0].keys() for row in rows) else []

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
        return _saved(path.stem, path, path.with_suffix(".json"), path.with_name("run.json"))
    folders = (path, ROOT / model)
    for folder in folders:
        if (folder / "model.keras").is_file():
            return _saved(_folder_name(folder), folder / "model.keras", folder / "run.json")
    for folder in filter(Path.is_dir, folders):
        raise Problem(f"{folder} holds no model.keras")
    raise Problem(f"there is no run or model {model}")


def finished():
    """Return the finished runs under runs/, newest first."""
    files = sorted(ROOT.glob("*/run.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    found = [_saved(file.parent.name, file.parent / "model.keras", file) for file in files]
    return [run for run in found if run.path.is_file() and run.info.get("status") in ("finished", "interrupted")]


def shipped():
    """Return the trained model that the repository ships."""
    return _saved("shipped", SHIPPED, SHIPPED.with_suffix(".json"))


def score(results):
    """What epochs are compared by: validation accuracy, then the lower loss; the later one if nothing validates."""
    return (results["val_accuracy"], -results["val_loss"]) if "val_loss" in results else (results["epoch"],)


def report_file(data, split):
    """Return where the report on a split of a data set belongs: runs/report.html for CIFAR-10's test images.

    The names of other data and another split are appended: a report never replaces one that shows something else.
    """
    data = re.sub(r"[^\w.-]", "_", data)
    parts = ["report", *([data] if data != "cifar10" else []), *([split] if split != "test" else [])]
    return ROOT / f"{'-'.join(parts)}.html"


def newest_of_each_recipe():
    """Return the newest finished run of each recipe on each data set; the shipped model if there is no run."""
    newest = {}
    for run in finished():
        newest.setdefault((run.data, run.recipe), run)
    return list(newest.values()) or [shipped()]


def newest_cifar10():
    """Return the newest finished CIFAR-10 run, else the shipped model."""
    return next((run for run in finished() if run.data == "cifar10"), None) or shipped()


def _folder_name(folder):
    return folder.resolve().name


def _saved(name, path, *descriptions):
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


@contextlib.contextmanager
def whole(path):
    """Yield a path beside ``path`` to write to; what was written becomes ``path`` at once, or not at all.

    It may be a folder too, which takes the place of a former folder.
    """
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield beside
        if beside.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with open(beside, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        if beside.is_dir():
            shutil.rmtree(beside)
        beside.unlink(missing_ok=True)


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path, content):
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def packages():
    """Return the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # as where tensorflow-cpu stands in
            found[name] = importlib.metadata.version(name)
    return found


def commit():
    """Return this code's git commit, ``-dirty`` if files differ from it, or None outside a git checkout."""
    command = ("git", "-C", PROJECT, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
