"""The folder that a training fills."""

import contextlib
import os
import re
import shutil
from pathlib import Path

import filelock

from classify import environment, files
from classify.command import Interrupts, Problem, printable
from classify.runs import history

ROOT = Path("runs")
LOCK = ".lock"
NEW = ".new"
RUN_FILES = ("model.keras", "model.tflite", "metrics.json", "history.csv", "curves.png", "confusion.png", "run.json")


class Run:
    """A run's folder while it is filled. ``finish`` comes last: a folder without run.json holds no finished run.

    While it is filled no other process can fill it, and Ctrl-C waits, except where ``interrupts`` is released. Where it
    takes the place of a finished run its files lie in a folder inside until then, so that a training that fails leaves
    the former run as it was. Leaving the ``with`` block without anything saved removes the folder again.

    Attributes:
        folder: the run's folder.
        work: where its files are written until it is finished.
        interrupts: the ``Interrupts`` in force.
    """

    def __init__(self, folder):
        self.folder = self.work = Path(folder)
        self.interrupts = Interrupts()

    def __enter__(self):
        """Raise ``Problem`` if another process fills the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = filelock.FileLock(self.folder / LOCK, blocking=False)
        try:
            self.lock.acquire()
        except filelock.Timeout as error:
            raise Problem(f"{printable(self.folder)} is in use: another process writes to it", status=2) from error
        shutil.rmtree(self.folder / NEW, ignore_errors=True)  # of a process that was killed
        if (self.folder / "run.json").exists():
            self.work = self.folder / NEW
            self.work.mkdir()
        self.interrupts.__enter__()
        self.interrupts.hold()
        return self

    def __exit__(self, *error):
        shutil.rmtree(self.folder / NEW, ignore_errors=True)
        with contextlib.suppress(OSError):  # Windows removes no open file; there the lock removes its own
            (self.folder / LOCK).unlink()
        self.lock.release()
        with contextlib.suppress(OSError):  # raised unless the folder is empty
            self.folder.rmdir()
        self.interrupts.__exit__()
        if not any(error):
            self.interrupts.release()

    def save_figure(self, name, figure):
        """Write a matplotlib figure as a picture file."""
        with files.whole(self.work / name) as path:
            figure.savefig(path)

    def save_json(self, name, content):
        files.write_json(self.work / name, content)

    def save_history(self, epochs):
        """Write history.csv from one dictionary an epoch."""
        files.write_text(self.work / "history.csv", history.as_csv(epochs))

    def finish(self, status, **entries):
        """Write run.json and take the place of a former run. ``status`` is ``finished`` or ``interrupted``."""
        made_with = {"packages": environment.packages(), "commit": environment.commit()}
        self.save_json("run.json", {"status": status, **entries, **made_with})
        if self.work != self.folder:
            self.take_place(RUN_FILES)

    def take_place(self, names):
        """Replace these files of the former run, or remove those that are not new.

        run.json goes first and comes last: where the process is killed in between, no run is there that is half of
        each.
        """
        self.interrupts.hold()
        (self.folder / "run.json").unlink()
        for name in names:
            if (self.work / name).exists():
                os.replace(self.work / name, self.folder / name)
            else:
                (self.folder / name).unlink(missing_ok=True)


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
        while not overwrite and not _claimed(folder):
            folder = first.with_name(f"{first.name}-{number}")
            number += 1
        return folder
    check_free(out, overwrite)
    return Path(out)


def _claimed(folder):
    """Make a folder and return whether it is new, so that of two processes only one gets its name."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def check_free(out, overwrite=False):
    """Raise ``Problem`` if ``out`` is a file or, without ``overwrite``, holds a finished run."""
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise Problem(f"--out {printable(out)} is a file; it takes a folder", status=2)
    if (folder / "run.json").exists() and not overwrite:
        hint = "pass --overwrite to replace it, or another --out"
        raise Problem(f"{printable(out)} holds a finished run; {hint}", status=2)


def report_file(data, split):
    """Return where the report on a split of a data set belongs: runs/report.html for CIFAR-10's test images.

    The names of other data and of another split are appended, so that a report never replaces one of something else.
    """
    data = re.sub(r"[^\w.-]", "_", data)
    parts = ["report", *([data] if data != "cifar10" else []), *([split] if split != "test" else [])]
    return ROOT / f"{'-'.join(parts)}.html"
