"""Shared by the tests: the real scripts in subprocesses, one small finished run on digits, a data set, a web server."""

import dataclasses
import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from classify.command import Problem, run, start_keras
from classify.runs.folder import ROOT

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
    """`train_cnn.py --data digits` as a user types it, but for fewer epochs."""
    cwd = tmp_path_factory.mktemp("digits")
    process = script("train_cnn.py", "--data", "digits", "--epochs", "4", cwd=cwd)
    assert process.returncode == 0, process.stderr
    return TrainedRun(cwd, cwd / "runs" / "cnn-digits", process)


@pytest.fixture
def in_process(monkeypatch, capsys):
    """Run the ``main`` of a script as its command line does, but in this process, where Keras has started already."""

    def run_main(main, *args, cwd):
        arguments = [f"{main.__module__}.py", *map(str, args)]
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", arguments)
        monkeypatch.setenv("TFDS_DATA_DIR", str(Path(cwd) / "no-data-here"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            run(main)
        return subprocess.CompletedProcess(arguments, end.value.code, *capsys.readouterr())

    return run_main


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def finished_run(elsewhere):
    """A function that makes a finished run under runs/, ``age`` seconds old, with an empty model file."""

    def make(name, age=0, **info):
        folder = ROOT / name
        folder.mkdir(parents=True)
        (folder / "model.keras").write_bytes(b"")
        info = {"status": "finished", "data": "cifar10", "recipe": "standard", "class_names": ["a", "b"]} | info
        (folder / "run.json").write_text(json.dumps(info))
        time = (folder / "run.json").stat().st_mtime - age
        os.utime(folder / "run.json", (time, time))

    return make


def headless_chromium(profile, *flags, **capabilities):
    """Return Chromium without a window, driven by Selenium; skip the test where there is none.

    Args:
        profile: an empty folder for what it keeps.
        flags: further ones of its command line, without the dashes.
        capabilities: further ones of Selenium's session.
    """
    webdriver = pytest.importorskip("selenium.webdriver")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("no chromium with its chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"),
        *("disable-component-update", "disable-sync", f"user-data-dir={profile}"),
        *flags,
    ):
        options.add_argument(f"--{flag}")
    for name, value in capabilities.items():
        options.set_capability(name, value)
    return webdriver.Chrome(options, webdriver.ChromeService(driver))


@pytest.fixture
def ctrl_c():
    """A function that is Ctrl-C; without this fixture a suite in the background of a shell would ignore it."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield functools.partial(signal.raise_signal, signal.SIGINT)
    signal.signal(signal.SIGINT, former)


@pytest.fixture
def without_litert(monkeypatch):
    """Train without the LiteRT copy, which for InceptionV3 takes some 17 seconds."""

    def export(*args):
        raise Problem("left out by a test")

    monkeypatch.setattr("classify.inference.saving.export.export", export)


@pytest.fixture(scope="session")
def small_model():
    """A stand-in for both architectures: upsampling, a nested base with batch normalization, every activation.

    It takes images of 8 x 8 pixels and knows 5 classes.
    """
    import keras
    from keras import layers

    from train_cnn import ACTIVATIONS

    keras.utils.set_random_seed(0)
    inputs = layers.Input((16, 16, 3))
    maps = [
        layers.Activation(name)(layers.BatchNormalization()(layers.Conv2D(4, 3, use_bias=False)(inputs)))
        for name in ACTIVATIONS
    ]
    base = keras.Model(inputs, layers.Concatenate()(maps))
    return keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.UpSampling2D(2, interpolation="bilinear"),
            base,
            layers.MaxPooling2D(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            layers.Dense(5, kernel_initializer="glorot_normal", activation="softmax"),
        ]
    )


@pytest.fixture(scope="session")
def small_model_file(small_model, tmp_path_factory):
    """The file of ``small_model``, as ``save_model`` writes it."""
    from classify.inference.saving import save_model

    path = tmp_path_factory.mktemp("saved") / "model.keras"
    save_model(small_model, path)
    return path


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def prepared_cifar10(tmp_path_factory):
    """A small CIFAR-10 look-alike that TFDS prepared: the data folder, and its (images, labels) by split."""
    import tensorflow_datasets as tfds

    rng = np.random.default_rng(1)
    arrays = {
        split: (rng.integers(0, 256, (n, 8, 8, 3), dtype="uint8"), rng.integers(0, 3, n))
        for split, n in (("train", 60), ("test", 21))
    }
    examples = {
        split: [(i, {"image": image, "label": int(label)}) for i, (image, label) in enumerate(zip(*pair, strict=True))]
        for split, pair in arrays.items()
    }
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(8, 8, 3)),
            "label": tfds.features.ClassLabel(names=["frog", "ship", "horse"]),
        }
    )
    root = tmp_path_factory.mktemp("tfds")
    tfds.dataset_builders.store_as_tfds_dataset(
        "cifar10", "3.0.2", features, split_datasets=examples, data_dir=root, disable_shuffling=True
    )
    return root, arrays


@pytest.fixture
def server(tmp_path):
    """A web server over an empty folder: its address and the folder."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", folder
        server.shutdown()
