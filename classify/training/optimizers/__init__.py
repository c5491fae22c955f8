"""Optimizers by name."""

import importlib
from typing import NamedTuple

from classify.training.optimizers.schedules import SCHEDULES


class Choice(NamedTuple):
    """An optimizer to choose.

    ``class_name`` is its class in ``module``, ``rate`` how many times Adam's learning rate suits it, ``arguments`` are
    its other settings.
    """

    class_name: str
    rate: float
    arguments: dict
    module: str = "keras.optimizers"


OPTIMIZERS = {
    "adam": Choice("Adam", 1, {}),
    "sgd": Choice("SGD", 10, {"momentum": 0.9, "nesterov": True}),
    "rmsprop": Choice("RMSprop", 0.5, {}),
    "adagrad": Choice("Adagrad", 10, {}),
    "adadelta": Choice("Adadelta", 250, {}),
    "adamw": Choice("AdamW", 1, {}),
    "muon": Choice("Muon", 24, {}, "classify.training.optimizers.muon"),
}


def make_optimizer(name, learning_rate, weight_decay=0.0, schedule="constant", steps=None):
    """Return a Keras optimizer; ``weight_decay`` is decoupled and applies to kernels alone.

    Biases and the scales of batch normalization are left out, as they do not make a function more complex.

    Args:
        name: in ``OPTIMIZERS``.
        learning_rate: the largest of the run.
        weight_decay: each step makes a kernel smaller by ``weight_decay`` times ``learning_rate`` of its value.
        schedule: ``constant``; ``linear``, which falls from the largest to 0; or ``one-cycle``.
        steps: how many training steps the schedule is for.
    """
    choice = OPTIMIZERS[name]
    optimizer_class = getattr(importlib.import_module(choice.module), choice.class_name)
    rate = SCHEDULES[schedule](learning_rate, steps)
    optimizer = optimizer_class(rate, weight_decay=weight_decay, **choice.arguments)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
