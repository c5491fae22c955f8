"""Where a training stands: all that an interrupted one needs to go on to the bit."""

import dataclasses
import math
from typing import Any

from classify.runs.history import score


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
        interrupted: whether Ctrl-C ended the training.
    """

    model: Any
    stage: str
    epoch: int = 0
    step: int = 0
    history: list[dict] = dataclasses.field(default_factory=list)
    first: int = 0
    best_epoch: int | None = None
    best_weights: list | None = None
    interrupted: bool = False

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
        """How many epochs have ended since the stage's best validation accuracy."""
        accuracies = [epoch["val_accuracy"] for epoch in self.history[self.first :]]
        return len(accuracies) - 1 - accuracies.index(max(accuracies))

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
        self.epoch, self.step = self.epoch + 1, 0
        results = {"epoch": len(self.history) + 1, **results}
        self.history.append(results)
        if not all(math.isfinite(value) for value in results.values()):
            return False
        if self.best_weights is None or score(results) > score(self.history[self.best_epoch - 1]):
            self.best_epoch, self.best_weights = results["epoch"], self.model.get_weights()
        return True
