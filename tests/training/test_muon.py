import keras
import numpy as np
import pytest

from classify.training.optimizers.muon import Muon, orthogonalize


@pytest.mark.parametrize("shape", [(40, 8), (8, 40), (16, 16)])
def test_orthogonalize_keeps_singular_vectors_and_levels_singular_values(shape, rng):
    left, _, right = np.linalg.svd(rng.normal(size=shape), full_matrices=False)
    matrix = (left * rng.uniform(1, 9, min(shape)) @ right).astype("float32")
    result = np.asarray(orthogonalize(keras.ops.convert_to_tensor(matrix)))
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    levelled = left.T @ result @ right.T
    assert result.dtype == np.float32
    assert values.max() / values.min() > 2
    assert (np.diag(levelled) > 0.4).all() and (np.diag(levelled) < 1.6).all()
    assert abs(levelled - np.diag(np.diag(levelled))).max() < 0.1


def test_a_kernel_turns_by_the_learning_rate_and_keeps_its_norm(rng):
    kernel = keras.Variable(rng.normal(size=(3, 3, 4, 6)).astype("float32"), name="kernel")
    before = kernel.numpy() / np.linalg.norm(kernel.numpy()) * 6**0.5
    Muon(0.06).apply([keras.ops.convert_to_tensor(rng.normal(size=(3, 3, 4, 6)).astype("float32"))], [kernel])
    turned = np.linalg.norm(kernel.numpy() - before)
    assert 0.6 < turned / (0.06 * 6**0.5) < 1.4


def test_the_size_of_a_kernels_gradient_does_not_matter(rng):
    gradient = rng.normal(size=(3, 3, 4, 6)).astype("float32")
    results = []
    for size in (1e-4, 1e4):
        kernel = keras.Variable(np.ones((3, 3, 4, 6), "float32"), name="kernel")
        Muon(0.6).apply([keras.ops.convert_to_tensor(gradient * size)], [kernel])
        results.append(kernel.numpy())
    np.testing.assert_allclose(results[0], results[1], atol=0.02)  # bfloat16 has three digits


@pytest.mark.parametrize(("name", "rate"), [("beta", 310), ("kernel", 0.06), ("bias", 0.06)])
def test_all_else_learns_by_sgd_at_a_rate_of_its_own(rng, name, rate):
    values, gradient = rng.normal(size=(2, 5, 3)).astype("float32")
    results = []
    for optimizer in (Muon(0.01, decay=0.0), keras.optimizers.SGD(0.01 * rate, momentum=0.85, nesterov=True)):
        variable = keras.Variable(values, name=name)
        for _ in range(3):
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        results.append(variable.numpy())
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-6)


def test_what_no_gradient_holds_decays():
    variable = keras.Variable(np.ones(4, "float32"), name="beta")
    Muon(0.5, decay=0.006).apply([keras.ops.zeros(4)], [variable])
    np.testing.assert_allclose(variable.numpy(), 1 - 0.5 * 0.006 * (1 + 0.85), rtol=1e-5)


def test_the_scales_of_batch_normalization_stay():
    variable = keras.Variable(np.full(4, 1.7, "float32"), name="gamma")
    Muon(0.5).apply([keras.ops.ones(4)], [variable])
    np.testing.assert_array_equal(variable.numpy(), np.float32(1.7))


@pytest.mark.parametrize(("name", "shape"), [("embeddings", (4, 3)), ("weights", (3, 3, 4, 6))])
def test_a_variable_that_it_does_not_know_is_an_error(name, shape):
    variable = keras.Variable(np.ones(shape, "float32"), name=name)
    with pytest.raises(ValueError, match=f"no learning rate for .*{name}"):
        Muon().apply([keras.ops.ones(shape)], [variable])


def test_its_constants_are_arguments_that_its_configuration_holds():
    chosen = {"kernel_momentum": 0.5, "steps": 5, "rates": {"bias": 2}, "decay": 0.1}
    config = Muon(0.3, **chosen).get_config()
    assert {name: config[name] for name in chosen} == chosen
    again = Muon.from_config(config)
    variable = keras.Variable(np.ones(4, "float32"), name="bias")
    again.apply([keras.ops.ones(4)], [variable])
    np.testing.assert_allclose(variable.numpy(), 1 - 0.3 * (2 + 0.1) * (1 + 0.85), rtol=1e-5)
