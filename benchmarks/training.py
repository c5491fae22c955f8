"""Runs that a benchmark trains once: an interrupted benchmark goes on where it stopped."""

import json
import statistics
import subprocess
import sys

from classify.command import Problem
from classify.environment import PROJECT
from classify.files import write_json
from classify.runs import history
from classify.runs.folder import ROOT


def trained(name, script, *arguments):
    """Train with one of the project's scripts into runs/benchmark/NAME, unless that is finished; return its results.

    They are run.json's entries and ``validation``, the best validation accuracy; ``accuracy`` on test; ``history``, as
    ``history.read`` returns it, so without an epoch that diverged; ``epochs`` and ``folder``. None if the training
    diverged in its first epoch. Delete the folder to measure anew.

    Raises:
        Problem: the training ended otherwise; it has said why.
    """
    folder = ROOT / "benchmark" / name
    if not finished(folder):
        command = [sys.executable, PROJECT / script, *map(str, arguments), "--out", folder, "--overwrite"]
        status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
        if status == 1 and _diverged(folder):
            return None
        if status:
            raise Problem(f"{script} ended with exit status {status} instead of filling {folder}")
    epochs = history.read(folder / "history.csv")
    return {
        **json.loads((folder / "run.json").read_text()),
        "validation": max(epoch["val_accuracy"] for epoch in epochs),
        "accuracy": json.loads((folder / "metrics.json").read_text())["accuracy"],
        "history": epochs,
        "epochs": len(epochs),
        "folder": folder,
    }


def accuracies(folder):
    """Return a finished run's accuracies by split, validation and test: each plain and with ``tta``."""
    file = folder / "accuracies.json"
    if not file.is_file() or file.stat().st_mtime < (folder / "run.json").stat().st_mtime:
        measured = {}
        for split in ("validation", "test"):
            command = [sys.executable, PROJECT / "evaluate.py", folder, "--split", split, "--tta", "--json"]
            process = subprocess.run(command, stdout=subprocess.PIPE)
            if process.returncode:
                raise Problem(f"evaluate.py ended with exit status {process.returncode} on {folder}")
            row = json.loads(process.stdout)["models"][0]
            measured[split] = {"plain": row["accuracy"], "tta": row["tta"]["accuracy"]}
        write_json(file, measured)
    return json.loads(file.read_text())


def data_arguments(args):
    """Return the data options of a benchmark as a training script's."""
    arguments = ["--data", args.data or "cifar10"]
    arguments += ["--data-dir", args.data_dir] if args.data_dir else []
    arguments += ["--label", args.label] if args.label else []
    return arguments


def spread(values):
    """Mean ± standard deviation in per cent, or the one value and that it is one."""
    if len(values) == 1:
        return f"{values[0]:.2%} (n=1)"
    return f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f} %"


def finished(folder):
    """Return whether a folder holds a run that has finished."""
    file = folder / "run.json"
    return file.is_file() and json.loads(file.read_text())["status"] == "finished"


def _diverged(folder):
    """Whether a training that failed wrote a history, none of whose epochs has finite numbers."""
    file = folder / "history.csv"
    return file.is_file() and not history.read(file)
