"""Optimizers by name."""

from typing import NamedTuple

from classify.training.optimizers.schedules import SCHEDULES


class Choice(NamedTuple):
    """An optimizer to choose.

    ``class_name`` is its class in ``keras.optimizers`` (Muon is this project's own), ``rate`` how many times Adam's
    learning rate suits it, ``arguments`` are its other settings.
    """

    class_name: str
    rate: float
    arguments: dict


OPTIMIZERS = {
    "adam": Choice("Adam", 1, {}),
    "sgd": Choice("SGD", 10, {"momentum": 0.9, "nesterov": True}),
    "rmsprop": Choice("RMSprop", 0.5, {}),
    "adagrad": Choice("Adagrad", 10, {}),
    "adadelta": Choice("Adadelta", 250, {}),
    "adamw": Choice("AdamW", 1, {}),
    "muon": Choice("Muon", 34, {}),
}


def make_optimizer(name, learning_rate, weight_decay=0.0, schedule="constant", steps=None):
    """Return a Keras optimizer; ``weight_decay`` is decoupled and applies to kernels alone.

    Biases and the scales of batch normalization are left out, as they do not make a function more complex.

    Args:
        name: in ``OPTIMIZERS``.
        learning_rate: the largest of the run.
        weight_decay: a step takes this share of a kernel away, times the learning rate.
        schedule: ``constant``; ``linear``, which falls from the largest to 0; or ``one-cycle``.
        steps: how many training steps the schedule is for.
    """
    import keras

    from classify.training.optimizers.muon import Muon

    choice = OPTIMIZERS[name]
    optimizer_class = Muon if name == "muon" else getattr(keras.optimizers, choice.class_name)
    rate = SCHEDULES[schedule](learning_rate, steps)
    optimizer = optimizer_class(rate, weight_decay=weight_decay, **choice.arguments)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
