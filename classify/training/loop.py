"""Compile, fit, and the float32 copy that is saved."""

import contextlib
import dataclasses
import math
import time

import keras

from classify.command import Problem, note
from classify.data import sources as data
from classify.inference.predictor import BATCH_SIZE
from classify.precision import choose
from classify.progress import TrainingProgress, duration
from classify.runs.folder import score
from classify.training.batches import one_hot, stream
from classify.training.muon import Muon

# Each optimizer's class, how many times the recipe's learning rate for Adam it takes, and its other settings.
OPTIMIZERS = {
    "adam": (keras.optimizers.Adam, 1, {}),
    "sgd": (keras.optimizers.SGD, 10, {"momentum": 0.9, "nesterov": True}),
    "rmsprop": (keras.optimizers.RMSprop, 0.5, {}),
    "adagrad": (keras.optimizers.Adagrad, 10, {}),
    "adadelta": (keras.optimizers.Adadelta, 250, {}),
    "adamw": (keras.optimizers.AdamW, 1, {}),
    "muon": (Muon, 34, {}),
}


@dataclasses.dataclass
class Outcome:
    """What ``fit`` did: one dictionary an epoch, the epoch that was kept (from 1), and whether Ctrl-C ended it."""

    history: list
    epoch: int
    interrupted: bool


def prepare(args, recipe):
    """Begin a training: read the data, settle the options, choose the arithmetic, and seed everything random.

    Returns (``Data``, the precision, the reason for it in a few words).
    """
    dataset = data.load(data.find(args.data, args.data_dir), args.validation, args.limit)
    settle(args, recipe, len(dataset.train))
    arithmetic, reason = choose(args.precision)
    note(dataset)
    keras.utils.set_random_seed(args.seed)
    return dataset, arithmetic, reason


def settle(args, recipe, images):
    """Give each option that was left out its value: the recipe's, or what suits the optimizer and so many images.

    ``recipe`` is a dictionary of options; its learning rate is Adam's. What it holds beyond options is added.
    """
    args.optimizer = args.optimizer or recipe.get("optimizer", "adam")
    _, factor, _ = OPTIMIZERS[args.optimizer]
    if args.learning_rate is None:
        args.learning_rate = factor * recipe["learning_rate"]
    if args.weight_decay is None:
        # Keras multiplies the decay by the learning rate: their product is what the recipe means.
        args.weight_decay = recipe["weight_decay"] / factor
    if args.batch_size is None:
        # A small data set gets smaller batches, as an epoch of a few steps would teach little.
        args.batch_size = min(recipe["batch_size"], max(16, images // 20))
    for name, value in recipe.items():
        if getattr(args, name, None) is None:
            setattr(args, name, value)


def compile_model(model, args, steps, learning_rate):
    """Compile ``model`` as ``args`` say: optimizer, weight decay and schedule over so many steps in all."""
    if args.schedule == "one-cycle":
        learning_rate = one_cycle(learning_rate, steps)
    elif args.schedule == "linear":
        learning_rate = keras.optimizers.schedules.PolynomialDecay(learning_rate, steps, end_learning_rate=0.0)
    optimizer = make_optimizer(args.optimizer, learning_rate, args.weight_decay)
    model.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])


def make_optimizer(name, learning_rate, weight_decay=0.0):
    """Return a Keras optimizer; ``weight_decay`` is decoupled and applies to kernels alone.

    Biases and the scales of batch normalization are left out, as they do not make a function more complex.
    """
    optimizer_class, _, settings = OPTIMIZERS[name]
    optimizer = optimizer_class(learning_rate, weight_decay=weight_decay, **settings)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def one_cycle(peak, steps, warmup=0.25):
    """Return a learning rate that rises linearly to ``peak`` over a share of the steps and falls to 0 as a cosine.

    After Smith & Topin (2018), arXiv:1708.07120: the rise lets the peak be high, the fall ends in a minimum.
    """
    rise = round(warmup * steps)
    return keras.optimizers.schedules.CosineDecay(0.0, steps - rise, warmup_target=peak, warmup_steps=rise)


@contextlib.contextmanager
def dtype_policy(precision):
    """Build layers under a precision, ``float32`` or ``bfloat16`` (float32 weights, bfloat16 arithmetic)."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def fit(model, batches, validation, epochs, run, early_stopping=None, after=None):
    """Train a compiled model and leave the best epoch's weights in it.

    Args:
        model: compiled with the metric ``accuracy``.
        batches: a ``Batches``.
        validation: a ``Split`` to choose the epoch on by accuracy; if it is empty the last epoch is kept.
        epochs: how many at most.
        run: the ``Run`` whose history.csv grows by a row an epoch.
        early_stopping: end after so many epochs without a better validation accuracy, if given.
        after: the ``Outcome`` of a first stage that this one goes on from, if any; the best epoch of both is kept.

    Ctrl-C ends the training with the best epoch so far.

    Raises:
        KeyboardInterrupt: Ctrl-C came before the end of the first epoch of all.
        Problem: no epoch ended with a finite loss.
    """
    validation_data = held_out(validation, batches) if len(validation) else None
    history = History(run, after)
    best = BestEpoch(history, model.get_weights() if after else None)
    callbacks = [StartEpoch(batches), history, best]
    if early_stopping and validation_data:
        callbacks.append(keras.callbacks.EarlyStopping("val_accuracy", patience=early_stopping, mode="max"))
    interrupted = False
    try:
        announce(model, batches, validation_data, epochs)
        with TrainingProgress(epochs, batches.num_batches, len(batches.split)) as progress:
            model.fit(
                stream(batches.__getitem__, batches.num_batches),
                epochs=epochs,
                validation_data=validation_data,
                callbacks=[*callbacks, progress],
                shuffle=False,
                verbose=0,
            )
    except KeyboardInterrupt:
        if best.weights is None:
            raise
        interrupted = True
    if best.weights is None:
        raise Problem("training diverged: the loss is no number; try a smaller --learning-rate")
    model.set_weights(best.weights)
    return Outcome(history.rows, best.epoch, interrupted)


def held_out(split, batches):
    """Return a ``Split`` as a ``tf.data.Dataset`` of (images, one-hot labels), in the size of the training's batches.

    Whatever has room to train on so many images can also classify them.
    """
    size = max(batches.batch_size, BATCH_SIZE)

    def batch(step):
        rows = slice(step * size, (step + 1) * size)
        return split.images[rows], one_hot(split.labels[rows], batches.classes)

    return stream(batch, math.ceil(len(split) / size))


def announce(model, batches, validation_data, epochs, steps=3):
    """Say how long the run will take, from a few timed training steps and one of validation; then undo them."""
    before = [variable.numpy() for variable in _state(model)]
    timer = Timer()
    batches.start_epoch(0)
    steps = min(steps, batches.num_batches - 1)
    model.fit(stream(batches.__getitem__, steps + 1), callbacks=[timer], shuffle=False, verbose=0)
    train = timer.seconds[-1] if steps == 0 else sum(timer.seconds[1:]) / steps  # the first compiles the step
    validate = 0.0
    if validation_data:
        model.evaluate(validation_data.take(1), verbose=0)
        start = time.perf_counter()
        model.evaluate(validation_data.take(1), verbose=0)
        validate = (time.perf_counter() - start) * len(validation_data)  # the last one may be smaller
    for variable, value in zip(_state(model), before, strict=True):
        variable.assign(value)
    seconds = epochs * (train * batches.num_batches + validate)
    note(f"{epochs} epochs will take about {duration(seconds)}; Ctrl-C keeps the best epoch so far\n")


def _state(model):
    """All that training changes: weights, the optimizer's averages and step, the states of random layers."""
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def float32_copy(model, build):
    """Return ``build()``, made under the float32 policy and not compiled, with the weights of ``model``.

    A compiled model's file holds the optimizer's state too, three times the size, and a bfloat16 one stays
    bfloat16 on a processor without it.
    """
    with dtype_policy("float32"):
        copy = build()
    copy.set_weights(model.get_weights())
    return copy


class StartEpoch(keras.callbacks.Callback):
    """Tells the batches which epoch begins."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.start_epoch(epoch)


class History(keras.callbacks.Callback):
    """Writes history.csv anew after each epoch, so that a killed run leaves it."""

    def __init__(self, run, after=None):
        super().__init__()
        self.run, self.rows = run, list(after.history) if after else []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs):
        results = {**logs, "learning_rate": float(self.model.optimizer.learning_rate)}
        results["seconds"] = time.perf_counter() - self.start
        self.rows.append({"epoch": len(self.rows) + 1, **{key: float(f"{x:.6g}") for key, x in results.items()}})
        self.run.save_history(self.rows)


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the best epoch in a ``History``, which comes before it, and ends a diverged training.

    ``weights`` are those of the best epoch that the history begins with, or None if it begins empty.
    """

    def __init__(self, history, weights=None):
        super().__init__()
        self.history, self.weights = history, weights
        self.epoch = max(history.rows, key=score)["epoch"] if history.rows else None

    def on_epoch_end(self, epoch, logs):
        results = self.history.rows[-1]
        if not all(math.isfinite(value) for value in results.values()):
            self.model.stop_training = True
        elif self.weights is None or score(results) > score(self.history.rows[self.epoch - 1]):
            self.epoch, self.weights = results["epoch"], self.model.get_weights()


class Timer(keras.callbacks.Callback):
    """Keeps the seconds of each training step."""

    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)
