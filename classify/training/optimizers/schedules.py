"""How the learning rate changes over a run."""


def constant(peak, steps):
    """Return ``peak``."""
    return peak


def linear(peak, steps):
    """Return a learning rate that falls linearly from ``peak`` to 0."""
    import keras

    return keras.optimizers.schedules.PolynomialDecay(peak, steps, end_learning_rate=0.0)


def one_cycle(peak, steps, warmup=0.25):
    """Return a learning rate that rises linearly to ``peak`` over a share of the steps and falls to 0 as a cosine.

    After Smith & Topin (2018), arXiv:1708.07120: the rise lets the peak be high, the fall ends in a minimum.
    """
    import keras

    rise = round(warmup * steps)
    return keras.optimizers.schedules.CosineDecay(0.0, steps - rise, warmup_target=peak, warmup_steps=rise)


SCHEDULES = {"constant": constant, "linear": linear, "one-cycle": one_cycle}
