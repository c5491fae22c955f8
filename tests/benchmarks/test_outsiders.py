"""Pictures of none of the classes, which benchmarks/ood.py asks about."""

import numpy as np
from PIL import Image

from benchmarks import outsiders


def test_each_kind_is_many_pictures_that_differ_and_never_change(tmp_path):
    (tmp_path / "more").mkdir()
    for name in ("a.png", "more/b.png"):
        Image.new("RGB", (50, 40), "red").save(tmp_path / name)
    kinds, again = outsiders.outsiders(tmp_path), outsiders.outsiders()
    assert set(kinds) == {*again, "photos"} and len(kinds["photos"]) == 2
    for name, images in again.items():
        assert images.shape == (len(images), 32, 32, 3) and images.dtype == "uint8" and len(images) >= 300
        np.testing.assert_array_equal(images, kinds[name])
        assert len(np.unique(images.reshape(len(images), -1), axis=0)) > 0.95 * len(images)
    assert np.abs(np.diff(again["blank"].astype(int), axis=1)).max() < 10 < np.diff(again["text"], axis=1).std()
