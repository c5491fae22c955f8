import colorsys
import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from classify.evaluation.corruptions import (
    CORRUPTIONS,
    blur,
    brightness,
    contrast,
    gaussian_noise,
    jpeg,
    pixelate,
    shift,
)

SEVERITIES = range(1, 6)
every_corruption = pytest.mark.parametrize("corrupt", CORRUPTIONS.values(), ids=CORRUPTIONS)


def smooth(shape, rng):
    """Images with larger and smaller things in them."""
    waves = sum(gaussian_filter(rng.standard_normal(shape), (0, s, s, 0.5)) * s for s in (0.7, 2, 5))
    return np.clip(110 + 60 * waves, 0, 255).astype("uint8")


@every_corruption
@pytest.mark.parametrize("size", [(32, 32), (24, 41), (1, 3), (96, 64)])
def test_images_of_any_size_come_back_as_images(corrupt, size, rng):
    images = smooth((3, *size, 3), rng)
    before = images.copy()
    for severity in SEVERITIES:
        result, again = (corrupt(images, severity, np.random.default_rng(7)) for _ in range(2))
        assert (result.shape, result.dtype) == (images.shape, np.uint8)
        np.testing.assert_array_equal(result, again)
    np.testing.assert_array_equal(images, before)


@every_corruption
def test_damage_grows_with_severity(corrupt, rng):
    images = smooth((20, 32, 32, 3), rng)
    results = [corrupt(images, severity, np.random.default_rng(7)) for severity in SEVERITIES]
    damage = [np.abs(result.astype(int) - images).mean() for result in results]
    assert damage[0] > 0 and (np.diff(damage) > 0).all(), damage


@pytest.mark.parametrize(("severity", "deviation"), [(1, 0.04), (2, 0.06), (3, 0.08), (4, 0.09), (5, 0.10)])
def test_noise_has_its_deviation_and_keeps_the_mean(severity, deviation, rng):
    noisy = gaussian_noise(np.full((20, 32, 32, 3), 128, "uint8"), severity, rng) - 128.0
    assert noisy.mean() == pytest.approx(0, abs=0.3) and noisy.std() == pytest.approx(255 * deviation, rel=0.02)
    values = noisy.reshape(-1, 3)
    assert abs(np.corrcoef(values.T)[0, 1]) < 0.02  # each colour has its own


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize(("severity", "deviation"), [(1, 0.4), (3, 0.7), (5, 1.0)])
def test_blur_is_a_gaussian_that_grows_with_the_image(scale, severity, deviation, rng):
    images = np.zeros((1, 32 * scale, 32 * scale, 3), "uint8")
    images[0, 10, 12, 1] = 255
    weights = np.exp(-0.5 * ((np.arange(32 * scale) - np.array([[10], [12]])) / (deviation * scale)) ** 2)
    rows, columns = weights / weights.sum(axis=1, keepdims=True)
    expected = np.zeros(images.shape)
    expected[0, :, :, 1] = 255 * np.outer(rows, columns)
    np.testing.assert_allclose(blur(images, severity, rng), expected, atol=0.51)


@pytest.mark.parametrize(("severity", "added"), [(1, 0.05), (2, 0.1), (3, 0.15), (4, 0.2), (5, 0.3)])
def test_brightness_is_added_to_the_value_of_hsv(severity, added, rng):
    images = rng.integers(0, 256, (1, 12, 12, 3), "uint8")
    images[0, 0, :2] = [[0, 0, 0], [255, 255, 255]]

    def brighter(pixel):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel / 255)
        return 255 * np.array(colorsys.hsv_to_rgb(hue, saturation, min(value + added, 1)))

    expected = np.apply_along_axis(brighter, -1, images)
    np.testing.assert_allclose(brightness(images, severity, rng), expected, atol=0.51)


def test_contrast_draws_to_the_mean_of_each_image_and_colour(rng):
    images = np.zeros((2, 2, 2, 3), "uint8")
    images[0, 0, :, 0], images[0, 1, :, 0] = 40, 160  # mean 100
    images[1] = 77
    for severity, share in enumerate((0.75, 0.5, 0.4, 0.3, 0.15), start=1):
        result = contrast(images, severity, rng)
        assert result[0, 0, 0].tolist() == [100 - 60 * share, 0, 0] and result[0, 1, 1, 0] == 100 + 60 * share
        assert (result[1] == 77).all()


@pytest.mark.parametrize(("severity", "quality"), [(1, 80), (2, 65), (3, 58), (4, 50), (5, 40)])
def test_jpeg_is_pillows(severity, quality, rng):
    images = smooth((2, 32, 32, 3), rng)
    for image, result in zip(images, jpeg(images, severity, rng), strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        np.testing.assert_array_equal(result, np.asarray(Image.open(file)))


@pytest.mark.parametrize(("severity", "left"), [(1, 30), (2, 28), (3, 27), (4, 24), (5, 20)])
def test_pixelation_leaves_so_many_pixels(severity, left, rng):
    images = rng.integers(0, 256, (1, 32, 32, 3), "uint8")
    result = pixelate(images, severity, rng)
    assert len(np.unique(result[0], axis=0)) == len(np.unique(result[0], axis=1)[0]) == left
    assert result.mean() == pytest.approx(images.mean(), abs=3)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize(("severity", "pixels"), [(1, 1), (2, 2), (3, 4), (4, 6), (5, 8)])
def test_shift_moves_by_its_pixels_into_each_corner(scale, severity, pixels, rng):
    images = smooth((40, 32 * scale, 32 * scale, 3), rng)
    moved, d = shift(images, severity, rng), pixels * scale
    here, there = slice(d, None), slice(None, -d)
    ways = {
        (sy, sx): [np.array_equal(new[fy, fx], old[ty, tx]) for new, old in zip(moved, images, strict=True)]
        for sy, fy, ty in ((1, here, there), (-1, there, here))
        for sx, fx, tx in ((1, here, there), (-1, there, here))
    }
    assert (np.sum(list(ways.values()), axis=0) == 1).all()  # each image went one of the four ways
    assert all(any(went) for went in ways.values())
