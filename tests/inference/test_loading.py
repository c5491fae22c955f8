import shutil

import keras
import pytest
from keras import layers

from classify.command import Problem
from classify.inference import loading
from classify.inference.litert import LiteRTModel


def test_the_litert_copy_is_opened_or_else_the_keras_model(small_model_file, tmp_path):
    assert isinstance(loading.load(small_model_file), LiteRTModel)
    shutil.copy(small_model_file, tmp_path / "model.keras")
    assert isinstance(loading.load(tmp_path / "model.keras"), keras.Model)
    (tmp_path / "model.tflite").write_bytes(b"of another model")
    assert isinstance(loading.load(tmp_path / "model.keras"), keras.Model)


def test_a_file_that_is_no_model_is_named(small_model_file, tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("hello")
    with pytest.raises(Problem, match="model.keras is not a Keras model"):
        loading.load_keras(path)
    shutil.make_archive(tmp_path / "archive", "zip", small_model_file.parent)
    shutil.move(tmp_path / "archive.zip", path)
    with pytest.raises(
        Problem,
        match="model.keras is refused: it holds a file model.(keras|tflite), which no model of this project has$",
    ):
        loading.load_keras(path)


@pytest.mark.parametrize(
    ("shape", "last", "problem"),
    [
        ((8, 8, 1), layers.GlobalAveragePooling2D(), "does not take RGB images of one size"),
        ((None, None, 3), layers.GlobalAveragePooling2D(), "does not take RGB images of one size"),
        ((8, 8, 3), layers.MaxPooling2D(), "does not return one row of probabilities an image"),
    ],
)
def test_a_model_of_other_shapes_is_refused(shape, last, problem, tmp_path):
    keras.Sequential([layers.Input(shape), last]).save(tmp_path / "model.keras")
    with pytest.raises(Problem, match=problem):
        loading.load_keras(tmp_path / "model.keras")


@pytest.mark.parametrize("names", ["a", "ab"])
def test_a_model_that_returns_a_dictionary_is_refused(names, tmp_path):
    inputs = layers.Input((8, 8, 3))
    pooled = layers.GlobalAveragePooling2D()(inputs)
    keras.Model(inputs, {name: layers.Softmax()(pooled) for name in names}).save(tmp_path / "model.keras")
    with pytest.raises(Problem, match="model.keras returns a dictionary of outputs, not one row of probabilities"):
        loading.load_keras(tmp_path / "model.keras")
