"""The folder that a training fills."""

import contextlib
import re
from pathlib import Path

from classify import environment, files
from classify.command import Problem
from classify.runs import history

ROOT = Path("runs")


class Run:
    """A run's folder while it is filled. ``finish`` comes last: a folder without run.json holds no finished run.

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
        """Write a matplotlib figure as a picture file."""
        with files.whole(self.folder / name) as path:
            figure.savefig(path)

    def save_json(self, name, content):
        files.write_json(self.folder / name, content)

    def save_history(self, epochs):
        """Write history.csv from one dictionary an epoch."""
        files.write_text(self.folder / "history.csv", history.as_csv(epochs))

    def finish(self, status, **entries):
        """Write run.json. ``status`` is ``finished`` or ``interrupted``."""
        made_with = {"packages": environment.packages(), "commit": environment.commit()}
        self.save_json("run.json", {"status": status, **entries, **made_with})


def folder_for(out, recipe, data, overwrite=False):
    """Return the folder that a run shall fill.

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


def report_file(data, split):
    """Return where the report on a split of a data set belongs: runs/report.html for CIFAR-10's test images.

    The names of other data and of another split are appended, so that a report never replaces one of something else.
    """
    data = re.sub(r"[^\w.-]", "_", data)
    parts = ["report", *([data] if data != "cifar10" else []), *([split] if split != "test" else [])]
    return ROOT / f"{'-'.join(parts)}.html"
