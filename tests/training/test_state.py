import json
import types

import keras
import numpy as np
import pytest
from keras import layers

from classify.command import Problem
from classify.training.state import TrainingState


def state_after(*epochs, first=0):
    """A state whose epochs ended with these validation accuracies and losses; its weights count the epochs."""
    state = TrainingState(types.SimpleNamespace(get_weights=lambda: [len(state.history)]), "network", first=first)
    for accuracy, loss in epochs:
        state.end_epoch({"val_accuracy": accuracy, "val_loss": loss})
    return state


def test_of_equal_accuracies_the_lower_loss_wins():
    state = state_after((0.5, 1.0), (0.8, 0.9), (0.8, 0.7), (0.8, 0.8), (0.7, 0.1))
    assert state.best_epoch == 3 and state.best_weights == [3]
    assert [epoch["epoch"] for epoch in state.history] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("accuracies", "waited"), [([0.5], 0), ([0.5, 0.6], 0), ([0.5, 0.7, 0.7, 0.6], 2)])
def test_early_stopping_counts_from_the_best_accuracy(accuracies, waited):
    assert state_after(*((accuracy, 1.0) for accuracy in accuracies)).waited == waited


def test_a_further_stage_counts_its_own_epochs_and_keeps_the_best_of_all():
    first = state_after((0.9, 1.0), (0.8, 1.0))
    second = first.next_stage(types.SimpleNamespace(get_weights=lambda: ["kept"]), "fine-tuning")
    assert (second.epoch, second.first, second.best_epoch, second.best_weights) == (0, 2, 1, ["kept"])
    second.end_epoch({"val_accuracy": 0.6, "val_loss": 1.0})
    second.end_epoch({"val_accuracy": 0.7, "val_loss": 1.0})
    assert second.waited == 0 and second.best_epoch == 1 and len(second.history) == 4 and len(first.history) == 2


def test_a_loss_that_is_no_number_is_noticed_and_never_the_best():
    state = state_after((0.5, 1.0))
    assert not state.end_epoch({"val_accuracy": 0.9, "val_loss": float("nan")})
    assert state.best_epoch == 1 and len(state.history) == 2


def test_all_that_a_step_changes_is_in_it():
    """Put back all variables of a state and take the same steps: the weights are the same to the bit."""
    model = keras.Sequential([layers.Input((3,)), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(2)])
    model.compile("adam", "mse", metrics=["mae"])
    state = TrainingState(model, "network")
    inputs, targets = np.arange(24, dtype="float32").reshape(8, 3), np.ones((8, 2), "float32")
    results = []
    model.train_on_batch(inputs, targets)
    everything = [*state.variables, *state.metric_variables]
    before = [variable.numpy() for variable in everything]
    for _ in range(2):
        for variable, value in zip(everything, before, strict=True):
            variable.assign(value)
        metrics = [model.train_on_batch(inputs, targets) for _ in range(3)]
        results.append([*model.get_weights(), *np.ravel(metrics)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
    paths = [variable.path for variable in everything]
    assert any("seed" in path for path in paths) and any("momentum" in path for path in paths)


def trained(units=2):
    """A state of a small network after a step."""
    model = keras.Sequential([layers.Input((3,)), layers.Dropout(0.5), layers.Dense(units)])
    model.compile("adam", "mse", metrics=["mae"])
    model.train_on_batch(np.ones((4, 3), "float32"), np.zeros((4, units), "float32"))
    state = TrainingState(model, "head", epoch=1, step=1, seconds=2.5)
    state.history = [{"epoch": 1, "val_accuracy": 0.1 + 0.2, "val_loss": 1.0}]
    state.best_epoch, state.best_weights = 1, [weight + 1 for weight in model.get_weights()]
    return state


def test_a_checkpoint_gives_everything_back():
    first, second = trained(), trained()
    description, arrays = first.checkpoint()
    description = json.loads(json.dumps(description))
    for variable in [*second.variables, *second.metric_variables]:
        variable.assign(variable + 1)
    second.history, second.best_epoch, second.best_weights, second.step = [], None, None, 0
    second.restore(description, arrays)
    second.restore_metrics()
    for a, b in zip(
        [*first.variables, *first.metric_variables], [*second.variables, *second.metric_variables], strict=True
    ):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for a, b in zip(first.best_weights, second.best_weights, strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("stage", "epoch", "step", "first", "best_epoch", "seconds", "history"):
        assert getattr(first, name) == getattr(second, name)
    kinds = [entry[0] for entry in description["variables"]]
    assert kinds == sorted(kinds, key=["model", "optimizer", "metric", "best"].index) and len(set(kinds)) == 4


def test_a_checkpoint_of_other_shapes_paths_or_types_is_refused():
    description, arrays = trained().checkpoint()
    for state, wrong_description, wrong_arrays in (
        (trained(units=3), description, arrays),
        (trained(), description | {"variables": description["variables"][::-1]}, arrays),
        (trained(), description, [array.astype("float64") for array in arrays]),
        (trained(), description, arrays[:-1]),
    ):
        with pytest.raises(Problem, match="of another network"):
            state.restore(wrong_description, wrong_arrays)
