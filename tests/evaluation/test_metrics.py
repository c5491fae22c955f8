import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from classify.evaluation.metrics import bootstrap_intervals, calibration, compare, measure, wilson_interval

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
    result = measure(labels, probabilities, NAMES)
    assert result["n"] == 100 and result["class_names"] == list(NAMES)
    assert result["accuracy"] == reference.accuracy_score(labels, predicted)
    assert result["loss"] == pytest.approx(-np.log(probabilities[np.arange(100), labels]).mean())
    assert result["confusion_matrix"] == reference.confusion_matrix(labels, predicted).tolist()
    for average in ("macro", "weighted"):
        for key, score in (
            ("precision", reference.precision_score),
            ("recall", reference.recall_score),
            ("f1", reference.f1_score),
        ):
            assert result[average][key] == pytest.approx(score(labels, predicted, average=average, zero_division=0))


def test_per_class_by_counting(wrong_on_purpose):
    labels, predicted, probabilities = wrong_on_purpose
    result = measure(labels, probabilities, NAMES)["per_class"]
    for index, name in enumerate(NAMES):
        hits = np.sum((labels == index) & (predicted == index))
        recall = hits / np.sum(labels == index)
        precision = hits / max(np.sum(predicted == index), 1)
        assert result[name]["recall"] == pytest.approx(recall)
        assert result[name]["precision"] == pytest.approx(precision)
        assert result[name]["f1"] == pytest.approx(2 * precision * recall / max(precision + recall, 1e-9))
        assert result[name]["support"] == np.sum(labels == index)
    assert result["fish"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 5}


def test_a_class_missing_from_the_labels_is_still_reported():
    result = measure(np.array([0, 0]), np.array([[0.9, 0.1, 0], [0.2, 0.8, 0]]), NAMES)
    assert result["confusion_matrix"] == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert result["per_class"]["fish"]["support"] == 0


def test_supports_are_whole_numbers_even_where_no_answer_is_right():
    metrics = measure(np.array([0, 0, 1]), np.array([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3]]), ["a", "b"])
    supports = [scores["support"] for scores in metrics["per_class"].values()]
    assert metrics["accuracy"] == 0 and supports == [2, 1] and [type(n) for n in supports] == [int, int]


def test_the_means_are_over_the_classes_that_the_images_show():
    labels, predicted = np.array([0, 0, 0, 2, 2]), np.array([0, 0, 1, 2, 1])
    result = measure(labels, np.eye(4)[predicted], ("a", "b", "c", "d"))
    assert result["macro"] == pytest.approx({"precision": 1, "recall": (2 / 3 + 1 / 2) / 2, "f1": (4 / 5 + 2 / 3) / 2})
    for key, value in result["macro"].items():
        low, high = result["macro_intervals"][key]
        assert low <= value <= high
    assert result["per_class"]["b"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}


def test_float32_softmax_rows_raise_no_warning(wrong_on_purpose, recwarn):
    labels, _, probabilities = wrong_on_purpose
    measure(labels, probabilities.astype("float32"), NAMES)
    assert not recwarn.list


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (1, 3), (940, 1000), (9_400, 10_000)])
def test_wilson_interval_equals_scipy(successes, n):
    expected = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-7)


def test_an_interval_of_none_or_all_right_stays_within_0_and_1():
    for n in range(1, 60):
        assert wilson_interval(0, n)[0] == 0 and wilson_interval(n, n)[1] == 1


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (907, 1000), (876, 1000)])
def test_wilson_interval_equals_statsmodels(successes, n):
    assert wilson_interval(successes, n) == pytest.approx(proportion_confint(successes, n, method="wilson"), abs=1e-7)


def test_bootstrap_intervals_are_those_of_resampled_images(rng):
    """SciPy resamples the images themselves and asks scikit-learn each time."""
    labels = rng.integers(0, 3, 200)
    predicted = np.where(rng.random(200) < 0.9 - 0.2 * labels, labels, rng.integers(0, 3, 200))

    def macro(labels, predicted):
        return np.array(
            reference.precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)[:3]
        )

    expected = stats.bootstrap(
        (labels, predicted), macro, paired=True, vectorized=False, n_resamples=500, method="percentile", rng=1
    ).confidence_interval
    result = bootstrap_intervals(reference.confusion_matrix(labels, predicted), resamples=4000)
    assert list(result) == ["precision", "recall", "f1"]
    np.testing.assert_allclose([low for low, _ in result.values()], expected.low, atol=0.012)
    np.testing.assert_allclose([high for _, high in result.values()], expected.high, atol=0.012)


def test_bootstrap_intervals_are_the_same_each_time_and_stand_in_the_metrics(wrong_on_purpose):
    labels, _, probabilities = wrong_on_purpose
    first, second = (measure(labels, probabilities, NAMES) for _ in range(2))
    assert first == second
    for key, (low, high) in first["macro_intervals"].items():
        assert low < first["macro"][key] < high
    assert bootstrap_intervals(np.diag([300, 0, 400]))["recall"] == [1, 1]  # a class without images does not count


def test_bootstrap_intervals_cover_the_true_value(rng):
    """The population's confusion matrix is known, hence its macro precision, recall and F1."""
    population = np.array([[0.28, 0.03, 0.02], [0.05, 0.25, 0.03], [0.06, 0.08, 0.20]])
    hits, support, called = population.diagonal(), population.sum(axis=1), population.sum(axis=0)
    true = {"precision": hits / called, "recall": hits / support, "f1": 2 * hits / (support + called)}
    covered = dict.fromkeys(true, 0)
    for _ in range(200):
        sample = rng.multinomial(600, population.ravel()).reshape(3, 3)
        for key, (low, high) in bootstrap_intervals(sample, resamples=300).items():
            covered[key] += low <= true[key].mean() <= high
    assert all(182 <= count <= 198 for count in covered.values()), covered


@pytest.fixture
def too_sure(rng):
    """2,000 images in 4 classes from a model whose logits are twice as large as they should be."""
    logits = rng.normal(0, 1.5, (2000, 4))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    weights = np.exp(2 * logits)
    return labels, weights / weights.sum(axis=1, keepdims=True)


def test_calibration_equals_numpy_and_scikit_learn(too_sure):
    labels, probabilities = too_sure
    result = calibration(labels, probabilities)
    truth = np.eye(4)[labels]
    assert result["nll"] == pytest.approx(-np.log(probabilities[np.arange(2000), labels]).mean())
    assert result["brier"] == pytest.approx(((probabilities - truth) ** 2).sum(axis=1).mean())
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    accuracy, mean = calibration_curve(right, confidence, n_bins=15, strategy="uniform")
    filled = [part for part in result["bins"] if part["count"]]
    assert [part["accuracy"] for part in filled] == pytest.approx(accuracy)
    assert [part["confidence"] for part in filled] == pytest.approx(mean)
    counts, edges = np.histogram(confidence, 15, (0, 1))
    assert [part["count"] for part in result["bins"]] == counts.tolist()
    assert [part["low"] for part in result["bins"]] == pytest.approx(edges[:-1])
    assert [part["high"] for part in result["bins"]] == pytest.approx(edges[1:])
    assert result["ece"] == pytest.approx(np.abs(accuracy - mean) @ counts[counts > 0] / 2000) and result["ece"] > 0.1


def test_a_worked_example_of_the_expected_calibration_error():
    """Five bins; 0.8 belongs to the fourth, (0.6, 0.8], with 0.7: one of two right. 0.9 and 1 are right."""
    confidence = np.array([0.7, 0.8, 0.9, 1.0])
    result = calibration(np.array([0, 1, 0, 0]), np.stack([confidence, 1 - confidence], axis=1), bins=5)
    assert [part["count"] for part in result["bins"]] == [0, 0, 0, 2, 2]
    empty = {"confidence": None, "accuracy": None, "count": 0}
    assert {key: result["bins"][0][key] for key in empty} == empty
    assert result["bins"][3] == pytest.approx(
        {"low": 0.6, "high": 0.8, "confidence": 0.75, "accuracy": 0.5, "count": 2}
    )
    assert result["ece"] == pytest.approx(0.5 * 0.25 + 0.5 * 0.05)
    assert result["brier"] == pytest.approx(2 * np.mean([0.3**2, 0.8**2, 0.1**2, 0]))


def test_calibration_of_a_class_that_no_label_names():
    result = calibration(np.array([0, 0]), np.array([[0.9, 0.1, 0], [0.2, 0.8, 0]], "float32"))
    assert result["nll"] == pytest.approx(-np.log([0.9, 0.2]).mean()) and result["brier"] == pytest.approx(0.65)


def test_a_worked_example_of_mcnemars_exact_test(rng):
    """Of 30 images on which only one is right, 25 go to the first: 2 * P(X <= 5) for a fair coin, by enumeration."""
    labels = np.zeros(200, int)
    first, second = np.zeros(200, int), np.zeros(200, int)
    first[:5], second[5:30] = 1, 1
    result = compare(labels, first, second, NAMES[:2])
    expected = 2 * sum(math.comb(30, k) for k in range(6)) / 2**30
    assert result["p"] == pytest.approx(expected) and expected == pytest.approx(0.000325, abs=1e-6)
    assert result["difference"] == 0.1
    assert (result["only_first_right"], result["only_second_right"]) == (25, 5)
    assert (result["both_right"], result["both_wrong"], result["disagreements"]) == (170, 0, 30)
    assert result["recall"] == pytest.approx({"cat": 0.1})


def test_a_model_does_not_differ_from_itself(rng):
    labels, predicted = rng.integers(0, 3, (2, 500))
    result = compare(labels, predicted, predicted, NAMES)
    low, high = result["interval"]
    assert result["difference"] == 0 and result["p"] == 1 and low < 0 < high and high < 0.01
    assert result["disagreements"] == result["disagreements_both_wrong"] == result["only_first_right"] == 0


def test_a_comparison_equals_statsmodels_and_a_count_image_by_image(rng):
    labels = rng.integers(0, 3, 400)
    first, second = (np.where(rng.random(400) < skill, labels, rng.integers(0, 3, 400)) for skill in (0.8, 0.7))
    result = compare(labels, first, second, NAMES)
    right = list(zip(first == labels, second == labels, strict=True))
    keys = {
        (True, True): "both_right",
        (True, False): "only_first_right",
        (False, True): "only_second_right",
        (False, False): "both_wrong",
    }
    assert [result[key] for key in keys.values()] == [right.count(case) for case in keys]
    assert result["disagreements"] == sum(a != b for a, b in zip(first, second, strict=True))
    both_wrong = [case == (False, False) for case in right]
    assert result["disagreements_both_wrong"] == np.sum((first != second) & both_wrong) > 0
    table = [[result["both_right"], result["only_first_right"]], [result["only_second_right"], result["both_wrong"]]]
    assert result["p"] == pytest.approx(mcnemar(table, exact=True).pvalue)
    # Agresti and Min's interval: Wald's, of the mean of 1, -1 and 0, after half an image more in each of four cells
    values, counts = [0, 1, -1, 0], np.ravel(table) + 0.5
    mean = np.average(values, weights=counts)
    error = math.sqrt(np.average((values - mean) ** 2, weights=counts) / counts.sum())
    assert result["interval"] == pytest.approx(stats.norm.interval(0.95, mean, error), abs=1e-6)


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
    result = calibration(labels, probabilities)
    assert result["ece"] == pytest.approx(0.4 * (0.9 - 3 / 4) + 0.6 * (0.6 - 2 / 6))
    assert result["nll"] == pytest.approx(reference.log_loss(labels, probabilities))
    assert result["brier"] == pytest.approx(2 * reference.brier_score_loss(labels, probabilities[:, 1]))
    filled = [part for part in result["bins"] if part["count"]]
    assert len(result["bins"]) == 15 and [part["count"] for part in filled] == [6, 4]
    assert [part["accuracy"] for part in filled] == pytest.approx([2 / 6, 3 / 4])
    assert [part["confidence"] for part in filled] == pytest.approx([0.6, 0.9])
    assert filled[0]["low"] < 0.6 <= filled[0]["high"] and result["bins"][0]["accuracy"] is None
