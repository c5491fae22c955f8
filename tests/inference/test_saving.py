import numpy as np

from classify.inference import export
from classify.inference.saving import save_model


def test_saving_leaves_a_litert_copy(small_model_file):
    assert sorted(file.name for file in small_model_file.parent.iterdir()) == ["model.keras", "model.tflite"]


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
    assert "model.tflite would answer otherwise than Keras" in capsys.readouterr().err
