"""Optimizers by name, and how their learning rate changes over a run."""

from typing import NamedTuple


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

    from classify.training.muon import Muon

    choice = OPTIMIZERS[name]
    optimizer_class = Muon if name == "muon" else getattr(keras.optimizers, choice.class_name)
    rate = SCHEDULES[schedule](learning_rate, steps)
    optimizer = optimizer_class(rate, weight_decay=weight_decay, **choice.arguments)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def one_cycle(peak, steps, warmup=0.25):
    """Return a learning rate that rises linearly to ``peak`` over a share of the steps and falls to 0 as a cosine.

    After Smith & Topin (2018), arXiv:1708.07120: the rise lets the peak be high, the fall ends in a minimum.
    """
    import keras

    rise = round(warmup * steps)
    return keras.optimizers.schedules.CosineDecay(0.0, steps - rise, warmup_target=peak, warmup_steps=rise)


def linear(peak, steps):
    """Return a learning rate that falls linearly from ``peak`` to 0."""
    import keras

    return keras.optimizers.schedules.PolynomialDecay(peak, steps, end_learning_rate=0.0)


SCHEDULES = {"constant": lambda peak, steps: peak, "linear": linear, "one-cycle": one_cycle}
