"""Several processes, and several devices of one process, train as one does. Processes die, hang and are interrupted."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import PROJECT

pytestmark = [
    pytest.mark.jax,
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="Keras is not on JAX: KERAS_BACKEND=jax"),
]
CHILD = Path(__file__).with_name("child.py")
# Batches of 40 and of 39 images, which two devices do not divide; dropout draws random numbers.
SETTINGS = "--data digits --limit 197 --batch-size 40 --recipe tutorial --optimizer sgd --learning-rate 0.002"
SETTINGS += " --dropout 0.5 --validation 0 --distribute --seed 3 --epochs"
TWO_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}


def start(folder, name, options, **environment):
    """Start a training that saves its weights as NAME.npz and what it prints to NAME.out and NAME.err."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled")} | {
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        **environment,
    }
    command = [sys.executable, CHILD, f"{name}.npz", "train_cnn", *options.split()]
    with open(folder / f"{name}.out", "w") as out, open(folder / f"{name}.err", "w") as err:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)


def start_two(folder, options, **environment):
    """Start two processes that train together; they are called ``first`` and ``second``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        options += f" --coordinator 127.0.0.1:{free.getsockname()[1]} --processes 2 --process"
    return [start(folder, name, f"{options} {i}", **environment) for i, name in enumerate(("first", "second"))]


def wait_for(folder, name, text, seconds=200):
    """Wait until a training has written something to standard error."""
    end = time.monotonic() + seconds
    while text not in (folder / f"{name}.err").read_text():
        assert time.monotonic() < end, (folder / f"{name}.err").read_text()
        time.sleep(0.1)


def said(folder):
    return "\n".join((folder / f"{name}.err").read_text() for name in ("first", "second"))


def weights(folder, name):
    with np.load(folder / f"{name}.npz") as arrays:
        return [arrays[name] for name in arrays.files]


def check_near(one, other):
    assert max(np.abs(a - b).max() for a, b in zip(one, other, strict=True)) < 1e-4


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder where one process with one device has trained for 50 steps."""
    folder = tmp_path_factory.mktemp("together")
    assert start(folder, "alone", f"{SETTINGS} 10 --out alone").wait() == 0, (folder / "alone.err").read_text()
    return folder


def test_two_devices_of_one_process(alone):
    process = start(alone, "devices", f"{SETTINGS} 10 --out devices --batch-size 39", **TWO_DEVICES)
    assert process.wait() == 0
    assert "batches of 39 images become 40, which 2 devices divide" in (alone / "devices.err").read_text()
    check_near(weights(alone, "alone"), weights(alone, "devices"))


def test_two_processes_over_loopback(alone):
    processes = start_two(alone, f"{SETTINGS} 10 --out two")
    assert [process.wait() for process in processes] == [0, 0], said(alone)
    first, second = weights(alone, "first"), weights(alone, "second")
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    check_near(weights(alone, "alone"), first)
    assert (alone / "second.out").read_text() == "" and (alone / "first.out").read_text().startswith("\ntutorial\n")
    assert {file.name for file in (alone / "two").iterdir()} == {file.name for file in (alone / "alone").iterdir()}


def test_one_that_dies_ends_the_other_and_one_process_goes_on(alone):
    processes = start_two(alone, f"{SETTINGS} 10 --out killed", EVERY="0")
    wait_for(alone, "first", "epoch  4/10")
    processes[1].kill()
    assert processes[0].wait(timeout=60) == 1
    last = (alone / "first.err").read_text().splitlines()[-1]
    assert last == "train_cnn.py: process 1 died, so this one ends too; --resume goes on, with any number of processes"
    assert start(alone, "resumed", "--resume killed").wait() == 0, (alone / "resumed.err").read_text()
    assert "from epoch" in (alone / "resumed.err").read_text()
    check_near(weights(alone, "alone"), weights(alone, "resumed"))


def test_the_death_of_the_first_is_noticed_and_a_signal_to_one_stops_both(tmp_path):
    options = SETTINGS.replace("--validation 0 ", "") + " 1000"
    processes = start_two(tmp_path, f"{options} --out run")
    wait_for(tmp_path, "first", "epoch    1/1000")
    processes[1].send_signal(signal.SIGTERM)
    assert [process.wait(timeout=120) for process in processes] == [143, 143], said(tmp_path)
    assert "interrupted after epoch" in (tmp_path / "first.err").read_text()
    assert (tmp_path / "run" / "run.json").is_file() and (tmp_path / "run" / "checkpoints" / "begun.json").is_file()
    processes = start_two(tmp_path, "--resume run")
    wait_for(tmp_path, "second", "epoch    3/1000")
    processes[0].kill()
    assert processes[1].wait(timeout=60) == 1
    last = (tmp_path / "second.err").read_text().splitlines()[-1]
    assert last.startswith("train_cnn.py: process 0 died, so this one ends too")


def test_one_that_hangs_ends_both(tmp_path):
    processes = start_two(tmp_path, f"{SETTINGS} 1000 --out run", HANG="1 20")
    assert [process.wait(timeout=200) for process in processes] == [1, 1], said(tmp_path)
    for name in ("first", "second"):
        last = (tmp_path / f"{name}.err").read_text().splitlines()[-1]
        assert last.startswith("train_cnn.py: ") and "process 1" in last
