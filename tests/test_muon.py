import keras
import numpy as np
import pytest

from classify.muon import KERNEL_RATE, Muon, orthogonalize


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
    Muon(0.001).apply([keras.ops.convert_to_tensor(rng.normal(size=(3, 3, 4, 6)).astype("float32"))], [kernel])
    turned = np.linalg.norm(kernel.numpy() - before)
    assert 0.6 < turned / (KERNEL_RATE * 0.001 * 6**0.5) < 1.4


def test_the_size_of_a_kernels_gradient_does_not_matter(rng):
    gradient = rng.normal(size=(3, 3, 4, 6)).astype("float32")
    results = []
    for size in (1e-4, 1e4):
        kernel = keras.Variable(np.ones((3, 3, 4, 6), "float32"), name="kernel")
        Muon(0.01).apply([keras.ops.convert_to_tensor(gradient * size)], [kernel])
        results.append(kernel.numpy())
    np.testing.assert_allclose(results[0], results[1], atol=0.02)  # bfloat16 has three digits


def test_all_other_variables_are_adams(rng):
    values, gradient = rng.normal(size=(2, 5, 3)).astype("float32")
    results = []
    for optimizer in (Muon(0.01), keras.optimizers.Adam(0.01)):
        variable = keras.Variable(values, name="kernel")
        for _ in range(3):
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        results.append(variable.numpy())
    np.testing.assert_array_equal(*results)
