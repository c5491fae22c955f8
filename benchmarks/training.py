"""Runs that a benchmark trains once: an interrupted benchmark goes on where it stopped."""

import csv
import json
import math
import subprocess
import sys

from classify.command import Problem
from classify.runs import PROJECT, ROOT


def trained(name, script, *arguments):
    """Train with one of the project's scripts into runs/benchmark/NAME, unless that is finished; return its results.

    They are run.json's entries and ``history``, history.csv's rows as text; ``validation``, the best validation
    accuracy; ``accuracy`` on test; ``epochs``. None if the training diverged in its first epoch. Delete the folder
    to measure anew.

    Raises:
        Problem: the training ended otherwise; it has said why.
    """
    folder = ROOT / "benchmark" / name
    if not _finished(folder):
        command = [sys.executable, PROJECT / script, *map(str, arguments), "--out", folder, "--overwrite"]
        status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
        if status == 1 and _diverged(folder):
            return None
        if status:
            raise Problem(f"{script} ended with exit status {status} instead of filling {folder}")
    history = _history(folder)
    return {
        **json.loads((folder / "run.json").read_text()),
        "history": history,
        "validation": max(float(epoch["val_accuracy"]) for epoch in history),
        "accuracy": json.loads((folder / "metrics.json").read_text())["accuracy"],
        "epochs": len(history),
    }


def _finished(folder):
    file = folder / "run.json"
    return file.is_file() and json.loads(file.read_text())["status"] == "finished"


def _diverged(folder):
    return (folder / "history.csv").is_file() and not math.isfinite(float(_history(folder)[-1]["loss"]))


def _history(folder):
    return list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
