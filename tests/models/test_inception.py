import keras
import numpy as np
import pytest

from models import inception
from models.inception import build_inception, fold, split


@pytest.fixture(scope="module")
def base():
    """A random InceptionV3 for 80x80 pixels whose batch normalization has something to do."""
    keras.utils.set_random_seed(1)
    base = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(80, 80, 3))
    rng = np.random.default_rng(1)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.beta.shape[0]
            layer.set_weights([rng.normal(0.1, 0.3, n), rng.normal(0, 0.3, n), rng.uniform(0.3, 1.5, n)])
    return base


@pytest.fixture
def inputs(rng):
    return rng.uniform(-1, 1, (3, 80, 80, 3)).astype("float32")


def close(result, expected, tolerance):
    return np.linalg.norm(result - expected) <= tolerance * np.linalg.norm(expected)


def test_layer_order_and_sizes():
    model = build_inception((32, 32, 3), 10, weights=None)
    kinds = ["Rescaling", "UpSampling2D", "Functional", "GlobalAveragePooling2D", "Dense", "Dropout", "Dense"]
    assert isinstance(model, keras.Sequential)
    assert [type(layer).__name__ for layer in model.layers] == kinds
    rescaling, upsampling, base, _, dense, dropout, output = model.layers
    assert (rescaling.scale, rescaling.offset) == (1 / 127.5, -1)
    assert upsampling.size == (7, 7) and base.input_shape == (None, 224, 224, 3)
    assert (dense.units, dense.activation, dropout.rate) == (256, keras.activations.relu, 0.5)
    assert (output.units, output.activation) == (10, keras.activations.softmax)
    assert model.count_params() == 22_329_898
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == 527_114


def test_training_the_whole_model_leaves_the_base_as_it_is(rng):
    model = build_inception((16, 16, 3), 3, weights=None, upsampling=5)
    before = model.get_layer("inception_v3").get_weights()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(rng.integers(0, 256, (8, 16, 16, 3)), rng.integers(0, 3, 8), batch_size=4, verbose=0)
    for a, b in zip(model.get_layer("inception_v3").get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_folding_changes_nothing_but_rounding(base, inputs):
    folded = fold(base)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
    assert not folded.trainable_weights
    assert close(folded.predict(inputs, verbose=0), base.predict(inputs, verbose=0), 1e-5)


@pytest.mark.parametrize("blocks", [1, 2, 10])
def test_the_two_parts_together_are_the_base(base, inputs, blocks):
    copy, lower, upper = split(base, blocks)
    assert close(upper.predict(lower.predict(inputs, verbose=0), verbose=0), base.predict(inputs, verbose=0), 1e-5)
    assert not lower.trainable_weights
    mixed = [layer.name for layer in upper.layers if layer.name in {f"mixed{i}" for i in range(inception.BLOCKS)}]
    assert mixed == [f"mixed{i}" for i in range(inception.BLOCKS - blocks, inception.BLOCKS)]


def test_only_the_convolutions_of_the_upper_part_train(base, inputs):
    copy, lower, upper = split(base, 1)
    model = keras.Sequential([keras.layers.Input((80, 80, 3)), lower, upper, keras.layers.GlobalAveragePooling2D()])
    lower_before, upper_before = lower.get_weights(), {id(v): v.numpy() for v in upper.weights}
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(inputs, np.ones((3, 2048)), epochs=2, verbose=0)
    for a, b in zip(lower.get_weights(), lower_before, strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = [layer.kernel for layer in upper.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(kernels) == 9
    for variable in upper.weights:
        changed = not np.array_equal(variable.numpy(), upper_before[id(variable)])
        assert changed == any(variable is kernel for kernel in kernels)
    shared = {id(variable) for variable in copy.weights}
    assert all(id(kernel) in shared for kernel in kernels)
