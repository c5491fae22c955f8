import numpy as np

from classify.data.sources import digits


def test_digits_are_scikit_learns_scaled_to_255():
    source = digits.source()
    test = source.read("test")
    assert source.class_names == tuple("0123456789") and not source.mirror
    assert (len(source.read("train")), len(test)) == (1437, 360)
    assert test.images.shape == (360, 32, 32, 3) and test.images.dtype == np.uint8
    assert test.images.min() == 0 and test.images.max() == 255
    assert (test.images[..., 0] == test.images[..., 2]).all()
    np.testing.assert_allclose(np.bincount(test.labels), 36, atol=1)
