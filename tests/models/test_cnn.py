import keras
import numpy as np
import pytest

from models.cnn import NETWORKS, build_cnn
from train_cnn import ACTIVATIONS

SHAPE = (32, 32, 3)


PARAMETERS = {"tutorial": 122_570, "standard": 1_975_082, "small": 221_994}


@pytest.mark.parametrize(("network", "parameters"), PARAMETERS.items())
def test_parameter_count(network, parameters):
    assert build_cnn(network, SHAPE, 10).count_params() == parameters


@pytest.mark.parametrize("network", NETWORKS)
def test_is_a_sequential_of_the_promised_built_in_layers(network):
    model = build_cnn(network, SHAPE, 10, dropout=0.3)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert isinstance(model, keras.Sequential)
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    assert kinds[0] == "Rescaling" and kinds[-2:] == ["Dropout", "Dense"]
    assert {"Conv2D", "MaxPooling2D", "Dropout", "Dense"} <= set(kinds)
    assert model.layers[-2].rate == 0.3


def test_the_tutorial_is_three_convolutions_of_32_64_64_and_a_dense_of_64():
    layers = build_cnn("tutorial", SHAPE, 10).layers
    assert [layer.filters for layer in layers if isinstance(layer, keras.layers.Conv2D)] == [32, 64, 64]
    assert [layer.units for layer in layers if isinstance(layer, keras.layers.Dense)] == [64, 10]


@pytest.mark.parametrize("network", ["tutorial", "standard"])
def test_raw_pixels_of_any_dtype_give_the_same_probabilities(network, rng):
    model = build_cnn(network, SHAPE, 7)
    model.layers[-1].kernel.assign(rng.normal(size=model.layers[-1].kernel.shape))
    pixels = rng.integers(0, 256, (5, *SHAPE), dtype="uint8")
    probabilities = model.predict(pixels, verbose=0)
    assert probabilities.shape == (5, 7) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    for dtype in ("int32", "float32", "float64"):
        np.testing.assert_allclose(model.predict(pixels.astype(dtype), verbose=0), probabilities, atol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_by_name(activation):
    model = build_cnn("standard", SHAPE, 10, activation=activation)
    used = {layer.activation for layer in model.layers if isinstance(layer, keras.layers.Activation)}
    assert used == {keras.activations.get(activation)}


def test_the_whitening_layer_does_not_train():
    model = build_cnn("standard", SHAPE, 10)
    assert model.layers[1].name == "whitening" and model.layers[1].kernel.shape == (2, 2, 3, 24)
    assert not any("whitening" in weight.path for weight in model.trainable_weights)


def test_images_too_small_for_the_poolings():
    with pytest.raises(ValueError):
        build_cnn("standard", (8, 8, 3), 10)


def test_other_image_sizes_and_class_counts():
    assert build_cnn("standard", (64, 48, 3), 3).output_shape == (None, 3)


def test_the_standard_network_starts_by_passing_its_input_on(rng):
    for layer in build_cnn("standard", SHAPE, 10).layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.name != "whitening":
            inputs = rng.random((1, 5, 5, layer.kernel.shape[2])).astype("float32")
            passed = layer(inputs)[..., : inputs.shape[-1]]
            np.testing.assert_allclose(passed, inputs, atol=1e-6)


def test_silu_comes_as_gelu():
    """Normalized values come out of scale and activation as 1.7 times what GELU makes of them."""
    model = build_cnn("standard", SHAPE, 10, activation="silu")
    values = np.linspace(-4, 4, 101, dtype="float32")
    normalization, activation = model.layers[5:7]
    assert set(normalization.gamma.numpy()) == {np.float32(1.7)}
    stretched = np.asarray(activation(normalization.gamma.numpy()[0] * values))
    np.testing.assert_allclose(stretched / 1.7, keras.activations.gelu(values, approximate=False), atol=0.021)


@pytest.mark.parametrize("network", ["standard", "small"])
def test_an_untrained_network_finds_all_classes_equally_likely(network, rng):
    pixels = rng.integers(0, 256, (5, *SHAPE), dtype="uint8")
    np.testing.assert_allclose(build_cnn(network, SHAPE, 10).predict(pixels, verbose=0), 0.1, rtol=1e-6)
