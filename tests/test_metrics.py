import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as reference

from classify.metrics import measure, wilson_interval

NAMES = ("cat", "dog", "fish")


@pytest.fixture
def wrong_on_purpose(rng):
    """80 cats, 15 dogs, 5 fish, from a classifier that calls nearly everything a cat and nothing a fish."""
    labels = np.repeat([0, 1, 2], [80, 15, 5])
    predicted = np.where(rng.random(100) < 0.85, 0, 1)
    probabilities = rng.uniform(0, 0.3, (100, 3))
    probabilities[np.arange(100), predicted] = 1
    return labels, predicted, probabilities / probabilities.sum(axis=1, keepdims=True)


def test_equals_scikit_learn_by_hand(wrong_on_purpose):
    labels, predicted, probabilities = wrong_on_purpose
    found = measure(labels, probabilities, NAMES)
    assert found["n"] == 100 and found["class_names"] == list(NAMES)
    assert found["accuracy"] == reference.accuracy_score(labels, predicted)
    assert found["loss"] == pytest.approx(-np.log(probabilities[np.arange(100), labels]).mean())
    assert found["confusion_matrix"] == reference.confusion_matrix(labels, predicted).tolist()
    for average in ("macro", "weighted"):
        for key, score in (
            ("precision", reference.precision_score),
            ("recall", reference.recall_score),
            ("f1", reference.f1_score),
        ):
            assert found[average][key] == pytest.approx(score(labels, predicted, average=average, zero_division=0))


def test_per_class_by_counting(wrong_on_purpose):
    labels, predicted, probabilities = wrong_on_purpose
    found = measure(labels, probabilities, NAMES)["per_class"]
    for index, name in enumerate(NAMES):
        hits = np.sum((labels == index) & (predicted == index))
        recall = hits / np.sum(labels == index)
        precision = hits / max(np.sum(predicted == index), 1)
        assert found[name]["recall"] == pytest.approx(recall)
        assert found[name]["precision"] == pytest.approx(precision)
        assert found[name]["f1"] == pytest.approx(2 * precision * recall / max(precision + recall, 1e-9))
        assert found[name]["support"] == np.sum(labels == index)
    assert found["fish"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 5}


def test_a_class_missing_from_the_labels_is_still_reported():
    found = measure(np.array([0, 0]), np.array([[0.9, 0.1, 0], [0.2, 0.8, 0]]), NAMES)
    assert found["confusion_matrix"] == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert found["per_class"]["fish"]["support"] == 0


def test_float32_softmax_rows_raise_no_warning(wrong_on_purpose, recwarn):
    labels, _, probabilities = wrong_on_purpose
    measure(labels, probabilities.astype("float32"), NAMES)
    assert not recwarn.list


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (1, 3), (940, 1000), (9_400, 10_000)])
def test_wilson_interval_equals_scipy(successes, n):
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-7)
