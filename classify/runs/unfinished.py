"""Runs that were begun and not finished: noticed, found again, and how to go on with one."""

import dataclasses
import os
from pathlib import Path

from classify.command import Problem, each, note, printable
from classify.files import lock, unlock
from classify.runs.checkpoint import BEGUN, FOLDER, Checkpoints
from classify.runs.folder import LOCK, ROOT


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """A run to go on with: its folder, and ``begun``, what it was begun with."""

    folder: Path
    begun: dict

    @property
    def options(self):
        return self.begun["options"]

    @property
    def where(self):
        """How far it is, for a person: 'epoch 7 of 11'."""
        at = Checkpoints(self.folder).newest_description()
        if at is None:
            return "before its first step"
        stage = "" if at["stage"] == "network" else f"{at['stage']}, "
        return f"{stage}epoch {min(at['epoch'] + 1, at['epochs'])} of {at['epochs']}"


def find(run, script):
    """Return the ``Unfinished`` run that ``--resume`` names.

    Args:
        run: a run's folder, or its name under runs/; empty for the newest unfinished one of that script.
        script: 'train_cnn.py' or 'train_inception.py'.

    Raises:
        Problem: there is none, or it is another script's.
    """
    if not run:
        newest = next(iter(of(script)), None)
        if newest is None:
            raise Problem(f"there is no unfinished run of {script} in {ROOT}/", status=2)
        return newest
    folders = (Path(os.path.expanduser(run)), ROOT / run)
    folder = next((folder for folder in folders if Checkpoints(folder).exist), None)
    if folder is None:
        state = "is no unfinished run" if any(map(Path.is_dir, folders)) else "is not there"
        raise Problem(f"--resume {printable(run)}: {state}", status=2)
    unfinished = _read(folder)
    if unfinished.begun["script"] != script:
        raise Problem(f"{printable(folder)} is a run of {unfinished.begun['script']}", status=2)
    return unfinished


def of(script):
    """Return the unfinished runs of a script under runs/, newest first, without those that a process works on."""
    files = sorted(ROOT.glob(f"*/{FOLDER}/{BEGUN}"), key=_last_saved, reverse=True)
    runs, _ = each(files, lambda file: _read(file.parents[1]))
    return [run for run in runs if run.begun["script"] == script and not _in_use(run.folder)]


def mention(script):
    """Say which run of a script could be gone on with, if there is one; return whether there is."""
    newest = next(iter(of(script)), None)
    if newest:
        folder = printable(newest.folder)
        note(f"{folder} was not finished ({newest.where}). Go on with:\n  python {script} --resume {folder}")
    return newest is not None


def _read(folder):
    begun = Checkpoints(folder).begun()
    if not (isinstance(begun, dict) and isinstance(begun.get("options"), dict) and "script" in begun):
        raise Problem(f"{printable(folder / FOLDER / BEGUN)} is of another version: train again, with --overwrite")
    return Unfinished(folder, begun)


def _last_saved(begun):
    return begun.parent.stat().st_mtime  # a folder's time is that of the last file in it that came or went


def _in_use(folder):
    try:
        held = lock(folder / LOCK)
    except Problem:  # nobody can go on with it, as it cannot be written to
        return True
    if held:
        unlock(held)
    return held is None
