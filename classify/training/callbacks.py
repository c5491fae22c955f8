"""What happens between training steps: the state is kept, and a person sees how it goes."""

import math
import time

import keras
from rich.progress import BarColumn, TextColumn

from classify.progress import duration, live

# Seconds between two checkpoints. A checkpoint also waits for 50 times as long as the last one took to write.
EVERY = 30  # at the end of an epoch
WITHIN = 120  # within an epoch
PATIENCE = 50


class Diverged(Exception):
    """The loss is no finite number any more."""


class StateKeeper(keras.callbacks.Callback):
    """Keeps a ``TrainingState`` up to date, in history.csv after each epoch and in checkpoints.

    It ends a training that has waited for ``patience`` epochs for a better validation accuracy, if a patience is given.

    Args:
        state: the ``TrainingState``.
        run: the open ``Run``.
        epochs: how many at most, for the checkpoints.
        steps: of an epoch.
        patience: see above.

    Raises, while the model trains:
        KeyboardInterrupt: between two steps, if a signal waits; a checkpoint is saved before.
        Diverged: the loss is no number.
    """

    def __init__(self, state, run, epochs, steps, patience=None):
        super().__init__()
        self.state, self.run, self.epochs, self.steps, self.patience = state, run, epochs, steps, patience
        self.saved = -math.inf  # when
        self.cost = 0.0  # seconds that a checkpoint takes

    @property
    def done(self):
        """Whether the stage has come to its end."""
        return self.state.epoch >= self.epochs or bool(self.patience and self.state.waited >= self.patience)

    def on_epoch_begin(self, epoch, logs=None):
        self.state.restore_metrics()
        self.start = time.perf_counter() - self.state.seconds

    def on_train_batch_end(self, batch, logs):
        self.state.step += 1
        if not math.isfinite(logs["loss"]):
            raise Diverged(f"in epoch {self.state.epoch + 1}, step {self.state.step} of {self.steps}")
        if self.state.step < self.steps:  # after the last step comes the validation
            self.state.seconds = time.perf_counter() - self.start
            self.pause(WITHIN)

    def on_test_batch_end(self, batch, logs=None):
        if self.run.interrupts.signals > 1:  # the first one waits for the end of the validation
            self.run.interrupts.check()

    def on_epoch_end(self, epoch, logs):
        results = {**logs, "learning_rate": float(self.model.optimizer.learning_rate)}
        results["seconds"] = time.perf_counter() - self.start
        if not self.state.end_epoch({key: float(f"{value:.6g}") for key, value in results.items()}):
            raise Diverged(f"in the validation after epoch {self.state.epoch}")
        self.run.save_history(self.state.history)
        self.model.stop_training = self.done
        self.pause(EVERY)

    def pause(self, every):
        """Save a checkpoint if the last one is older than ``every`` seconds or a signal waits, which then ends it."""
        self.run.interrupts.agree()
        now = time.perf_counter()
        if self.run.interrupts.waiting or now - self.saved > max(every, PATIENCE * self.cost):
            self.save()
        self.run.interrupts.check()

    def save(self):
        """Save a checkpoint."""
        start = time.perf_counter()
        description, arrays = self.state.checkpoint()
        self.run.checkpoints.save(description | {"epochs": self.epochs, "run_seconds": self.run.seconds}, arrays)
        self.saved = time.perf_counter()
        self.cost = self.saved - start


class TrainingProgress(keras.callbacks.Callback):
    """A live bar with time left and images per second, and a line for each finished epoch, on standard error.

    Where standard error is no terminal, only the lines are written.
    """

    def __init__(self, state, epochs, steps, images):
        super().__init__()
        self.state, self.epochs, self.steps, self.images = state, epochs, steps, images
        self.bar = live(TextColumn("{task.description}"), BarColumn(bar_width=16), TextColumn("{task.fields[state]}"))

    def __enter__(self):
        self.bar.start()
        self.task = self.bar.add_task("", total=self.steps, state="")
        self.started = time.perf_counter()
        self.first = self._epochs_done()
        return self

    def __exit__(self, *error):
        self.bar.stop()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.epoch_started = time.perf_counter()
        self.bar.reset(self.task, description=self._number(), completed=self.state.step)

    def on_train_batch_end(self, batch, logs):
        done = self.state.step
        speed = self.images * (batch + 1) / self.steps / (time.perf_counter() - self.epoch_started)
        left = self._left(self._epochs_done())
        state = f"{speed:5,.0f} img/s  loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.3f}  {left}"
        self.bar.update(self.task, completed=done, state=state)

    def on_epoch_end(self, epoch, logs):
        scores = f"loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.3f}"
        if "val_accuracy" in logs:
            scores += f"  val {logs['val_accuracy']:.3f}"
        seconds = time.perf_counter() - self.epoch_started
        self.bar.console.print(f"{self._number()}  {scores}  {seconds:.0f} s  {self._left(epoch + 1)}")

    def _number(self):
        return f"epoch {self.epoch + 1:{len(str(self.epochs))}}/{self.epochs}"

    def _epochs_done(self):
        return self.state.epoch + self.state.step / self.steps

    def _left(self, epochs_done):
        passed = time.perf_counter() - self.started
        return f"{duration(passed / (epochs_done - self.first) * (self.epochs - epochs_done))} left"


class Timer(keras.callbacks.Callback):
    """Keeps the seconds of each training step; before it, ``pause`` is called."""

    def __init__(self, pause=lambda: None):
        super().__init__()
        self.pause = pause

    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        self.pause()
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)
