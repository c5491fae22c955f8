"""What a person sees while a model trains."""

import time

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, track


class TrainingProgress(keras.callbacks.Callback):
    """A live bar with time left and images per second, and a line for each finished epoch, on standard error.

    Where standard error is no terminal, only the lines are written.
    """

    def __init__(self, epochs, steps, images):
        super().__init__()
        self.epochs, self.steps, self.images = epochs, steps, images
        self.console = Console(stderr=True, highlight=False)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[state]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

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
        self.console.print(f"{self._number()}  {scores}  {seconds:.0f} s  {self._left(epoch + 1)}")

    def _number(self):
        return f"epoch {self.epoch + 1:{len(str(self.epochs))}}/{self.epochs}"

    def _left(self, epochs_done):
        passed = time.perf_counter() - self.started
        return f"{duration(passed / epochs_done * (self.epochs - epochs_done))} left"


def bar(steps, doing):
    """Return ``steps``, a sequence; while they are iterated over, a bar labelled ``doing`` shows the time left.

    It is on standard error, if that is a terminal, and goes when it is done.
    """
    console = Console(stderr=True)
    return track(steps, doing, console=console, transient=True, disable=not console.is_terminal)


def duration(seconds):
    """Return a time for a person: '8 s', '8 min 12 s', '1 h 05 min'."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
