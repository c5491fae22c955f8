import numpy as np
import pytest

from classify.inference import tta


def softmax(logits):
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def by_position(images):
    """A 'model' whose logits are three chosen pixels, so that every view gives another answer."""
    return softmax(np.stack([images[:, 0, 0, 0], images[:, 2, 4, 1], images[:, 5, 1, 2]], axis=1) / 100.0)


@pytest.mark.parametrize("mirror", [True, False])
def test_the_logits_of_the_views_are_averaged(mirror, rng):
    images = rng.integers(0, 256, (4, 6, 7, 3)).astype("float32")
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    logits = 0
    for weight, view in ((2, images), (1, padded[:, 0:6, 0:7]), (1, padded[:, 2:8, 2:9])):
        both = [np.log(by_position(v)) for v in ((view, view[:, :, ::-1]) if mirror else (view,))]
        logits = logits + weight / 4 * np.mean(both, axis=0)
    np.testing.assert_allclose(tta.average(by_position, images, mirror), softmax(logits), rtol=1e-6)


def test_a_model_blind_to_the_views_keeps_its_answer(rng):
    def predict(images):
        return softmax(np.stack([images.max(axis=(1, 2, 3)), images.min(axis=(1, 2, 3))], axis=1) / 255.0)

    images = np.full((3, 6, 6, 3), 100.0)
    images[:, 2:4, 2:4] = rng.integers(0, 256, (3, 1, 1, 3))
    np.testing.assert_allclose(tta.average(predict, images), predict(images), rtol=1e-6)


def test_a_probability_of_zero_stays_finite():
    certain = np.array([[1.0, 0.0]], "float32")
    result = tta.average(lambda images: certain, np.zeros((1, 4, 4, 3)))
    assert np.isfinite(result).all() and result[0, 0] > 0.999
