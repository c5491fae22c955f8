"""What benchmarks/calibration.py prints is computed as it says."""

import numpy as np
from scipy.special import softmax

from benchmarks import calibration as benchmark
from classify.evaluation import calibration


def test_cross_fitting_calibrates_each_half_by_the_other(rng):
    logits = rng.normal(0, 2, (4000, 5))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    sure = softmax(3 * logits, axis=1)
    crossed = benchmark.cross_fitted(labels, sure)
    assert benchmark.ece(labels, sure) > 0.1 > 0.03 > benchmark.ece(labels, crossed)
    temperatures = np.log(sure[:, 0] / sure[:, 1]) / np.log(crossed[:, 0] / crossed[:, 1])
    assert len(np.unique(temperatures.round(6))) == 2  # one a half
    assert np.abs(temperatures / calibration.fit(labels, sure) - 1).max() < 0.1


def test_chance_alone_gives_a_model_with_true_percentages_an_error(rng, monkeypatch):
    monkeypatch.setattr(benchmark, "DRAWS", 200)
    true = softmax(rng.normal(0, 2, (1000, 5)), axis=1)
    low, high = benchmark.by_chance(true)
    assert 0.005 < low < 0.03 < high < 0.06
    few_low, few_high = benchmark.by_chance(true[:100])
    assert few_low > low and few_high > high
