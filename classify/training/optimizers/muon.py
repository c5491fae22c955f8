"""The Muon optimizer, for the kernels of convolutions."""

import math

import keras
from keras import ops

COEFFICIENTS = 3.4445, -4.7750, 2.0315  # of the Newton-Schulz iteration, Jordan's
RATES = {"beta": 310, "kernel": 0.06, "bias": 0.06, "gamma": 0}


class Muon(keras.optimizers.SGD):
    """SGD, except that the kernel of a convolution takes steps that are equally long in all directions.

    A gradient pulls hardest along a few directions that many images share, and the rare ones starve. Muon takes the
    gradient with Nesterov momentum as a matrix of (inputs, filters) and sets all its singular values to about one.
    Each step scales the kernel back to a fixed norm, the square root of the number of filters. A kernel's size has no
    effect, because batch normalization follows. So ``learning_rate`` is how far a step moves a kernel, relative to its
    size.

    ``keras.optimizers.Muon`` does not serve here: it turns matrices alone, so the kernels of convolutions, which have
    four axes, would all learn by AdamW; it lets kernels grow; and its one rate for all other variables is far too small
    for the shifts of batch normalization, which must learn fast in a run of few steps.

    Args:
        learning_rate: how far a step moves a kernel, relative to its size; or a schedule of it.
        momentum: of the variables that learn by SGD.
        kernel_momentum: of the kernels of convolutions.
        steps: of the Newton-Schulz iteration.
        rates: the learning rate of each other variable by its name, in multiples of ``learning_rate``. A variable with
            the rate 0 stays as it is.
        decay: the weight decay of the variables that learn by SGD: ``decay * value`` is added to the gradient.

    After Jordan et al. 2024, https://kellerjordan.github.io/posts/muon, with the constants of airbench94_muon, here for
    the mean loss of 500 images instead of the summed loss of 2,000.

    Raises:
        ValueError: a variable is neither the kernel of a convolution nor named in ``rates``.
    """

    def __init__(
        self, learning_rate=0.12, momentum=0.85, kernel_momentum=0.6, steps=3, rates=None, decay=0.006, **settings
    ):
        super().__init__(learning_rate, momentum, **settings)
        self.kernel_momentum = kernel_momentum
        self.steps = steps
        self.rates = RATES if rates is None else rates
        self.decay = decay

    def build(self, variables):
        super().build(variables)
        self.variable_rates = [None if _is_convolution(variable) else self._rate(variable) for variable in variables]

    def _rate(self, variable):
        if variable.name not in self.rates:
            raise ValueError(f"Muon has no learning rate for {variable.path}; rates names {', '.join(self.rates)}")
        return self.rates[variable.name]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        momentum, value = self.momentums[index], ops.convert_to_tensor(variable)
        gradient, step_size = ops.cast(gradient, value.dtype), ops.cast(learning_rate, value.dtype)
        rate = self.variable_rates[index]
        if rate is None:
            self.assign(momentum, self.kernel_momentum * momentum + gradient)
            direction = ops.reshape(gradient + self.kernel_momentum * momentum, (-1, value.shape[-1]))
            step = ops.reshape(orthogonalize(direction, self.steps), value.shape)
            norm = math.sqrt(value.shape[-1])
            self.assign(variable, value * (norm / ops.sqrt(ops.sum(ops.square(value)))) - step_size * step)
        elif rate:
            gradient = rate * gradient + self.decay * value
            self.assign(momentum, self.momentum * momentum + gradient)
            self.assign(variable, value - step_size * (gradient + self.momentum * momentum))

    def get_config(self):
        own = {name: getattr(self, name) for name in ("kernel_momentum", "steps", "rates", "decay")}
        return super().get_config() | own


def orthogonalize(matrix, steps=3):
    """Return a matrix with the singular vectors of this one, its singular values between about 0.5 and 1.5.

    A Newton-Schulz iteration of fifth order, whose coefficients are chosen to raise small singular values fast
    rather than to converge. It computes in bfloat16, which is precise enough for a direction.
    """
    rows, columns = matrix.shape
    a, b, c = COEFFICIENTS
    result = ops.cast(matrix / (ops.sqrt(ops.sum(ops.square(matrix))) + 1e-7), "bfloat16")
    result = result if rows >= columns else ops.transpose(result)  # the smaller square is the cheaper one
    for _ in range(steps):
        square = ops.matmul(ops.transpose(result), result)
        result = a * result + ops.matmul(result, b * square + c * ops.matmul(square, square))
    result = result if rows >= columns else ops.transpose(result)
    return ops.cast(result, matrix.dtype)


def _is_convolution(variable):
    return variable.name == "kernel" and len(variable.shape) == 4
