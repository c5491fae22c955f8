import keras
import numpy as np
from keras import layers

from classify.inference import export, litert
from classify.inference.saving import save_model


def test_saving_leaves_a_litert_copy(small_model_file):
    assert sorted(file.name for file in small_model_file.parent.iterdir()) == ["model.keras", "model.tflite"]


def test_a_copy_is_never_marked_as_made_from_a_model_that_was_saved_later(small_model, tmp_path, monkeypatch, capsys):
    path, marks = tmp_path / "model.keras", []

    def save_another_and_convert(model, target, format, images):
        keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(5, "softmax")]).save(path)
        target.write_bytes(b"a file that answers as the model does")
        return model.predict_on_batch(images)

    monkeypatch.setattr(export, "_converted", save_another_and_convert)
    monkeypatch.setattr(litert, "mark", lambda copy, made_from: marks.append(made_from))
    save_model(small_model, path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.keras"] and marks != [litert.fingerprint(path)]
    assert "model.keras was replaced meanwhile" in capsys.readouterr().err


def test_without_litert_the_keras_file_alone_is_saved(small_model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export, "PACKAGES", {"litert": ("no_such_runtime",)})
    save_model(small_model, tmp_path / "model.keras")
    assert [file.name for file in tmp_path.iterdir()] == ["model.keras"]
    line = "predict.py will start slowly with this model: no_such_runtime is not installed; "
    assert capsys.readouterr().err.startswith(line)


def test_a_copy_that_predicts_otherwise_is_refused(small_model, tmp_path, monkeypatch, capsys):
    (tmp_path / "model.tflite").write_bytes(b"of a former model")
    monkeypatch.setitem(export._READERS, "litert", lambda path, images: np.full((len(images), 5), 0.2))
    save_model(small_model, tmp_path / "model.keras")
    assert [file.name for file in tmp_path.iterdir()] == ["model.keras"]
    assert "model.tflite gives other probabilities than Keras" in capsys.readouterr().err
