"""The Muon optimizer, for the kernels of convolutions."""

import math

import keras
from keras import ops

MOMENTUM = 0.6
STEPS = 3
COEFFICIENTS = 3.4445, -4.7750, 2.0315
# All but the kernels of convolutions learn by SGD: its learning rates as multiples of Muon's by a variable's name, and
# the share of a value that a step at learning rate 1 takes away.
SGD_RATES = {"beta": 310, "kernel": 0.06, "bias": 0.06}
DECAY = 0.006


class Muon(keras.optimizers.SGD):
    """SGD, except that the kernel of a convolution takes steps that are equally long in all directions.

    A gradient pulls hardest along a few directions that many images share, and the rare ones starve. Muon takes the
    gradient with Nesterov momentum as a matrix of (inputs, filters) and sets all its singular values to about one.
    Each kernel also keeps the norm that one unit vector a filter has, since the batch normalization after it cancels
    its size: so ``learning_rate`` is the share of the kernel that a step turns. The shifts of a batch normalization
    learn fast, and its scales stay. ``momentum`` is that of SGD.

    After Jordan et al. 2024, https://kellerjordan.github.io/posts/muon, with the constants of airbench94_muon, here for
    the mean loss of 500 images instead of the summed loss of 2,000.
    """

    def __init__(self, learning_rate=0.17, momentum=0.85, **settings):
        super().__init__(learning_rate, momentum, **settings)

    def build(self, variables):
        super().build(variables)
        self.names = [variable.name for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        momentum, value = self.momentums[index], ops.convert_to_tensor(variable)
        gradient, rate = ops.cast(gradient, value.dtype), ops.cast(learning_rate, value.dtype)
        if len(value.shape) == 4:
            self.assign(momentum, MOMENTUM * momentum + gradient)
            direction = ops.reshape(gradient + MOMENTUM * momentum, (-1, value.shape[-1]))
            step = ops.reshape(orthogonalize(direction), value.shape)
            norm = math.sqrt(value.shape[-1])
            self.assign(variable, value * (norm / ops.sqrt(ops.sum(ops.square(value)))) - rate * step)
        elif self.names[index] in SGD_RATES:
            gradient = SGD_RATES[self.names[index]] * gradient + DECAY * value
            self.assign(momentum, self.momentum * momentum + gradient)
            self.assign(variable, value - rate * (gradient + self.momentum * momentum))


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
