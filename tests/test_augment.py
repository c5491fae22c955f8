import numpy as np

from classify.augment import augment


def candidates(image, mirror, shift):
    """All that augmenting one image may give, made the slow way."""
    padded = np.pad(image, ((shift, shift), (shift, shift), (0, 0)), mode="reflect")
    height, width, _ = image.shape
    for variant in (padded, padded[:, ::-1]) if mirror else (padded,):
        for top in range(2 * shift + 1):
            for left in range(2 * shift + 1):
                yield variant[top : top + height, left : left + width].tobytes()


def test_each_image_is_one_of_its_shifts_and_mirrorings(rng):
    images = rng.integers(0, 256, (200, 6, 7, 3), dtype="uint8")
    result = augment(images, rng, mirror=True, shift=2)
    assert result.shape == images.shape and result.dtype == np.uint8
    for image, augmented in zip(images, result, strict=True):
        assert augmented.tobytes() in set(candidates(image, True, 2))


def test_all_shifts_and_both_mirrorings_occur(rng):
    image = rng.integers(0, 256, (6, 7, 3), dtype="uint8")
    result = augment(np.repeat(image[None], 2000, axis=0), rng, mirror=True, shift=1)
    assert {augmented.tobytes() for augmented in result} == set(candidates(image, True, 1))


def test_digits_are_shifted_and_never_mirrored(rng):
    image = rng.integers(0, 256, (6, 7, 3), dtype="uint8")
    result = augment(np.repeat(image[None], 500, axis=0), rng, mirror=False, shift=1)
    assert {augmented.tobytes() for augmented in result} == set(candidates(image, False, 1))


def test_half_of_the_images_are_mirrored(rng):
    images = rng.integers(0, 256, (4000, 4, 4, 3), dtype="uint8")
    result = augment(images, rng, mirror=True, shift=0)
    mirrored = (result == images[:, :, ::-1]).all(axis=(1, 2, 3)).mean()
    assert 0.46 < mirrored < 0.54


def test_the_batch_itself_stays_as_it_is(rng):
    images = rng.integers(0, 256, (20, 6, 7, 3), dtype="uint8")
    before = images.copy()
    augment(images, rng)
    np.testing.assert_array_equal(images, before)
