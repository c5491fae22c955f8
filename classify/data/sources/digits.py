"""Handwritten digits, which come with scikit-learn and need no network."""

import numpy as np

from classify.data.dataset import Source, Split

TEST_SHARE = 0.2
TEST_SEED = 0


def source():
    """Return the ``Source`` of scikit-learn's 1,797 digits.

    Their 8x8 grey pixels of 0 to 16 become 32x32 RGB pixels of 0 to 255. The test split is a fifth of them, the same
    share of each class.
    """
    # A mirrored 2 is no 2.
    return Source("digits", "digits", "scikit-learn", tuple("0123456789"), ("train", "test"), _read, mirror=False)


def _read(split, size=None):
    from PIL import Image
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype("uint8")
    larger = [np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR)) for image in grey]
    images = np.repeat(np.stack(larger)[..., None], 3, axis=-1)
    train_rows, test_rows = train_test_split(
        np.arange(len(images)), test_size=TEST_SHARE, stratify=digits.target, random_state=TEST_SEED
    )
    rows = {"train": train_rows, "test": test_rows}[split]
    return Split(images[rows], digits.target[rows].astype("int64"))
