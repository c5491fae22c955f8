"""The folder that a training fills."""

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

from classify import environment, files
from classify.command import Interrupts, Problem, note, printable
from classify.runs import history
from classify.runs.checkpoint import Checkpoints

ROOT = Path("runs")
LOCK = ".lock"
NEW = ".new"
RUN_FILES = ("model.keras", "model.tflite", "metrics.json", "history.csv", "curves.png", "confusion.png", "run.json")


class Run:
    """A run's folder while it is filled. ``finish`` comes last: a folder without run.json holds no finished run.

    While it is filled no other process can fill it, and Ctrl-C waits, except where ``interrupts`` is released. Where it
    takes the place of a finished run its files lie in a folder inside until then, so that a training that fails leaves
    the former run as it was. Leaving the ``with`` block without anything saved removes the folder again; leaving it
    with checkpoints says how to go on.

    Attributes:
        folder: the run's folder.
        leads: whether this process writes it. Of several that train together only the first one does.
        work: where its files are written until it is finished.
        interrupts: the ``Interrupts`` in force.
        checkpoints: the run's ``Checkpoints``.
        saved: the checkpoint to go on from, as ``Checkpoints.newest`` returns it, until a stage has taken it; or None.
        earlier: how many seconds the run took before it was gone on with.
        devices: all that train together, as ``classify.backends`` names them; None for one.
    """

    leads = True

    def __init__(self, folder, interrupts=None):
        self.folder = self.work = Path(folder)
        self.interrupts = interrupts or Interrupts()
        self.checkpoints = Checkpoints(self.folder)
        self.saved, self.earlier, self.devices = None, 0.0, None

    def __enter__(self):
        """Raise ``Problem`` if another process fills the folder."""
        self._open()
        self.opened = time.perf_counter()
        self.interrupts.__enter__()
        self.interrupts.hold()
        return self

    def __exit__(self, *error):
        self._close()
        self.interrupts.__exit__()
        if not any(error):
            self.interrupts.release()

    def _open(self):
        files.make_folder(self.folder)
        self.lock = files.lock(self.folder / LOCK)
        if self.lock is None:
            raise Problem(f"{printable(self.folder)} is in use: another process writes to it", status=2)
        files.clear(self.folder)
        shutil.rmtree(self.folder / NEW, ignore_errors=True)  # of a process that was killed
        if (self.folder / "run.json").exists():
            self.work = self.folder / NEW
            self.work.mkdir()

    def _close(self):
        shutil.rmtree(self.folder / NEW, ignore_errors=True)
        if self.checkpoints.exist:
            script, folder = self.checkpoints.begun()["script"], printable(self.folder)
            note(f"\ngo on with it:  python {script} --resume {folder}")
        files.unlock(self.lock)
        with contextlib.suppress(OSError):  # raised unless the folder is empty
            self.folder.rmdir()

    @property
    def seconds(self):
        """How long the run took until now, without the time that it lay still."""
        return self.earlier + time.perf_counter() - self.opened

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
        if status == "finished":
            self.checkpoints.remove()

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
    files.make_folder(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def check_free(out, overwrite=False):
    """Raise ``Problem`` if ``out`` is a file or, without ``overwrite``, holds a run, finished or not; None is free."""
    if out is None:
        return
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise Problem(f"--out {printable(out)} is a file; it takes a folder", status=2)
    if Checkpoints(folder).exist and not overwrite:
        hint = f"go on with --resume {printable(out)}, or pass --overwrite to begin again, or another --out"
        raise Problem(f"{printable(out)} holds an unfinished run; {hint}", status=2)
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
