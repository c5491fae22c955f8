"""The Muon optimizer, for the kernels of convolutions."""

import math

import keras
from keras import ops

KERNEL_RATE = 60  # a kernel's learning rate as a multiple of Adam's
MOMENTUM = 0.6
STEPS = 3
COEFFICIENTS = 3.4445, -4.7750, 2.0315


class Muon(keras.optimizers.Adam):
    """Adam, except that the kernel of a convolution takes steps that are equally long in all directions.

    A gradient pulls hardest along a few directions that many images share, and the rare ones starve. Muon takes the
    gradient with Nesterov momentum as a matrix of (inputs, filters) and sets all its singular values to about one.
    Each kernel also keeps the norm that one unit vector a filter has, since the batch normalization after it cancels
    its size: so the learning rate is the share of the kernel that a step turns.

    After Jordan et al. 2024, https://kellerjordan.github.io/posts/muon, with the constants of airbench94_muon, there
    for batches of 2,000 images. ``learning_rate`` is Adam's for biases, scales and Dense layers.
    """

    def update_step(self, gradient, variable, learning_rate):
        if len(variable.shape) != 4:
            super().update_step(gradient, variable, learning_rate)
            return
        kernel, gradient = ops.convert_to_tensor(variable), ops.cast(gradient, variable.dtype)
        momentum = self._momentums[self._get_variable_index(variable)]
        self.assign(momentum, MOMENTUM * momentum + gradient)
        direction = ops.reshape(gradient + MOMENTUM * momentum, (-1, kernel.shape[-1]))
        step = ops.reshape(orthogonalize(direction), kernel.shape)
        norm = math.sqrt(kernel.shape[-1])
        kernel = kernel * (norm / ops.sqrt(ops.sum(ops.square(kernel))))
        self.assign(variable, kernel - KERNEL_RATE * ops.cast(learning_rate, kernel.dtype) * step)


def orthogonalize(matrix):
    """Return a matrix with the singular vectors of this one, its singular values between about 0.5 and 1.5.

    A Newton-Schulz iteration of fifth order, whose coefficients are chosen to raise small singular values fast
    rather than to converge; in bfloat16, which is precise enough for a direction.
    """
    rows, columns = matrix.shape
    a, b, c = COEFFICIENTS
    result = ops.cast(matrix / (ops.sqrt(ops.sum(ops.square(matrix))) + 1e-7), "bfloat16")
    result = result if rows >= columns else ops.transpose(result)  # the smaller square is the cheaper one
    for _ in range(STEPS):
        square = ops.matmul(ops.transpose(result), result)
        result = a * result + ops.matmul(result, b * square + c * ops.matmul(square, square))
    result = result if rows >= columns else ops.transpose(result)
    return ops.cast(result, matrix.dtype)
