"""Runs that a benchmark trains once: an interrupted benchmark goes on where it stopped."""

import csv
import json
import math
import statistics
import subprocess
import sys

from classify.command import Problem
from classify.environment import PROJECT
from classify.files import write_json
from classify.runs.folder import ROOT


def trained(name, script, *arguments):
    """Train with one of the project's scripts into runs/benchmark/NAME, unless that is finished; return its results.

    They are run.json's entries and ``validation``, the best validation accuracy; ``accuracy`` on test; ``history``,
    history.csv's rows as numbers; ``epochs`` and ``folder``. None if the training diverged in its first epoch. Delete
    the folder to measure anew.

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
        "validation": max(epoch["val_accuracy"] for epoch in history),
        "accuracy": json.loads((folder / "metrics.json").read_text())["accuracy"],
        "history": history,
        "epochs": len(history),
        "folder": folder,
    }


def accuracies(folder):
    """Return a finished run's accuracies by split, validation and test: each plain and with ``tta``."""
    file = folder / "accuracies.json"
    if not file.is_file() or file.stat().st_mtime < (folder / "run.json").stat().st_mtime:
        measured = {}
        for split in ("validation", "test"):
            command = [sys.executable, PROJECT / "evaluate.py", folder, "--split", split, "--tta", "--json"]
            row = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["models"][0]
            measured[split] = {"plain": row["accuracy"], "tta": row["tta"]["accuracy"]}
        write_json(file, measured)
    return json.loads(file.read_text())


def data_arguments(args):
    """Return the data options of a benchmark as a training script's."""
    return ["--data", args.data or "cifar10", *(["--data-dir", args.data_dir] if args.data_dir else [])]


def spread(values):
    """Mean ± standard deviation in per cent, or the one value and that it is one."""
    if len(values) == 1:
        return f"{values[0]:.2%} (n=1)"
    return f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f} %"


def _finished(folder):
    file = folder / "run.json"
    return file.is_file() and json.loads(file.read_text())["status"] == "finished"


def _diverged(folder):
    return (folder / "history.csv").is_file() and not math.isfinite(_history(folder)[-1]["loss"])


def _history(folder):
    with open(folder / "history.csv") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
