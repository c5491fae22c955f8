import numpy as np
import pytest

from classify.data.dataset import Split
from classify.data.splits import SEED
from classify.training.batches import PURPOSES, Batches, random_stream


@pytest.fixture
def split(rng):
    """103 images; the first pixel of each tells which it is."""
    images = rng.integers(0, 256, (103, 8, 8, 3), dtype="uint8")
    images[:, 0, 0, 0] = np.arange(103)
    return Split(images, np.arange(103) % 4)


def seen(batches):
    return [int(image[0, 0, 0]) for step in range(batches.num_batches) for image in batches.batch(0, step)[0]]


def test_an_epoch_shows_every_image_once_in_batches_of_nearly_one_size(split):
    batches = Batches(split, classes=4, batch_size=25, augment=False)
    assert [len(batches.batch(0, step)[1]) for step in range(batches.num_batches)] == [21, 21, 21, 20, 20]
    assert sorted(seen(batches)) == list(range(103))


def test_labels_belong_to_their_images(split):
    images, labels = Batches(split, classes=4, batch_size=50, augment=False).batch(0, 1)
    np.testing.assert_array_equal(labels.argmax(axis=1), images[:, 0, 0, 0] % 4)
    assert labels.dtype == np.float32 and set(np.unique(labels)) == {0.0, 1.0}


def test_label_smoothing_spreads_its_share_over_all_classes(split):
    _, labels = Batches(split, classes=4, batch_size=50, augment=False, label_smoothing=0.2).batch(0, 0)
    np.testing.assert_allclose(np.sort(labels[0]), [0.05, 0.05, 0.05, 0.85], rtol=1e-6)


def test_balanced_weights_make_up_for_rare_classes():
    """6 images of one class and 2 of the other: 8 / (2 * 6) and 8 / (2 * 2)."""
    split = Split(np.zeros((8, 8, 8, 3), "uint8"), np.array([0, 0, 1, 0, 0, 1, 0, 0]))
    batches = Batches(split, classes=2, batch_size=4, class_weight="balanced")
    drawn = [batches.batch(0, step)[1:] for step in range(2)]
    labels, weights = (np.concatenate(part) for part in zip(*drawn, strict=True))
    assert weights.dtype == np.float32 and weights.mean() == pytest.approx(1)
    np.testing.assert_allclose(weights, np.where(labels[:, 1] == 1, 2, 2 / 3), rtol=1e-6)
    assert len(Batches(split, classes=2, batch_size=4).batch(0, 0)) == 2


def test_epochs_differ_and_a_batch_depends_on_seed_epoch_and_step_alone(split):
    batches, again = (Batches(split, classes=4, batch_size=25, seed=7) for _ in range(2))
    first, second = (batches.batch(epoch, 3)[0] for epoch in (0, 1))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(again.batch(1, 3)[0], second)
    np.testing.assert_array_equal(again.batch(0, 3)[0], first)
    assert not np.array_equal(Batches(split, classes=4, batch_size=25, seed=8).batch(0, 3)[0], first)


def test_random_streams_of_one_seed_never_overlap():
    """NumPy fills up short keys with zeros: default_rng((7, 3)) is default_rng((7, 3, 0))."""
    places = [(7, 0, 0), (7, 3, 0), (7, 3, 1), (7, 0, 3), (3, 7, 0), (0, 0, 0)]
    draws = [random_stream(purpose, *place).integers(2**62) for purpose in PURPOSES for place in places]
    draws.append(np.random.default_rng(SEED).integers(2**62))  # which cuts the validation split
    assert len(set(draws)) == len(PURPOSES) * len(places) + 1


def mirrored_images(split, seed, epoch, **options):
    """Which images ``Batches`` mirrors in an epoch; red tells the left half, green the image."""
    images = np.zeros_like(split.images)
    images[:, :, :4] = 255
    images[:, :, :, 1] = np.arange(len(images))[:, None, None]
    batches = Batches(Split(images, split.labels), classes=4, batch_size=103, seed=seed, **options)
    shown = batches.batch(epoch, 0)[0]
    return dict(zip(shown[:, 0, 0, 1].tolist(), (shown[:, 4, 1, 0] == 0).tolist(), strict=True))


def test_half_of_the_images_are_mirrored_and_the_other_half_in_the_next_epoch(split):
    first, second, third = (mirrored_images(split, 3, epoch) for epoch in range(3))
    assert 35 < sum(first.values()) < 68
    assert second == {image: not mirrored for image, mirrored in first.items()} and third == first
    assert mirrored_images(split, 4, 0) != first


def test_digits_are_never_mirrored(split):
    assert not any(any(mirrored_images(split, 3, epoch, mirror=False).values()) for epoch in range(2))


@pytest.mark.parametrize("mirror", [True, False])
def test_the_parts_of_a_batch_are_those_of_the_whole(split, mirror):
    batches = Batches(split, classes=4, batch_size=25, seed=7, mirror=mirror, jitter=0.2, class_weight="balanced")
    whole = batches.batch(1, 2)
    parts = [batches.batch(1, 2, part) for part in (slice(0, 11), slice(11, 21), slice(21, 21))]
    assert [len(part[0]) for part in parts] == [11, 10, 0]
    for array, pieces in zip(whole, zip(*parts, strict=True), strict=True):
        np.testing.assert_array_equal(array, np.concatenate(pieces))


def test_jitter_changes_each_epochs_images_anew_if_they_are_augmented(split):
    def images(epoch=0, **options):
        return Batches(split, classes=4, batch_size=103, mirror=False, **options).batch(epoch, 0)[0]

    def averages(epoch, **options):
        order = np.argsort(Batches(split, classes=4, batch_size=103).rows(epoch, 0))
        return images(epoch, **options).mean(axis=(1, 2, 3))[order]

    assert np.abs(averages(0, jitter=0.5) - averages(0)).max() > 10
    assert np.abs(averages(1, jitter=0.5) - averages(0, jitter=0.5)).max() > 10
    np.testing.assert_array_equal(images(augment=False, jitter=0.5), images(augment=False))
    np.testing.assert_array_equal(images(jitter=0.0), images())
