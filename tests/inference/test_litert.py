import shutil
import sys
import zipfile

import numpy as np
import pytest

from classify.inference import litert
from classify.safety import keras_file


def find(path):
    return litert.find(path, keras_file.check(path))


def test_the_copy_predicts_like_keras(small_model, small_model_file, rng):
    copy = find(small_model_file)
    assert isinstance(copy, litert.LiteRTModel)
    assert copy.input_shape == (None, 8, 8, 3) and copy.output_shape == (None, 5)
    pixels = rng.integers(0, 256, (23, 8, 8, 3), dtype="uint8")
    expected = small_model.predict_on_batch(pixels)
    assert np.ptp(expected, axis=0).max() > 0.01  # it predicts different probabilities of different images
    for part in (slice(0, 1), slice(1, 23), slice(0, 23)):
        np.testing.assert_allclose(copy.predict_on_batch(pixels[part]), expected[part], atol=1e-5)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"TFL3")


@pytest.mark.parametrize("damage", [cut, empty])
def test_a_damaged_copy_is_not_used(damage, small_model_file, tmp_path):
    shutil.copytree(small_model_file.parent, tmp_path, dirs_exist_ok=True)
    assert find(tmp_path / "model.keras")
    damage(tmp_path / "model.tflite")
    assert find(tmp_path / "model.keras") is None


def test_the_copy_of_another_model_is_not_used(small_model_file, tmp_path):
    shutil.copytree(small_model_file.parent, tmp_path, dirs_exist_ok=True)
    with zipfile.ZipFile(small_model_file) as former, zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        for name in former.namelist():
            archive.writestr(name, b"{}" if name == "metadata.json" else former.read(name))
    assert find(tmp_path / "model.keras") is None


def test_without_litert_there_is_no_copy(small_model_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert find(small_model_file) is None
