"""Keras on JAX. Run with KERAS_BACKEND=jax where requirements-distributed.txt is installed."""

import json
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

import train_cnn
import train_inception
from benchmarks.crash import small_base
from classify.data import sources
from classify.inference.litert import LiteRTModel
from classify.runs.checkpoint import Checkpoints
from classify.training import callbacks

pytestmark = [
    pytest.mark.jax,
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="Keras is not on JAX: KERAS_BACKEND=jax"),
]
TINY = ("--data", "digits", "--limit", "98", "--batch-size", "50", "--recipe", "tutorial", "--epochs", "2")
ANSWERS = """
import sys, keras, numpy as np
model = keras.saving.load_model(sys.argv[1])
assert keras.backend.backend() == "tensorflow"
np.save(sys.argv[2], model.predict(np.load(sys.argv[3]), verbose=0))
"""


def on_tensorflow(folder, images):
    """Return the probabilities of a run's model, opened by plain Keras on TensorFlow."""
    np.save(folder / "images.npy", images)
    files = [folder / name for name in ("model.keras", "answers.npy", "images.npy")]
    environment = {"KERAS_BACKEND": "tensorflow", "PATH": ""}
    subprocess.run([sys.executable, "-I", "-c", ANSWERS, *files], check=True, env=environment, capture_output=True)
    return np.load(folder / "answers.npy")


def check_saved(folder):
    """Assert that TensorFlow and LiteRT answer as JAX does."""
    images = sources.find("digits").read("test").images[:20]
    here = keras.saving.load_model(folder / "model.keras").predict_on_batch(images)
    assert np.ptp(here) > 1e-3
    np.testing.assert_allclose(on_tensorflow(folder, images), here, atol=1e-5)
    np.testing.assert_allclose(LiteRTModel(folder / "model.tflite").predict_on_batch(images), here, atol=1e-4)


def test_a_cnn_is_trained_and_opens_on_tensorflow(tmp_path, in_process):
    process = in_process(train_cnn.main, *TINY, "--out", "run", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "float32 (no fast bfloat16 here)" in process.stderr and "slowly" not in process.stderr
    check_saved(tmp_path / "run")
    assert "jax" in json.loads((tmp_path / "run" / "run.json").read_text())["packages"]


def test_a_head_is_trained_and_fine_tuned_and_opens_on_tensorflow(tmp_path, in_process, monkeypatch):
    monkeypatch.setattr(keras.applications, "InceptionV3", small_base)
    monkeypatch.setattr("models.inception.FEATURES", 32)
    options = "--data digits --weights none --upsampling 3 --limit 96 --epochs 2 --batch-size 32 --fine-tune 1"
    process = in_process(train_inception.main, *options.split(), "--out", "run", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    check_saved(tmp_path / "run")


def test_killed_within_an_epoch_it_ends_the_same_to_the_bit(tmp_path, in_process, monkeypatch, without_litert):
    for name in ("EVERY", "WITHIN", "PATIENCE"):
        monkeypatch.setattr(callbacks, name, 0)
    options = (*TINY, "--dropout", "0.5", "--batch-size", "32")
    assert in_process(train_cnn.main, *options, "--out", "twin", cwd=tmp_path).returncode == 0
    save = Checkpoints.save

    def killed(self, description, arrays):
        save(self, description, arrays)
        if (description["epoch"], description["step"]) == (1, 2):
            raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", killed)
        in_process(train_cnn.main, *options, "--out", "killed", cwd=tmp_path)
    process = in_process(train_cnn.main, "--resume", "killed", cwd=tmp_path)
    assert "from epoch 2, step 2 of 4" in process.stderr
    twin, resumed = (keras.saving.load_model(tmp_path / name / "model.keras") for name in ("twin", "killed"))
    for a, b in zip(twin.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_stream_makes_one_batch_ahead_in_another_thread():
    from classify.backends.jax import stream

    seen = []

    def batch(step, part):
        seen.append((step, threading.current_thread() is threading.main_thread()))
        return (np.full(2, step)[part],)

    batches = stream(batch, 3, lambda step: 2)
    assert len(batches) == 3 and len(batches.take(2)) == 2 and len(batches.take(9)) == 3
    iterator = batches.get_jax_iterator()
    assert next(iterator)[0].tolist() == [0, 0]
    assert [array.tolist() for (array,) in iterator] == [[1, 1], [2, 2]]
    assert seen == [(0, False), (1, False), (2, False)]


def test_gradient_of_each_row():
    from classify.backends.jax import gradient

    at = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    np.testing.assert_allclose(gradient(lambda rows: (rows**2).sum(axis=1), at), 2 * at)
