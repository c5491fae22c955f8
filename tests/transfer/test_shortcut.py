import keras
import numpy as np
import pytest
from keras import layers

from classify.inference.loading import load_keras
from classify.inference.predictor import predict
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
    assert 0 < np.abs(predict(quicker.folded("bfloat16"), images) - expected).max() < 0.1
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
    return keras.Sequential([layers.Input((8, 8, 3)), base, pool, layers.Dense(2, "softmax")])


def test_only_what_can_be_folded_has_a_shortcut():
    assert shortcut.find(small()) is not None
    wrong = ({"normalized": False}, {"bias": True}, {"activation": "relu"}, {"pooling": "other"}, {"twice": True})
    assert [shortcut.find(small(**options)) for options in wrong] == [None] * len(wrong)
    plain = keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2, "softmax")])
    assert shortcut.find(plain) is None
