import keras
import numpy as np
import pytest
from keras import layers

import export
from classify.command import Problem
from classify.inference import export as exports

SHAPE = (8, 8, 3)


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (23, *SHAPE), dtype="uint8")


def test_what_cannot_be_converted_is_one_line(small_model, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(keras.Sequential, "export", lambda *args, **options: 1 / 0)
    with pytest.raises(Problem, match="^the model cannot be exported to litert: division by zero$"):
        exports.export(small_model, tmp_path / "model.keras", "", "litert")
    assert capfd.readouterr().err == "" and not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["saved_model", "litert"])
def test_the_command_writes_beside_the_model_and_replaces_a_former_export(format, small_model, tmp_path, capfd, pixels):
    small_model.save(tmp_path / "my.keras")
    for _ in range(2):
        assert export.main([str(tmp_path / "my.keras"), "--format", format]) is None
    written = tmp_path / f"my{exports.SUFFIXES[format]}"
    assert {file.name for file in tmp_path.iterdir()} == {"my.keras", written.name}
    output = capfd.readouterr()
    assert output.out.startswith(f"{written}   probabilities differ from Keras's by at most ") and output.err == ""
    expected = small_model.predict_on_batch(pixels)
    np.testing.assert_allclose(exports._READERS[format](written, pixels), expected, atol=1e-5)


@pytest.mark.parametrize("moment", ["loading", "converting"])
def test_a_model_that_is_replaced_meanwhile_is_not_exported(moment, small_model, tmp_path, monkeypatch):
    """Else the old network's answers would be given under the new one's name."""
    path = tmp_path / "my.keras"
    small_model.save(path)

    def replace(now):
        if now == moment:
            keras.Sequential([layers.Input(SHAPE), layers.Flatten(), layers.Dense(5, "softmax")]).save(path)

    def load(*args, load_model=keras.saving.load_model, **options):
        model = load_model(*args, **options)
        replace("loading")
        return model

    def convert(model, target, format, images):
        replace("converting")
        target.write_bytes(b"a file that answers as the model does")
        return model.predict_on_batch(images)

    monkeypatch.setattr(keras.saving, "load_model", load)
    monkeypatch.setattr(exports, "_converted", convert)
    with pytest.raises(Problem, match="my.keras was replaced meanwhile; export it again"):
        export.main([str(path), "--format", "litert"])
    assert [file.name for file in tmp_path.iterdir()] == ["my.keras"]


@pytest.mark.onnx
def test_the_command_writes_onnx(tmp_path, pixels, capfd):
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    # Pixels of 0 to 255 would give logits of hundreds, whose rounding alone differs by 1e-5.
    stack = [layers.Rescaling(1 / 255), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5, "softmax")]
    model = keras.Sequential([layers.Input(SHAPE), *stack])
    model.save(tmp_path / "my.keras")
    export.main([str(tmp_path / "my.keras"), "--format", "onnx"])
    assert "probabilities differ" in capfd.readouterr().out
    session = onnxruntime.InferenceSession(tmp_path / "my.onnx")
    [probabilities] = session.run(None, {session.get_inputs()[0].name: pixels.astype("float32")})
    np.testing.assert_allclose(probabilities, model.predict_on_batch(pixels), atol=1e-5)


def test_a_missing_package_is_named(small_model, tmp_path, monkeypatch):
    monkeypatch.setitem(exports.PACKAGES, "onnx", ("no_such_package",))
    with pytest.raises(Problem, match="no_such_package is not installed; .* requirements-export.txt"):
        exports.export(small_model, tmp_path / "model.keras", "", "onnx")
