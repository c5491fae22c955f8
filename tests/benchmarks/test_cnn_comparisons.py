import json

import numpy as np
import pytest
from scipy import stats

from benchmarks import cnn
from classify.runs import history


def test_a_difference_over_seeds_has_welchs_interval(rng):
    ours, theirs = rng.normal(0.94, 0.002, 3), rng.normal(0.938, 0.001, 3)
    low, mean, high = cnn.difference(ours, theirs)
    variances = [np.var(values, ddof=1) / 3 for values in (ours, theirs)]
    freedom = sum(variances) ** 2 / sum(variance**2 / 2 for variance in variances)
    width = stats.t.ppf(0.975, freedom) * np.sqrt(sum(variances))
    assert mean == pytest.approx(ours.mean() - theirs.mean())
    assert (low, high) == pytest.approx((mean - width, mean + width))


def test_the_seconds_of_validation_are_kept_apart(tmp_path, monkeypatch):
    """They are of the validations after the epochs alone, so they are less than the epochs took."""
    folder = tmp_path / "run"
    quick = ["--recipe", "sprint", "--data", "digits", "--limit", "64", "--epochs", "2"]
    monkeypatch.setattr(cnn.sys, "argv", ["cnn.py", "--timed", *quick, "--out", str(folder)])
    assert cnn.main() == 0
    seconds = json.loads((folder / cnn.TIMES).read_text())
    epochs = history.read(folder / "history.csv")
    assert len(seconds) == len(epochs) == 2 and all(second > 0 for second in seconds)
    training = cnn.without_validation({"folder": folder, "history": epochs})
    for epoch, second, trained in zip(epochs, seconds, training, strict=True):
        assert 0 < trained["seconds"] == epoch["seconds"] - second


def test_ours_and_pytorch_are_trained_in_turn(monkeypatch, capsys):
    done = []

    def runs(name, accuracies, seconds):
        def run(args, seed):
            done.append((name, seed))
            return {"accuracy": accuracies[seed], "accuracy_tta": accuracies[seed] + 0.01, "seconds": seconds[seed]}

        return run

    monkeypatch.setattr(cnn.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(cnn, "record", runs("ours", [0.93, 0.931, 0.932], [60, 66, 61]))
    monkeypatch.setattr(cnn, "airbench", runs("theirs", [0.929, 0.93, 0.931], [100, 99, 120]))
    cnn.torch(None)
    assert done == [(name, seed) for seed in range(3) for name in ("ours", "theirs")]
    said = capsys.readouterr().out
    assert "accuracy: ours - PyTorch's +0.10 %" in said.replace("%", " %")
    assert "time: 0.61 of PyTorch's" in said
