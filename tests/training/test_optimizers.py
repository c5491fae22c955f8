import keras
import numpy as np
import pytest

from classify.training.optimizers import OPTIMIZERS, make_optimizer
from classify.training.optimizers.muon import Muon


def rates(schedule, peak, steps):
    """The learning rate at each step of a run."""
    rate = make_optimizer("sgd", peak, schedule=schedule, steps=steps)._learning_rate
    return [float(rate(step)) for step in range(steps + 1)]


def test_one_cycle_rises_to_its_peak_and_falls_to_zero():
    values = rates("one-cycle", 0.4, 100)
    assert values[0] == 0 and values[5] == pytest.approx(0.08) and values[100] == pytest.approx(0, abs=1e-6)
    assert max(values) == pytest.approx(0.4) and int(np.argmax(values)) == 25
    assert values[62] == pytest.approx(0.2, abs=0.01)


def test_linear_falls_to_zero():
    values = rates("linear", 0.4, 100)
    assert values[0] == pytest.approx(0.4) and values[50] == pytest.approx(0.2) and values[100] == 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_takes_a_step_and_decays_kernels_alone(name):
    optimizer = make_optimizer(name, 0.1, weight_decay=0.5)
    assert isinstance(optimizer, Muon if name == "muon" else getattr(keras.optimizers, OPTIMIZERS[name].class_name))
    if name == "muon":
        optimizer.decay = 0.0  # a decay of its own, whatever the weight decay
    variables = [keras.Variable(np.ones(3), name=n) for n in ("kernel", "bias", "gamma", "beta")]
    optimizer.apply([keras.ops.zeros(3)] * 4, variables)
    assert variables[0].numpy().max() < 1
    for variable in variables[1:]:
        np.testing.assert_array_equal(variable.numpy(), 1)
