import numpy as np

from classify.training.augmentation import augment, jitter


def candidates(image, shift):
    """All shifts of an image, made the slow way."""
    padded = np.pad(image, ((shift, shift), (shift, shift), (0, 0)), mode="reflect")
    height, width, _ = image.shape
    for top in range(2 * shift + 1):
        for left in range(2 * shift + 1):
            yield padded[top : top + height, left : left + width].tobytes()


def test_each_image_is_one_of_its_shifts_mirrored_where_asked(rng):
    images = rng.integers(0, 256, (200, 6, 7, 3), dtype="uint8")
    mirrored = rng.random(200) < 0.5
    result = augment(images, rng, mirrored, shift=2)
    assert result.shape == images.shape and result.dtype == np.uint8
    for image, flipped, augmented in zip(images, mirrored, result, strict=True):
        assert augmented.tobytes() in set(candidates(image[:, ::-1] if flipped else image, 2))


def test_all_shifts_occur_and_nothing_is_mirrored_unasked(rng):
    image = rng.integers(0, 256, (6, 7, 3), dtype="uint8")
    result = augment(np.repeat(image[None], 500, axis=0), rng, shift=1)
    assert {augmented.tobytes() for augmented in result} == set(candidates(image, 1))


def test_the_batch_itself_stays_as_it_is(rng):
    images = rng.integers(0, 256, (20, 6, 7, 3), dtype="uint8")
    before = images.copy()
    augment(images, rng, np.ones(20, bool))
    np.testing.assert_array_equal(images, before)


def test_jitter_changes_brightness_and_contrast_within_its_amount(rng):
    images = rng.integers(100, 156, (500, 8, 8, 3), dtype="uint8")
    changed = jitter(images, rng, 0.2)
    assert changed.dtype == np.uint8 and changed.shape == images.shape
    before, after = images.reshape(500, -1).astype(float), changed.reshape(500, -1).astype(float)
    contrast = after.std(axis=1) / before.std(axis=1)
    brightness = after.mean(axis=1) - 127.5 - contrast * (before.mean(axis=1) - 127.5)
    assert contrast.min() > 0.79 and contrast.max() < 1.21 and contrast.std() > 0.1
    assert np.abs(brightness).max() < 12.75 + 1 and brightness.std() > 6
    assert abs(np.corrcoef(contrast, brightness)[0, 1]) < 0.15


def test_jitter_keeps_what_would_leave_the_range_at_its_end(rng):
    images = np.tile(np.array([0, 255], "uint8")[:, None, None, None], (100, 4, 4, 3))
    before = images.copy()
    changed = jitter(images, rng, 0.5)
    np.testing.assert_array_equal(images, before)
    assert changed[::2].max() < 128 < changed[1::2].min() and {0, 255} < set(changed.ravel())
