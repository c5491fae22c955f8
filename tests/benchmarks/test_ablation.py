"""The benchmarks start Keras without TensorFlow's chatter; `benchmarks/ablation.py` does so in each of its runs."""

import contextlib
import subprocess
import sys

import numpy as np
from conftest import PROJECT

from benchmarks import ablation
from classify.data.dataset import Split
from classify.training.batches import Batches


def test_no_benchmark_starts_keras_by_its_imports():
    names = [file.stem for file in (PROJECT / "benchmarks").glob("*.py") if file.stem != "airbench_torch"]
    code = f"import sys, {', '.join(f'benchmarks.{name}' for name in names)}; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


def test_keras_starts_quietly_before_a_piece_is_taken_away(monkeypatch):
    done = []

    @contextlib.contextmanager
    def missing():
        done.append("without it")
        yield

    monkeypatch.setattr(ablation.command, "start_keras", lambda: done.append("a quiet start"))
    monkeypatch.setattr(ablation.train_cnn, "main", lambda arguments: done.append(arguments))
    monkeypatch.setitem(ablation.PIECES, "it", (missing, ("--more",)))
    monkeypatch.setattr(sys, "argv", ["ablation.py", "--without", "it", "--seed", "0"])
    ablation.main()
    assert done == ["a quiet start", "without it", ["--seed", "0", "--more"]]


def test_a_piece_without_which_the_training_diverges_is_named(monkeypatch, capsys):
    monkeypatch.setattr(ablation, "trained", lambda *arguments: None)
    monkeypatch.setattr(sys, "argv", ["ablation.py"])
    ablation.main()
    assert "| whitening | diverged | | |" in capsys.readouterr().out.splitlines()


def test_without_shifts_images_stay_where_they_are(rng):
    images = rng.integers(0, 256, (20, 32, 32, 3), dtype="uint8")
    batches = Batches(Split(images, np.zeros(20, int)), classes=2, batch_size=20, mirror=False)
    missing, _ = ablation.PIECES["shifts"]
    assert not np.array_equal(batches.batch(0, 0)[0], images[batches.rows(0, 0)])
    with missing():
        np.testing.assert_array_equal(batches.batch(0, 0)[0], images[batches.rows(0, 0)])


def test_without_alternating_mirrors_an_image_may_be_the_same_in_two_epochs(rng):
    images = rng.integers(0, 256, (200, 32, 32, 3), dtype="uint8")
    batches = Batches(Split(images, np.zeros(200, int)), classes=2, batch_size=200)
    missing, _ = ablation.PIECES["alternating mirrors (random instead)"]

    def mirrored_twice():
        order = [np.argsort(batches.rows(epoch, 0)) for epoch in range(2)]
        return [batches.mirrored(epoch, batches.rows(epoch, 0))[order[epoch]] for epoch in range(2)]

    first, second = mirrored_twice()
    assert np.all(first != second)
    with missing():
        first, second = mirrored_twice()
    assert 0.3 < np.mean(first == second) < 0.7
