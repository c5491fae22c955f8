"""Shared by the tests: the real scripts in subprocesses, and one small finished run on digits."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from classify.command import start_keras

PROJECT = Path(__file__).resolve().parent.parent
start_keras()


def script(name, *args, cwd, env=None, **options):
    """Run one of the project's scripts and return the completed process, its output as text."""
    command = [sys.executable, PROJECT / name, *map(str, args)]
    environment = {**os.environ, "TFDS_DATA_DIR": str(Path(cwd) / "no-data-here"), **(env or {})}
    # A proxy that refuses every connection: no test may wait for, or use, a data host.
    environment |= dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    options = {"capture_output": True, "text": True, "timeout": 300} | options
    return subprocess.run(command, cwd=cwd, env=environment, **options)


@dataclasses.dataclass
class TrainedRun:
    """A finished run: the folder it was started in, its own folder, and what the command printed."""

    cwd: Path
    folder: Path
    process: subprocess.CompletedProcess


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """`train_cnn.py --data digits` as a user types it."""
    cwd = tmp_path_factory.mktemp("digits")
    process = script("train_cnn.py", "--data", "digits", cwd=cwd)
    assert process.returncode == 0, process.stderr
    return TrainedRun(cwd, cwd / "runs" / "cnn-digits", process)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
