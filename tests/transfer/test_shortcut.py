import keras
import numpy as np
import pytest
from keras import layers

from classify.inference import export, litert
from classify.inference.loading import load_keras
from classify.inference.predictor import predict
from classify.inference.saving import save_keras
from classify.safety import keras_file
from classify.transfer import shortcut
from classify.transfer.features import Extractor
from models.inception import build_inception, describe_trunk


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A saved network whose batch normalization has something to do."""
    keras.utils.set_random_seed(3)
    model, rng = build_inception((16, 16, 3), 4, None, upsampling=5), np.random.default_rng(3)
    for layer in model.get_layer("inception_v3").layers:
        if isinstance(layer, layers.BatchNormalization):
            n = layer.beta.shape[0]
            layer.set_weights([rng.normal(0.1, 0.3, n), rng.normal(0, 0.3, n), rng.uniform(0.3, 1.5, n)])
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def model(path):
    return load_keras(path)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (12, 16, 16, 3), dtype="uint8")


def test_its_answers_are_the_saved_files(model, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quicker, expected = shortcut.find(model), predict(model, images)
    np.testing.assert_allclose(quicker.predict(images, "test"), expected, atol=1e-5)
    np.testing.assert_allclose(predict(quicker.folded("float32"), images), expected, atol=1e-5)
    rough = quicker.folded("bfloat16")
    assert 0 < np.abs(predict(rough, images) - expected).max() < 0.1
    [base] = [layer for layer in rough.trunk.layers if isinstance(layer, keras.Model)]
    arithmetic = [layer.compute_dtype for layer in base.layers if isinstance(layer, layers.Conv2D)]
    assert arithmetic == ["float32"] * 2 + ["bfloat16"] * 92
    monkeypatch.setattr(Extractor, "network", property(lambda self: pytest.fail("computed again")))
    np.testing.assert_allclose(quicker.predict(images, "test"), expected, atol=1e-5)


def test_another_head_has_other_answers(path, images, tmp_path, monkeypatch):
    """As after a calibration, which changes the last layer of the opened model."""
    monkeypatch.chdir(tmp_path)
    model = load_keras(path)
    quicker = shortcut.find(model)
    before, head = quicker.predict(images, "test"), model.get_layer("probabilities")
    head.set_weights([weight * 3 for weight in head.get_weights()])
    after = quicker.predict(images, "test")
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, predict(model, images), atol=1e-5)


def test_a_saved_network_is_known_again_whatever_its_layers_are_called(model):
    build_inception((16, 16, 3), 4, None, upsampling=5)  # Keras numbers the names of layers on
    fresh = build_inception((16, 16, 3), 4, None, upsampling=5)
    names = [[layer.name for layer in network.get_layer("inception_v3").layers] for network in (model, fresh)]
    assert names[0] != names[1] and describe_trunk(model) == describe_trunk(fresh)


def small(normalized=True, bias=False, activation="linear", pooling="pooling", twice=False):
    """Return a network of the same parts; folding needs a convolution without a bias before each normalization."""
    inputs = x = layers.Input((8, 8, 3))
    convolved = layers.Conv2D(4, 3, use_bias=bias, activation=activation)(x)
    x = layers.BatchNormalization()(convolved if normalized else x)
    outputs = layers.Concatenate()([x, convolved]) if twice else x
    base = keras.Model(inputs, outputs, name="inception_v3")
    pool = layers.GlobalAveragePooling2D(name=pooling)
    head = layers.Dense(6, "relu"), layers.Dense(2, "softmax")
    return keras.Sequential([layers.Input((8, 8, 3)), base, pool, *head])


def test_only_what_can_be_folded_has_a_shortcut():
    assert shortcut.find(small()) is not None
    wrong = ({"normalized": False}, {"bias": True}, {"activation": "relu"}, {"pooling": "other"}, {"twice": True})
    assert [shortcut.find(small(**options)) for options in wrong] == [None] * len(wrong)
    plain = keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2, "softmax")])
    assert shortcut.find(plain) is None


def saved_with_another_head(model, path, rng):
    """Give a model another head, save it, and return its shortcut and what ``export`` takes of the file."""
    for layer in model.layers[-2:]:
        layer.set_weights([rng.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])
    return save_keras(model, path), shortcut.find(model)


def test_the_light_copy_of_another_head_is_made_from_a_kept_one(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    model, path = small(), tmp_path / "model.keras"
    made_from, quicker = saved_with_another_head(model, path, rng)
    export.export(model, path, made_from, "litert", quicker)
    kept = quicker.light.read_bytes()
    converted, calls = export._converted, []
    monkeypatch.setattr(export, "_converted", lambda *given: calls.append(given) or converted(*given))
    made_from, quicker = saved_with_another_head(model, path, rng)
    _, difference = export.export(model, path, made_from, "litert", quicker)
    assert not calls and difference < 1e-6 and quicker.light.read_bytes() == kept
    light, images = litert.find(path, keras_file.check(path)), rng.integers(0, 256, (5, 8, 8, 3), dtype="uint8")
    np.testing.assert_allclose(predict(light, images), predict(model, images), atol=1e-6)

    middle = len(kept) // 2
    other = small()
    for layer in other.get_layer("inception_v3").layers:
        layer.set_weights([weight + 0.1 for weight in layer.get_weights()])
    made_from_other, of_other = saved_with_another_head(other, tmp_path / "other.keras", rng)
    export.export(other, tmp_path / "other.keras", made_from_other, "litert", of_other)
    wrong = (b"", kept[:-99], kept[:middle] + bytes(100) + kept[middle + 100 :], of_other.light.read_bytes())
    calls.clear()
    for number, content in enumerate(wrong, 1):
        quicker.light.write_bytes(content)
        _, difference = export.export(model, path, made_from, "litert", quicker)
        assert len(calls) == number and difference < 1e-6 and len(quicker.light.read_bytes()) == len(kept)
