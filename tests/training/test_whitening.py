import keras
import numpy as np
import pytest

from classify.training.whitening import whiten


def whitened(images):
    """A model that whitens these images."""
    model = keras.Sequential(
        [
            keras.layers.Input(images.shape[1:]),
            keras.layers.Rescaling(1 / 64, offset=-2, name="rescaling"),
            keras.layers.Conv2D(24, 2, use_bias=False, name="whitening"),
        ]
    )
    whiten(model, images)
    return model


def test_what_the_filters_see_is_uncorrelated_and_of_variance_one(rng):
    smooth = rng.normal(size=(400, 9, 9, 3)).cumsum(axis=1).cumsum(axis=2)  # neighbours are alike, as in photographs
    images = (64 * smooth / smooth.std() + 128).clip(0, 255).astype("uint8")
    seen = np.asarray(whitened(images)(images))
    np.testing.assert_allclose(seen[..., 12:], -seen[..., :12], atol=1e-4)
    flat = seen[..., :12].reshape(-1, 12)
    second_moments = flat.T @ flat / len(flat)
    off_diagonal = second_moments - np.diag(np.diag(second_moments))
    assert abs(off_diagonal).max() < 1e-3
    # Patterns of a variance near EPSILON stay fainter than 1 on purpose; the strongest is as the formula says.
    assert 0.98 < second_moments.diagonal().max() <= 1.0001


def test_a_pattern_that_never_occurs_stays_finite():
    model = whitened(np.full((10, 4, 4, 3), 200, "uint8"))
    assert np.isfinite(model.get_weights()[0]).all()


def test_a_network_without_the_layer_is_left_as_it_is(rng):
    model = keras.Sequential([keras.layers.Input((4, 4, 3)), keras.layers.Conv2D(2, 2)])
    before = model.get_weights()
    whiten(model, rng.integers(0, 256, (9, 4, 4, 3), dtype="uint8"))
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("side", "images"), [(32, 5000), (96, 554), (4000, 1)])
def test_memory_does_not_grow_with_the_size_of_the_images(side, images):
    """5,000 images of 96 pixels took 3.5 GB: what is limited is the number of patches."""
    asked = []

    class Large:
        def __len__(self):
            return 100_000

        def __getitem__(self, rows):
            asked.append(len(rows))
            return np.zeros((1, 4, 4, 3), "uint8")

    layers = [keras.layers.Rescaling(1 / 64, offset=-2, name="rescaling")]
    layers.append(keras.layers.Conv2D(24, 2, use_bias=False, name="whitening"))
    whiten(keras.Sequential([keras.layers.Input((side, side, 3)), *layers]), Large())
    assert asked == [images]
