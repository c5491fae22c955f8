import numpy as np
import pytest

from classify.inference.ood import generalized_entropy, threshold, unsure


def test_the_score_of_known_rows():
    rows = [[1, 0], [0.5, 0.5], [0.9, 0.1]]
    np.testing.assert_allclose(generalized_entropy(rows), [0, 2 * 0.25**0.1, 2 * 0.09**0.1])


def test_it_grows_with_the_spread_of_the_rest():
    """The largest probability is the same in both rows; the second has no other candidate."""
    spread, single = generalized_entropy([[0.6, 0.2, 0.2], [0.6, 0.4, 0]])
    assert spread > single


def test_a_row_that_exceeds_1_by_rounding_is_certain():
    assert generalized_entropy(np.array([[1.0000001, 0]], "float32")) == [0]


def test_one_validation_image_in_twenty_is_unsure(rng):
    probabilities = rng.dirichlet(np.ones(10), 1000)
    rule = threshold(probabilities)
    assert sum(unsure(probabilities, rule)) == 50
    assert unsure([[0.1] * 10, [1] + 9 * [0]], rule) == [True, False]


@pytest.mark.parametrize("rule", [None, {"score": "another", "threshold": 1}])
def test_without_a_rule_of_this_score_nothing_is_said(rule):
    assert unsure([[0.5, 0.5]], rule) == [None]
