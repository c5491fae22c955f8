import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from classify.command import Problem
from classify.inference import ood
from classify.inference.ood import ENTROPY, SCORE, generalized_entropy, make_rule, unsure


def test_the_score_of_known_rows():
    rows = [[1, 0], [0.5, 0.5], [0.9, 0.1]]
    np.testing.assert_allclose(generalized_entropy(rows), [0, 2 * 0.25**0.1, 2 * 0.09**0.1])


def test_it_grows_with_the_spread_of_the_rest():
    """The largest probability is the same in both rows; the second has no other candidate."""
    spread, single = generalized_entropy([[0.6, 0.2, 0.2], [0.6, 0.4, 0]])
    assert spread > single


def test_a_row_that_exceeds_1_by_rounding_is_certain():
    assert generalized_entropy(np.array([[1.0000001, 0]], "float32")) == [0]


def test_the_statistics_of_known_images():
    """Stripes of one pixel differ within the smallest squares only; halves in colour, within the largest only."""
    images = np.zeros((3, 32, 32, 3))
    images[0, :, ::2] = 255
    images[1, :, :16, 0] = 255
    images[2] = (255, 0, 51)
    stripes, halves, plain = ood.statistics(images)
    dark = np.log(ood.DARK)
    np.testing.assert_allclose(stripes, [0.5, 0, 0, np.log(0.25 + ood.DARK), *[dark] * 7])
    np.testing.assert_allclose(halves[:3], [1 / 6, 1 / 3, -1 / 6])
    np.testing.assert_allclose(halves[3:], [dark] * 8)  # the halves meet at the edge of a square of 16 pixels
    np.testing.assert_allclose(plain, [0.4, 0.6, -0.2, *[dark] * 8])


def test_larger_images_are_looked_at_as_if_they_were_small(rng):
    small = rng.integers(0, 256, (4, 32, 32, 3))
    large = np.pad(small.repeat(7, axis=1).repeat(7, axis=2), ((0, 0), (0, 3), (0, 6), (0, 0)))
    np.testing.assert_allclose(ood.statistics(large), ood.statistics(small), atol=1e-12)
    assert ood.statistics(small[:, :8, :12]).shape == (
        4,
        3 + 2 * 3,
    )  # where there are fewer pixels there are fewer scales


def test_the_distance_is_mahalanobis(rng):
    images = (128 + rng.normal(0, 40, (300, 16, 16, 3)) * rng.random((300, 1, 1, 1))).clip(0, 255)
    known = ood.typical(images)
    values = ood.statistics(images)
    covariance = np.cov(values.T, bias=True) + ood.NARROW * np.eye(values.shape[1])
    expected = [mahalanobis(row, values.mean(axis=0), np.linalg.inv(covariance)) for row in values]
    np.testing.assert_allclose(ood.distance(values, known), expected, rtol=1e-2)


def test_one_validation_image_in_twenty_is_unsure(rng):
    probabilities, images = rng.dirichlet(np.ones(10), 1000), rng.integers(0, 256, (1000, 8, 8, 3))
    rule = make_rule(probabilities)
    assert rule.keys() == {"score", "threshold"} and rule["score"] == ENTROPY
    assert sum(unsure(probabilities, images, rule)) == 50
    assert unsure([[0.1] * 10, [1] + 9 * [0]], images[:2], rule) == [True, False]
    rule = make_rule(probabilities, images, ood.typical(images))
    assert rule["score"] == SCORE and sum(unsure(probabilities, images, rule)) == 50


def test_a_picture_unlike_the_training_images_is_unsure_whatever_the_model_says(rng):
    images = rng.integers(0, 256, (200, 1, 1, 3)) + rng.normal(0, 20, (200, 32, 32, 1))
    images, probabilities = images.clip(0, 255).astype("uint8"), rng.dirichlet(np.ones(10) / 5, 200)
    rule = make_rule(probabilities, images, ood.typical(images))
    certain, blank = [[1] + 9 * [0]], np.full((1, 32, 32, 3), 128, "uint8")
    assert unsure(certain, images[:1], rule) == [False] and unsure(certain, blank, rule) == [True]
    assert ood.known(rule) == ood.typical(images) and ood.known({"score": ENTROPY, "threshold": 1}) is None
    with pytest.raises(Problem, match="not those of pictures of its size"):
        unsure(certain, images[:1, :8, :8], rule)


def test_of_images_that_are_all_alike_any_other_is_far():
    """A statistic that never changes, as colour in pictures of digits, is no division by zero."""
    images = np.full((5, 32, 32, 3), 90, "uint8")
    rule = make_rule(np.full((5, 2), 0.5), images, ood.typical(images))
    assert np.isfinite(rule["threshold"]) and np.isfinite(rule["precision"]).all()
    assert ood.distance(ood.statistics(images), rule).max() < 0.01
    assert ood.distance(ood.statistics(np.full((1, 32, 32, 3), 200)), rule)[0] > 5


@pytest.mark.parametrize("rule", [None, {"score": "another", "threshold": 1}])
def test_without_a_rule_of_this_score_nothing_is_said(rule):
    assert unsure([[0.5, 0.5]], None, rule) == [None]
