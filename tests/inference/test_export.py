import sys
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

import export
from classify import options
from classify.command import Problem
from classify.inference import export as exports
from classify.inference import litert as light
from classify.inference import predictor as inference

SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def model():
    """A stand-in for both architectures: upsampling, a nested base with batch normalization, every activation."""
    keras.utils.set_random_seed(0)
    inputs = layers.Input((16, 16, 3))
    maps = [
        layers.Activation(name)(layers.BatchNormalization()(layers.Conv2D(4, 3, use_bias=False)(inputs)))
        for name in options.ACTIVATIONS
    ]
    base = keras.Model(inputs, layers.Concatenate()(maps))
    return keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.UpSampling2D(2, interpolation="bilinear"),
            base,
            layers.MaxPooling2D(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            layers.Dense(5, kernel_initializer="glorot_normal", activation="softmax"),
        ]
    )


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    exports.save_model(model, path)
    return path


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (23, *SHAPE), dtype="uint8")


def test_saving_leaves_a_light_copy_that_answers_like_keras(model, saved, pixels):
    assert sorted(file.name for file in saved.parent.iterdir()) == ["model.keras", "model.tflite"]
    copy = inference.open_model(saved)
    assert isinstance(copy, light.LightModel)
    assert copy.input_shape == (None, *SHAPE) and copy.output_shape == (None, 5)
    expected = model.predict_on_batch(pixels)
    assert np.ptp(expected, axis=0).max() > 0.01  # it answers differently to different images
    for part in (slice(0, 1), slice(1, 23), slice(0, 23)):
        np.testing.assert_allclose(copy.predict_on_batch(pixels[part]), expected[part], atol=1e-5)


def damage(path):
    path.write_bytes(path.read_bytes()[:-100])


def forget(path):
    path.write_bytes(b"TFL3")


@pytest.mark.parametrize("change", [damage, forget])
def test_a_damaged_light_copy_is_not_used(change, saved, tmp_path):
    for file in saved.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert light.find(tmp_path / "model.keras")
    change(tmp_path / "model.tflite")
    assert light.find(tmp_path / "model.keras") is None


def test_a_light_copy_of_another_model_is_not_used(model, saved, tmp_path):
    (tmp_path / "model.tflite").write_bytes(saved.with_suffix(".tflite").read_bytes())
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras", "a") as archive:
        archive.writestr("a-change", "")
    assert light.find(tmp_path / "model.keras") is None
    assert isinstance(inference.open_model(tmp_path / "model.keras"), keras.Model)


def test_without_litert_the_model_is_saved_and_keras_answers(model, saved, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert light.find(saved) is None
    monkeypatch.setattr(exports, "PACKAGES", {"litert": ("no_such_runtime",)})
    exports.save_model(model, tmp_path / "model.keras")
    assert [file.name for file in tmp_path.iterdir()] == ["model.keras"]
    line = "predict.py will start slowly with this model: no_such_runtime is not installed; "
    assert capsys.readouterr().err.startswith(line)


def test_a_copy_that_answers_otherwise_is_refused(model, tmp_path, monkeypatch, capsys):
    (tmp_path / "model.tflite").write_bytes(b"of a former model")
    monkeypatch.setitem(exports._READERS, "litert", lambda path, pixels: np.full((len(pixels), 5), 0.2))
    exports.save_model(model, tmp_path / "model.keras")
    assert [file.name for file in tmp_path.iterdir()] == ["model.keras"]
    assert "model.tflite would answer otherwise than Keras" in capsys.readouterr().err


def test_what_cannot_be_converted_is_one_line(model, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(keras.Sequential, "export", lambda *args, **options: 1 / 0)
    with pytest.raises(Problem, match="^the model cannot be exported to litert: division by zero$"):
        exports.export(model, tmp_path / "model.keras", "litert")
    assert capfd.readouterr().err == "" and not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["saved_model", "litert"])
def test_the_command_writes_beside_the_model_and_replaces_a_former_export(format, model, tmp_path, capfd, pixels):
    model.save(tmp_path / "my.keras")
    for _ in range(2):
        assert export.main([str(tmp_path / "my.keras"), "--format", format]) is None
    written = tmp_path / f"my{exports.SUFFIXES[format]}"
    assert {file.name for file in tmp_path.iterdir()} == {"my.keras", written.name}
    output = capfd.readouterr()
    assert output.out.startswith(f"{written}   probabilities differ from Keras's by at most ") and output.err == ""
    np.testing.assert_allclose(exports._READERS[format](written, pixels), model.predict_on_batch(pixels), atol=1e-5)


def test_the_command_writes_onnx(tmp_path, pixels, capfd):
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    model = keras.Sequential([layers.Input(SHAPE), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5, "softmax")])
    model.save(tmp_path / "my.keras")
    export.main([str(tmp_path / "my.keras"), "--format", "onnx"])
    assert "probabilities differ" in capfd.readouterr().out
    session = onnxruntime.InferenceSession(tmp_path / "my.onnx")
    [found] = session.run(None, {session.get_inputs()[0].name: pixels.astype("float32")})
    np.testing.assert_allclose(found, model.predict_on_batch(pixels), atol=1e-5)


def test_a_missing_package_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setitem(exports.PACKAGES, "onnx", ("no_such_package",))
    with pytest.raises(Problem, match="no_such_package is not installed; .* requirements-export.txt"):
        exports.export(model, tmp_path / "model.keras", "onnx")
