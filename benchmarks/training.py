"""Runs that a benchmark trains once: an interrupted benchmark goes on where it stopped."""

import csv
import json
import statistics
import subprocess
import sys

from classify.runs import PROJECT, ROOT, write_json


def trained(name, script, *arguments):
    """Train with one of the project's scripts into runs/benchmark/NAME, unless that is finished; return its results.

    They are run.json's entries and ``validation``, the best validation accuracy, ``accuracy`` on test, ``history``,
    history.csv's rows, ``epochs`` and ``folder``. Delete the folder to measure anew.
    """
    folder = ROOT / "benchmark" / name
    if not _finished(folder):
        command = [sys.executable, PROJECT / script, *map(str, arguments), "--out", folder, "--overwrite"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with open(folder / "history.csv") as file:
        history = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
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
        found = {}
        for split in ("validation", "test"):
            command = [sys.executable, PROJECT / "evaluate.py", folder, "--split", split, "--tta", "--json"]
            row = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["models"][0]
            found[split] = {"plain": row["accuracy"], "tta": row["tta"]["accuracy"]}
        write_json(file, found)
    return json.loads(file.read_text())


def data_arguments(args):
    """Return the data options of a benchmark as a training script's."""
    return ["--data", args.data or "cifar10", *(["--data-dir", args.data_dir] if args.data_dir else [])]


def spread(values):
    """Mean ± standard deviation in per cent, or the one value."""
    if len(values) == 1:
        return f"{values[0]:.2%}"
    return f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f} %"


def _finished(folder):
    file = folder / "run.json"
    return file.is_file() and json.loads(file.read_text())["status"] == "finished"
