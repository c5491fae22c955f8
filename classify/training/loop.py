"""Fit a compiled model and keep its best epoch."""

import contextlib
import math
import time

import keras
import numpy as np

from classify.backends import backend
from classify.command import Problem, note
from classify.inference.predictor import BATCH_SIZE
from classify.progress import duration
from classify.training.batches import one_hot
from classify.training.callbacks import StateKeeper, Timer, TrainingProgress
from classify.training.state import TrainingState


@contextlib.contextmanager
def dtype_policy(precision):
    """Build layers under a precision, ``float32`` or ``bfloat16`` (float32 weights, bfloat16 arithmetic)."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def fit(model, batches, validation, epochs, run, patience=None, stage="network", after=None):
    """Train a compiled model and leave the best epoch's weights in it; return the ``TrainingState`` at the end.

    Args:
        model: compiled with the metric ``accuracy``.
        batches: a ``Batches``.
        validation: a ``Split`` to choose the epoch on by accuracy; if it is empty the last epoch is kept.
        epochs: how many at most.
        run: the ``Run`` whose history.csv grows by a row an epoch.
        patience: end after so many epochs without a better validation accuracy, if given.
        stage: what is trained, for the state.
        after: the ``TrainingState`` at the end of a former stage, if any; the best epoch of both is kept.

    Ctrl-C ends the training with the best epoch so far. Before and after it waits, as ``run.interrupts`` says.

    Raises:
        KeyboardInterrupt: Ctrl-C came before the end of the first epoch of all.
        Problem: no epoch ended with a finite loss.
    """
    state = after.next_stage(model, stage) if after else TrainingState(model, stage)
    validated = len(validation) > 0
    validation_batches = validation_stream(validation, batches) if validated else None
    steps = batches.num_batches
    try:
        run.interrupts.release()
        announce(state, batches, validation_batches, epochs)
        keeper = StateKeeper(state, run, patience if validated else None)
        with TrainingProgress(epochs, steps, len(batches.split)) as progress:
            model.fit(
                backend.stream(lambda number: batches.batch(*divmod(int(number), steps)), epochs * steps),
                epochs=epochs,
                steps_per_epoch=steps,
                validation_data=validation_batches,
                callbacks=[keeper, progress],
                shuffle=False,
                verbose=0,
            )
        run.interrupts.hold()
    except KeyboardInterrupt:
        if state.best_weights is None:
            raise
        state.interrupted = True
    if state.best_weights is None:
        raise Problem("training diverged: the loss is no number; try a smaller --learning-rate")
    model.set_weights(state.best_weights)
    return state


def validation_stream(split, batches):
    """Return a stream of a ``Split``'s (images, one-hot labels), in batches of the training's size or larger.

    Whatever has room to train on so many images can also classify them.
    """
    size = max(batches.batch_size, BATCH_SIZE)

    def batch(step):
        rows = np.arange(step * size, min((step + 1) * size, len(split)))
        return split.images[rows], one_hot(split.labels[rows], batches.classes)

    return backend.stream(batch, math.ceil(len(split) / size))


def announce(state, batches, validation_batches, epochs, steps=3):
    """Say how long the run will take, from a few timed training steps and one of validation; then undo them."""
    model, before = state.model, [variable.numpy() for variable in state.variables]
    timer = Timer()
    steps = min(steps, batches.num_batches - 1)
    trial = backend.stream(lambda step: batches.batch(0, int(step)), steps + 1)
    model.fit(trial, callbacks=[timer], shuffle=False, verbose=0)
    train = timer.seconds[-1] if steps == 0 else sum(timer.seconds[1:]) / steps  # the first compiles the step
    validate = 0.0
    if validation_batches:
        model.evaluate(validation_batches.take(1), verbose=0)
        start = time.perf_counter()
        model.evaluate(validation_batches.take(1), verbose=0)
        validate = (time.perf_counter() - start) * len(validation_batches)  # the last one may be smaller
    for variable, value in zip(state.variables, before, strict=True):
        variable.assign(value)
    model.reset_metrics()
    seconds = epochs * (train * batches.num_batches + validate)
    note(f"{epochs} epochs will take about {duration(seconds)}; Ctrl-C keeps the best epoch so far\n")


def float32_copy(model, build):
    """Return ``build()``, made under the float32 policy and not compiled, with the weights of ``model``.

    A compiled model's file holds the optimizer's state too, three times the size, and a bfloat16 one stays
    bfloat16 on a processor without it.
    """
    with dtype_policy("float32"):
        copy = build()
    copy.set_weights(model.get_weights())
    return copy
