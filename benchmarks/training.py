"""Runs that a benchmark trains once: an interrupted benchmark goes on where it stopped."""

import csv
import json
import subprocess
import sys

from classify.runs import PROJECT, ROOT


def trained(name, script, *arguments):
    """Train with one of the project's scripts into runs/benchmark/NAME, unless that is finished; return its results.

    They are run.json's entries and ``validation``, the best validation accuracy, ``accuracy`` on test, ``epochs``.
    Delete the folder to measure anew.
    """
    folder = ROOT / "benchmark" / name
    if not _finished(folder):
        command = [sys.executable, PROJECT / script, *map(str, arguments), "--out", folder, "--overwrite"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    history = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    return {
        **json.loads((folder / "run.json").read_text()),
        "validation": max(float(epoch["val_accuracy"]) for epoch in history),
        "accuracy": json.loads((folder / "metrics.json").read_text())["accuracy"],
        "epochs": len(history),
    }


def _finished(folder):
    file = folder / "run.json"
    return file.is_file() and json.loads(file.read_text())["status"] == "finished"
