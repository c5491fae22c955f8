import keras
import numpy as np
import pytest

from classify import environment
from classify.backends import tensorflow
from classify.backends.tensorflow import Activation, BatchNormalization, Conv2D, stream
from classify.training.loop import dtype_policy


@pytest.fixture
def layers(rng):
    """A Keras layer and the fused one, with the same weights."""
    pair = keras.layers.BatchNormalization(momentum=0.7), BatchNormalization(momentum=0.7)
    weights = [rng.uniform(0.5, 2, 5).astype("float32") for _ in range(4)]
    for layer in pair:
        layer.build((None, 6, 6, 5))
        layer.set_weights(weights)
    return pair


def test_same_result_moving_statistics_and_gradients_in_training(layers, rng):
    import tensorflow as tf

    inputs = tf.constant(rng.normal(2, 3, (4, 6, 6, 5)).astype("float32"))
    outputs, gradients = [], []
    for layer in layers:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            result = layer(inputs, training=True)
            loss = tf.reduce_sum(result**3)
        outputs.append(result)
        gradients.append(tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value]))
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-5)
    for fused, plain in zip(gradients[1], gradients[0], strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-3, atol=2e-3)
    for fused, plain in zip(layers[1].get_weights(), layers[0].get_weights(), strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-5)


def test_tanh_follows_a_normalized_convolution(rng):
    """In float32 TensorFlow joined the three to one operation that it does not have."""
    inputs = rng.normal(0, 1, (4, 6, 6, 3)).astype("float32")
    layers = [keras.layers.Conv2D(2, 3, use_bias=False), BatchNormalization(), keras.layers.Activation("tanh")]
    model = keras.Sequential([keras.layers.Input((6, 6, 3)), *layers])
    expected = np.tanh(keras.Sequential(model.layers[:2])(inputs))
    np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, atol=1e-5)


def test_same_result_in_inference_and_nothing_moves(layers, rng):
    inputs = rng.normal(2, 3, (4, 6, 6, 5)).astype("float32")
    before = layers[1].get_weights()
    np.testing.assert_allclose(layers[1](inputs, training=False), layers[0](inputs, training=False), atol=1e-5)
    np.testing.assert_array_equal(before, layers[1].get_weights())


def test_a_frozen_layer_uses_and_keeps_its_moving_statistics(layers, rng):
    inputs = rng.normal(2, 3, (4, 6, 6, 5)).astype("float32")
    layers[1].trainable = False
    before = layers[1].get_weights()
    np.testing.assert_allclose(layers[1](inputs, training=True), layers[0](inputs, training=False), atol=1e-5)
    np.testing.assert_array_equal(before, layers[1].get_weights())


def test_bfloat16_in_and_out_with_float32_weights():
    with dtype_policy("bfloat16"):
        model = keras.Sequential([keras.layers.Input((6, 6, 5)), BatchNormalization()])
    assert model.outputs[0].dtype == "bfloat16"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model(np.ones((2, 6, 6, 5)), training=True).dtype == "bfloat16"


def gradients(layer, inputs, upstream):
    """Return what a layer answers, and the gradients of its inputs and of its weights."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs)
    return outputs, *tape.gradient(outputs, [inputs, *(weight.value for weight in layer.trainable_weights)], upstream)


@pytest.mark.parametrize("name", ["silu", "relu", "gelu"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_activation_has_its_gradient(name, dtype, rng):
    import tensorflow as tf

    inputs, upstream = (tf.cast(rng.normal(0, 3, (5, 6, 6, 4)), dtype) for _ in range(2))
    expected = gradients(keras.layers.Activation(name), tf.cast(inputs, "float32"), tf.cast(upstream, "float32"))
    found = gradients(Activation(name, dtype=dtype), inputs, upstream)
    for mine, keras_own in zip(found, expected, strict=True):
        assert mine.dtype == dtype
        np.testing.assert_allclose(
            tf.cast(mine, "float32"), keras_own, rtol=1e-5 if dtype == "float32" else 0.02, atol=0.02
        )


def test_silu_of_extreme_numbers_has_a_gradient():
    import tensorflow as tf

    numbers = tf.constant([-1e30, -200.0, 0.0, 200.0, 1e30])
    _, found = gradients(Activation("silu"), numbers, tf.ones(5))
    np.testing.assert_allclose(found, [0, 0, 0.5, 1, 1], atol=1e-6)


def test_without_xla_keras_makes_the_gradient(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.test, "is_built_with_xla", lambda: False)
    monkeypatch.setattr(tensorflow, "_silu", None)
    _, found = gradients(Activation("silu"), tf.constant([0.0, 200.0]), tf.ones(2))
    np.testing.assert_allclose(found, [0.5, 1], atol=1e-6)


FLAGS = {"old": ["avx512_bf16"], "amx": ["avx512_bf16", "amx_bf16"], "none": []}


@pytest.mark.parametrize("side", [(7, 7), (3, 5), (1, 2)])
def test_products_are_the_gradient_of_a_kernel(side, rng, monkeypatch):
    """In float32, as some processors sum bfloat16 products in bfloat16."""
    import tensorflow as tf

    layer = keras.layers.Conv2D(5, 3, padding="same", use_bias=False)
    layer.build((None, *side, 4))
    inputs = tf.constant(rng.normal(0, 1, (6, *side, 4)).astype("float32"))
    upstream = tf.constant(rng.normal(0, 1, (6, *side, 5)).astype("float32"))
    expected = gradients(layer, inputs, upstream)
    monkeypatch.setattr(layer, "convolution_op", lambda inputs, kernel: tensorflow._convolution(inputs, kernel.value))
    for mine, keras_own in zip(gradients(layer, inputs, upstream), expected, strict=True):
        np.testing.assert_allclose(mine, keras_own, rtol=1e-4, atol=1e-4)


def test_products_in_bfloat16_have_its_type(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(environment, "cpu_flags", lambda: FLAGS["old"])
    layer = Conv2D(64, 3, padding="same", use_bias=False, dtype="mixed_bfloat16")
    outputs, to_inputs, to_kernel = gradients(
        layer, tf.ones((2, 1, 1, 64), "bfloat16"), tf.ones((2, 1, 1, 64), "bfloat16")
    )
    assert (outputs.dtype, to_inputs.dtype, to_kernel.dtype) == (tf.bfloat16, tf.bfloat16, tf.float32)
    assert np.unique(to_kernel[1, 1]) == [2] and np.count_nonzero(to_kernel) == 64 * 64


def products(layer, inputs):
    """Return how many matrix products the gradient of a layer's kernel takes."""
    import tensorflow as tf

    @tf.function
    def gradient(inputs):
        return gradients(layer, inputs, None)[2]

    graph = gradient.get_concrete_function(inputs).graph
    return sum(operation.type == "MatMul" for operation in graph.get_operations())


@pytest.mark.parametrize(
    ("processor", "expected", "side", "filters", "dtype", "settings"),
    [
        ("old", 9, (5, 5), 64, "mixed_bfloat16", {}),
        ("amx", 0, (5, 5), 64, "mixed_bfloat16", {}),
        ("none", 0, (5, 5), 64, "mixed_bfloat16", {}),
        ("old", 0, (9, 9), 64, "mixed_bfloat16", {}),
        ("old", 0, (5, 5), 32, "mixed_bfloat16", {}),
        ("old", 0, (5, 5), 64, "float32", {}),
        ("old", 0, (5, 5), 64, "mixed_bfloat16", {"strides": 2}),
        ("old", 0, (5, 5), 64, "mixed_bfloat16", {"dilation_rate": 2}),
        ("old", 0, (5, 5), 64, "mixed_bfloat16", {"kernel_size": 5}),
    ],
)
def test_products_stand_where_they_are_faster(processor, expected, side, filters, dtype, settings, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(environment, "cpu_flags", lambda: FLAGS[processor])
    layer = Conv2D(filters, **({"kernel_size": 3} | settings), padding="same", dtype=dtype)
    assert products(layer, tf.zeros((2, *side, 64), layer.compute_dtype)) == expected


def test_images_of_any_size_take_the_routine(monkeypatch):
    monkeypatch.setattr(environment, "cpu_flags", lambda: FLAGS["old"])
    layer = Conv2D(64, 3, padding="same", dtype="mixed_bfloat16")
    model = keras.Sequential([keras.layers.Input((None, None, 64)), layer])
    assert model(np.ones((2, 5, 4, 64), "float32"), training=True).shape == (2, 5, 4, 64)


def test_stream_reads_each_batch_once_without_autotuning():
    """Autotuning's thread is waited for at the end of an epoch, up to twice its time."""
    seen = []

    def batch(step, part):
        seen.append(int(step))
        return np.full((3 - step, 2), step, "uint8")[part], np.full(3 - step, step / 2, "float32")[part]

    dataset = stream(batch, 3, lambda step: 3 - step)
    seen.clear()
    batches = list(dataset.as_numpy_iterator())
    assert seen == [0, 1, 2] and len(dataset) == 3 and dataset.options().autotune.enabled is False
    for step, (images, labels) in enumerate(batches):
        np.testing.assert_array_equal(images, batch(step, slice(None))[0])
        np.testing.assert_array_equal(labels, batch(step, slice(None))[1])
        assert (images.dtype, labels.dtype) == ("uint8", "float32")
