"""What happens between training steps: the state is kept, and a person sees how it goes."""

import time

import keras
from rich.progress import BarColumn, TextColumn

from classify.progress import duration, live


class StateKeeper(keras.callbacks.Callback):
    """Keeps a ``TrainingState`` up to date and writes history.csv after each epoch, so that a killed run leaves it.

    It ends a training whose loss is no number, and one that has waited for ``patience`` epochs for a better validation
    accuracy, if a patience is given.
    """

    def __init__(self, state, run, patience=None):
        super().__init__()
        self.state, self.run, self.patience = state, run, patience

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.state.step = batch + 1

    def on_epoch_end(self, epoch, logs):
        results = {**logs, "learning_rate": float(self.model.optimizer.learning_rate)}
        results["seconds"] = time.perf_counter() - self.start
        finite = self.state.end_epoch({key: float(f"{value:.6g}") for key, value in results.items()})
        self.run.save_history(self.state.history)
        if not finite or (self.patience and self.state.waited >= self.patience):
            self.model.stop_training = True


class TrainingProgress(keras.callbacks.Callback):
    """A live bar with time left and images per second, and a line for each finished epoch, on standard error.

    Where standard error is no terminal, only the lines are written.
    """

    def __init__(self, epochs, steps, images):
        super().__init__()
        self.epochs, self.steps, self.images = epochs, steps, images
        self.bar = live(TextColumn("{task.description}"), BarColumn(bar_width=16), TextColumn("{task.fields[state]}"))

    def __enter__(self):
        self.bar.start()
        self.task = self.bar.add_task("", total=self.steps, state="")
        self.started = time.perf_counter()
        return self

    def __exit__(self, *error):
        self.bar.stop()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.epoch_started = time.perf_counter()
        self.bar.reset(self.task, description=self._number())

    def on_train_batch_end(self, batch, logs):
        done = batch + 1
        speed = self.images * done / self.steps / (time.perf_counter() - self.epoch_started)
        left = self._left(self.epoch + done / self.steps)
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

    def _left(self, epochs_done):
        passed = time.perf_counter() - self.started
        return f"{duration(passed / epochs_done * (self.epochs - epochs_done))} left"


class Timer(keras.callbacks.Callback):
    """Keeps the seconds of each training step."""

    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)
