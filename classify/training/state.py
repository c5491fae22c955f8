"""Where a training stands: all that an interrupted one needs to go on to the bit."""

import dataclasses
import math
import re
from typing import Any

from classify.backends import backend
from classify.command import Problem
from classify.runs.history import score

COUNTERS = "stage", "epoch", "step", "first", "best_epoch", "seconds", "history"  # a checkpoint's, besides arrays


@dataclasses.dataclass
class TrainingState:
    """A training in one of its stages.

    What a batch shows needs no entry: it depends on seed, epoch and step alone.

    Attributes:
        model: the compiled Keras model.
        stage: what is trained: ``network``, ``head`` or ``fine-tuning``.
        epoch: how many epochs of the stage have ended.
        step: how many steps of the epoch after these have been taken.
        history: one dictionary an epoch, of all stages so far: history.csv's columns.
        first: how many epochs of ``history`` belong to former stages.
        best_epoch: the number in ``history``, from 1, of the epoch to keep; None before the first one.
        best_weights: the model's weights at its end, as ``get_weights`` returns them.
        interrupted: 0, or the exit status where a signal ended the training: 130 for Ctrl-C, 143 for SIGTERM.
        seconds: how long the epoch under way took in a process that was killed.
        counted: what the metrics had counted of that epoch; empty where it begins here.
    """

    model: Any
    stage: str
    epoch: int = 0
    step: int = 0
    history: list[dict] = dataclasses.field(default_factory=list)
    first: int = 0
    best_epoch: int | None = None
    best_weights: list | None = None
    interrupted: int = 0
    seconds: float = 0.0
    counted: list = dataclasses.field(default_factory=list)

    @property
    def variables(self):
        """All that a training step changes but metrics: weights, states of random layers, the optimizer's variables."""
        self.model.optimizer.build(self.model.trainable_variables)
        return [*self.model.variables, *self.model.optimizer.variables]

    @property
    def metric_variables(self):
        """What the metrics have counted of the epoch under way; none before the first step."""
        return self.model.metrics_variables

    @property
    def waited(self):
        """How many epochs have ended since the stage's best validation accuracy; 0 before the first."""
        accuracies = [epoch["val_accuracy"] for epoch in self.history[self.first :]]
        return len(accuracies) - 1 - accuracies.index(max(accuracies)) if accuracies else 0

    def next_stage(self, model, stage):
        """Return the state in which a further stage begins, whose model has the best epoch's weights."""
        return TrainingState(
            model,
            stage,
            history=list(self.history),
            first=len(self.history),
            best_epoch=self.best_epoch,
            best_weights=model.get_weights(),
        )

    def end_epoch(self, results):
        """Take in an epoch's results, history.csv's entries without its number; return whether they are all finite."""
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        results = {"epoch": len(self.history) + 1, **results}
        self.history.append(results)
        if not all(math.isfinite(value) for value in results.values()):
            return False
        if self.best_weights is None or score(results) > score(self.history[self.best_epoch - 1]):
            self.best_epoch, self.best_weights = results["epoch"], self.model.get_weights()
        return True

    def checkpoint(self):
        """Return (description, arrays) of all that ``restore`` takes back: a dictionary for JSON, NumPy arrays."""
        backend.settle(self.model)
        values = [variable.numpy() for variable in [*self.variables, *self.metric_variables]]
        description = {name: getattr(self, name) for name in COUNTERS}
        return description | {"variables": self._layout()}, [*values, *(self.best_weights or [])]

    def restore(self, description, arrays):
        """Take back what ``checkpoint`` returned, of the same stage of the same network.

        Raises:
            Problem: it is another network's, or another version's of the packages.
        """
        self.best_epoch = description["best_epoch"]
        layout = self._layout()
        shapes = [[list(array.shape), str(array.dtype)] for array in arrays]
        if description["variables"] != layout or shapes != [entry[2:] for entry in layout]:
            raise Problem("the checkpoint is of another network, or of another version of Keras: train again")
        for name in COUNTERS:
            setattr(self, name, description[name])
        variables, metrics = self.variables, self.metric_variables
        for variable, value in zip(variables, arrays, strict=False):
            variable.assign(value)
        arrays = arrays[len(variables) :]
        self.counted = arrays[: len(metrics)] if self.step else []
        self.best_weights = arrays[len(metrics) :] or None

    def restore_metrics(self):
        """Let the metrics go on from what they had counted of the epoch under way. Keras resets them before it."""
        for variable, value in zip(self.metric_variables, self.counted, strict=False):
            variable.assign(value)
        self.counted = []

    def _layout(self):
        """What a checkpoint holds, in order: kind, path, shape and dtype of each array."""
        kinds = {
            "model": self.model.variables,
            "optimizer": self.variables[len(self.model.variables) :],
            "metric": self.metric_variables,
            "best": self.model.weights if self.best_epoch else [],
        }
        return [
            [kind, _without_numbers(variable.path), list(variable.shape), variable.dtype]
            for kind, variables in kinds.items()
            for variable in variables
        ]


def _without_numbers(path):
    """Return a variable's path without the numbers that Keras appends: they count what a process has built before."""
    return re.sub(r"_\d+(?=[/_]|$)", "", path)
