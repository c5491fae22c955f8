import hashlib
import tracemalloc

import numpy as np
import pytest

from classify.data.dataset import Split
from classify.evaluation import robustness
from classify.evaluation.corruptions import CORRUPTIONS, gaussian_noise


class BrightOrDark:
    """A model that says class 1 of images whose mean is above 128, and remembers what it was shown."""

    def __init__(self):
        self.shown = hashlib.sha256()

    def predict_on_batch(self, images):
        self.shown.update(np.ascontiguousarray(images))
        return np.eye(2, dtype="float32")[(images.mean(axis=(1, 2, 3)) > 128).astype(int)]


@pytest.fixture
def greys():
    """60 images of one grey each, class 0: the last 20 almost bright, so that any more brightness is too much."""
    images = np.full((60, 32, 32, 3), 40, "uint8")
    images[40:] = 120
    return Split(images, np.zeros(60, "int64"))


def test_accuracies_by_corruption_and_severity(greys):
    result = robustness.measure(BrightOrDark(), greys, "fake")
    assert (result["n"], result["clean"]) == (60, 1)
    assert list(result["corruptions"]) == list(CORRUPTIONS)
    for name, corruption in result["corruptions"].items():
        expected = 2 / 3 if name == "brightness" else 1
        assert corruption["accuracies"] == pytest.approx([expected] * 5)
        assert corruption["mean"] == pytest.approx(expected)
    # 40 images are right always, 20 in 30 of 35 conditions: mean 20/21, deviation (1/7) * sqrt(2)/3
    half = 1.959964 * np.sqrt(2) / 21 / np.sqrt(60)
    assert result["mean"] == pytest.approx(20 / 21)
    assert result["interval"] == pytest.approx([20 / 21 - half, 20 / 21 + half])


def test_every_model_is_shown_the_same(rng):
    split = Split(rng.integers(0, 256, (70, 8, 8, 3), "uint8"), np.zeros(70, "int64"))
    models = [BrightOrDark(), BrightOrDark()]
    first, second = (robustness.measure(model, split, "fake") for model in models)
    assert first == second and models[0].shown.digest() == models[1].shown.digest()


def test_memory_grows_neither_with_corruptions_nor_beyond_a_batch(rng, monkeypatch):
    split = Split(rng.integers(0, 256, (2000, 32, 32, 3), "uint8"), np.zeros(2000, "int64"))
    monkeypatch.setattr(robustness, "SEVERITIES", [3])

    def peak(corruptions):
        monkeypatch.setattr(robustness, "CORRUPTIONS", {str(i): gaussian_noise for i in range(corruptions)})
        tracemalloc.start()
        robustness.measure(BrightOrDark(), split, "fake")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)  # what is imported and cached once
    few, many = peak(1), peak(6)
    assert many < 1.05 * few and many < split.images.nbytes / 2


def test_corrupted_images_are_read_by_rows_and_their_noise_depends_on_the_first_row(greys):
    corrupted = robustness.Corrupted(greys.images, "gaussian noise", 3)
    assert len(corrupted) == 60
    rows = np.arange(10, 20)
    expected = gaussian_noise(greys.images[10:20], 3, np.random.default_rng(10))
    np.testing.assert_array_equal(corrupted[rows], expected)
    assert (corrupted[rows] != corrupted[rows + 10]).any()


def test_a_sample_is_always_the_same(rng):
    split = Split(np.arange(500).reshape(500, 1, 1, 1), np.arange(500))
    first, second = robustness.sample(split, 60), robustness.sample(split, 60)
    assert len(first) == len(set(first.labels)) == 60 and (np.diff(first.labels) > 0).all()
    np.testing.assert_array_equal(first.images, second.images)
    assert 150 < first.labels.mean() < 350  # from everywhere
    np.testing.assert_array_equal(robustness.sample(split, 1000).labels, split.labels)
