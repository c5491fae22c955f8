import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as reference

from classify.metrics import calibration, compare, measure, wilson_interval

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


def test_a_worked_example_of_mcnemars_exact_test(rng):
    """Of 30 images on which only one is right, 25 go to the first: 2 * P(X <= 5) for a fair coin, by enumeration."""
    labels = np.zeros(200, int)
    first, second = np.zeros(200, int), np.zeros(200, int)
    first[:5], second[5:30] = 1, 1
    found = compare(labels, first, second, NAMES[:2])
    expected = 2 * sum(math.comb(30, k) for k in range(6)) / 2**30
    assert found["p"] == pytest.approx(expected) and expected == pytest.approx(0.000325, abs=1e-6)
    assert found["difference"] == 0.1
    assert (found["only_first_right"], found["only_second_right"]) == (25, 5)
    assert found["recall"] == pytest.approx({"cat": 0.1})


def test_a_model_does_not_differ_from_itself(rng):
    labels, predicted = rng.integers(0, 3, (2, 500))
    found = compare(labels, predicted, predicted, NAMES)
    low, high = found["interval"]
    assert found["difference"] == 0 and found["p"] == 1 and low < 0 < high and high < 0.01


@pytest.mark.parametrize(("only_first", "only_second"), [(0.06, 0.06), (0.10, 0.05), (0.02, 0.0)])
def test_the_interval_covers_the_true_difference(only_first, only_second, rng):
    covered = 0
    for _ in range(200):
        outcome = rng.random(1000)
        first_wrong = outcome < only_second
        second_wrong = (outcome >= only_second) & (outcome < only_second + only_first)
        low, high = compare(np.zeros(1000, int), first_wrong * 1, second_wrong * 1, NAMES[:2])["interval"]
        covered += low <= only_first - only_second <= high
    assert 182 <= covered <= 198


def test_calibration_of_a_worked_example():
    """Four answers 90 % sure of which three are right, six 60 % sure of which two are."""
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.4, 0.6]] * 6)
    labels = np.array([0, 0, 0, 1] + [1, 1, 0, 0, 0, 0])
    found = calibration(labels, probabilities)
    assert found["ece"] == pytest.approx(0.4 * (0.9 - 3 / 4) + 0.6 * (0.6 - 2 / 6))
    assert found["nll"] == pytest.approx(reference.log_loss(labels, probabilities))
    assert found["brier"] == pytest.approx(2 * reference.brier_score_loss(labels, probabilities[:, 1]))
    filled = [one for one in found["bins"] if one["count"]]
    assert len(found["bins"]) == 15 and [one["count"] for one in filled] == [6, 4]
    assert [one["accuracy"] for one in filled] == pytest.approx([2 / 6, 3 / 4])
    assert [one["confidence"] for one in filled] == pytest.approx([0.6, 0.9])
    assert filled[0]["low"] < 0.6 <= filled[0]["high"] and found["bins"][0]["accuracy"] is None
