"""Fit a compiled model and keep its best epoch."""

import contextlib
import math
import time

import keras
import numpy as np

from classify.backends import backend
from classify.command import Problem, interrupted_status, note, printable
from classify.distribution.watchdog import watchdog
from classify.inference.predictor import BATCH_SIZE
from classify.progress import duration
from classify.training.batches import one_hot
from classify.training.callbacks import Diverged, StateKeeper, Timer, TrainingProgress
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

    A run that is gone on with goes on from its checkpoint. If that is of a later stage, there is nothing to do here.

    A signal ends the training after the step under way with the best epoch so far. None is let into a step: what it
    raises there could come out of TensorFlow as another error.

    Raises:
        KeyboardInterrupt: a signal came before the end of the first epoch of all.
        Problem: no epoch ended with a finite loss.
    """
    state = after.next_stage(model, stage) if after else TrainingState(model, stage)
    if run.saved and run.saved[0]["stage"] != stage:
        return state
    with watchdog, backend.spread(model, run.devices):
        _fit(state, batches, validation, epochs, run, patience)
    model.set_weights(state.best_weights)
    return state


def _fit(state, batches, validation, epochs, run, patience):
    validated = len(validation) > 0
    validation_batches = validation_stream(validation, batches) if validated else None
    steps = batches.num_batches
    keeper = StateKeeper(state, run, epochs, steps, patience if validated else None)
    try:
        left = epochs - (run.saved[0]["epoch"] if run.saved else 0)
        announce(state, batches, validation_batches, left, run.interrupts.check)
        run.interrupts.check()
        begin(state, run, keeper)
        with TrainingProgress(state, epochs, steps, len(batches.split)) as progress:
            while not keeper.done:
                train(state, batches, validation_batches, epochs, [keeper, progress])
    except KeyboardInterrupt as error:
        if run.saved:
            raise  # nothing is taken from the checkpoint yet, so it is as good as before
        state.interrupted = interrupted_status(error)
        if state.best_weights is None:
            if state.interrupted == 130 and not (state.epoch or state.step):
                run.checkpoints.remove()  # the user does not want this run; a machine that stops may go on with it
            raise
    except Diverged as error:
        diverged = f"training diverged {error}: the loss is no number; try a smaller --learning-rate"
        if state.best_weights is None:
            run.checkpoints.remove()  # it would end the same way
            run.save_history(state.history)
            raise Problem(diverged) from error
        note(f"\n{diverged}\nThe best epoch before is kept.")


def begin(state, run, keeper):
    """Let a stage begin with a checkpoint: the one that the run goes on from, or a new one."""
    if run.saved is None:
        keeper.save()
        return
    (description, arrays, saved), run.saved = run.saved, None
    state.restore(description, arrays)
    if state.history:
        run.save_history(state.history)
    place = f"epoch {min(state.epoch + 1, keeper.epochs)}, step {state.step} of {keeper.steps}"
    note(f"{printable(run.folder)}   from {place}, saved {duration(max(0, time.time() - saved))} ago\n")


def train(state, batches, validation_batches, epochs, callbacks):
    """Train to the end; where the state is within an epoch, to the end of that one."""
    steps, last = batches.num_batches, state.epoch + 1 if state.step else epochs
    first = state.epoch * steps + state.step
    state.model.fit(
        training_stream(batches, first, last * steps - first),
        initial_epoch=state.epoch,
        epochs=last,
        steps_per_epoch=steps - state.step,
        validation_data=validation_batches,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )


def training_stream(batches, first, steps):
    """Return a stream of so many of the ``Batches``, from step ``first`` on, counted from the begin of the training."""

    def place(number):
        return divmod(first + int(number), batches.num_batches)

    def batch(number, part):
        arrays = batches.batch(*place(number), part)
        watchdog.step()
        return arrays

    return backend.stream(batch, steps, lambda number: len(batches.rows(*place(number))))


def validation_stream(split, batches):
    """Return a stream of a ``Split``'s (images, one-hot labels), in batches of the training's size or larger.

    Whatever has room to train on so many images can also classify them.
    """
    size = max(batches.batch_size, BATCH_SIZE)

    def rows(step):
        return np.arange(step * size, min((step + 1) * size, len(split)))

    def batch(step, part):
        mine = rows(step)[part]
        watchdog.step()
        return split.images[mine], one_hot(split.labels[mine], batches.classes)

    return backend.stream(batch, math.ceil(len(split) / size), lambda step: len(rows(step)))


def announce(state, batches, validation_batches, epochs, pause=lambda: None, steps=3):
    """Say how long the run will take, from a few timed training steps and one of validation; then undo them.

    ``pause`` is called before each training step.
    """
    model, before = state.model, [variable.numpy() for variable in state.variables]
    timer = Timer(pause)
    steps = min(steps, batches.num_batches - 1)
    trial = training_stream(batches, 0, steps + 1)
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
    if epochs:
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
