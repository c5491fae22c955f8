import csv
import os
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

from classify.backends import backend
from classify.command import Problem
from classify.data.dataset import Split
from classify.runs.folder import Run
from classify.training import callbacks, loop
from classify.training.batches import Batches
from classify.training.optimizers import make_optimizer
from classify.training.state import TrainingState
from models.cnn import build_cnn


@pytest.fixture
def split(rng):
    """Four classes told apart by which quarter of the image is bright."""
    labels = np.arange(96) % 4
    images = rng.integers(0, 100, (96, 16, 16, 3), dtype="uint8")
    for image, label in zip(images, labels, strict=True):
        image[8 * (label // 2) :, 8 * (label % 2) :][:8, :8] += 150
    return Split(images, labels)


def build(**options):
    return build_cnn("small", (16, 16, 3), 4, dropout=0.2, **options)


def compiled(learning_rate=3e-3, precision="float32", optimizer="adam"):
    keras.utils.set_random_seed(0)
    with loop.dtype_policy(precision):
        model = build(made_of=backend)
    optimizer = make_optimizer(optimizer, learning_rate, weight_decay=0.01)
    model.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def fitted(split, tmp_path, epochs=3, validation=None, model=None, **options):
    model = model or compiled()
    batches = Batches(split, classes=4, batch_size=32, mirror=False)
    with Run(tmp_path) as run:
        state = loop.fit(model, batches, split if validation is None else validation, epochs, run, **options)
    return model, state


def with_callback(model, callback):
    """Let every further training of ``model`` have a callback more."""
    fit = model.fit
    model.fit = lambda *args, callbacks, **options: fit(*args, callbacks=[*callbacks, callback], **options)
    return model


def accuracy(model, split):
    return np.mean(model.predict(split.images, verbose=0).argmax(axis=1) == split.labels)


def test_training_learns_and_history_grows_by_a_row_an_epoch(split, tmp_path):
    model, state = fitted(split, tmp_path, epochs=16)
    assert accuracy(model, split) > 0.9
    with open(tmp_path / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 17)]
    assert float(rows[-1]["val_accuracy"]) == pytest.approx(state.history[-1]["val_accuracy"])
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_the_best_epoch_is_kept(split, tmp_path, monkeypatch, capsys):
    class Ruin(keras.callbacks.Callback):
        """Makes every epoch after the second one worthless, before it is validated."""

        def on_train_batch_end(self, batch, logs=None):
            if len(seen) >= 2:
                self.model.set_weights([weight * np.nan for weight in self.model.get_weights()])

        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.get_weights())

    seen = []
    monkeypatch.setattr(loop, "announce", lambda *args: None)
    model, state = fitted(split, tmp_path, epochs=4, model=with_callback(compiled(), Ruin()))
    assert state.best_epoch <= 2 and len(state.history) == 2  # a loss that is no number ends the training
    notice = "training diverged in epoch 3, step 2 of 3: the loss is no number; try a smaller --learning-rate\n"
    assert notice in capsys.readouterr().err
    for kept, then in zip(model.get_weights(), seen[state.best_epoch - 1], strict=True):
        np.testing.assert_array_equal(kept, then)


def test_a_training_that_diverges_at_once_is_a_problem(split, tmp_path):
    model = compiled()
    model.set_weights([weight * np.nan for weight in model.get_weights()])
    with pytest.raises(Problem, match="training diverged in epoch 1, step 1 of 3: .*--learning-rate"):
        fitted(split, tmp_path, model=model)
    assert not (tmp_path / "checkpoints").exists()  # it would end the same way


def test_a_second_stage_that_is_worse_leaves_the_first_ones_weights(split, tmp_path):
    model, first = fitted(split, tmp_path, epochs=8)
    kept = model.get_weights()
    model.compile(make_optimizer("sgd", 1e3), loss="categorical_crossentropy", metrics=["accuracy"])
    _, both = fitted(split, tmp_path, epochs=2, model=model, stage="fine-tuning", after=first)
    epochs = [row["epoch"] for row in both.history]
    assert both.best_epoch == first.best_epoch and epochs == list(range(1, len(epochs) + 1)) and len(epochs) > 8
    assert (first.stage, both.stage) == ("network", "fine-tuning")
    for a, b in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_validation_the_last_epoch_is_kept(split, tmp_path):
    empty = split.take([])
    _, state = fitted(split, tmp_path, epochs=3, validation=empty, patience=1)
    assert state.best_epoch == 3 and "val_loss" not in state.history[0]


def test_early_stopping(split, tmp_path):
    _, state = fitted(split, tmp_path, epochs=50, model=compiled(learning_rate=1e-12), patience=2)
    assert state.waited == 2 and len(state.history) < 50


def test_batches_come_in_their_own_order_and_the_state_follows(split, tmp_path):
    """What a step sees depends on seed, epoch and step alone, so that a run can be repeated and resumed."""
    made, followed = [], []

    class Watched(Batches):
        def batch(self, epoch, step, part):
            made.append((epoch, step))
            return super().batch(epoch, step, part)

    class Follow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            keeper = callbacks[0]
            followed.append((keeper.state.epoch, keeper.state.step))

    model, callbacks = compiled(), []
    fit = model.fit

    def watched_fit(*args, **options):
        callbacks[:] = options["callbacks"]
        return fit(*args, **options | {"callbacks": [*options["callbacks"], Follow()]})

    def announced(*args):
        model.fit = watched_fit

    with Run(tmp_path) as run, pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "announce", announced)
        state = loop.fit(model, Watched(split, classes=4, batch_size=8), split.take([]), 2, run)
    order = [(epoch, step) for epoch in (0, 1) for step in range(12)]
    assert made[1:25] == order  # before them the first one, whose shape is looked at
    assert followed == [(epoch, step + 1) for epoch, step in order]
    assert (state.epoch, state.step) == (2, 0)


def test_class_weights_are_in_the_loss_of_training_and_not_in_the_validation(split, tmp_path):
    """By hand: the mean of each image's weight times the negative logarithm of its class's probability."""
    rows = np.flatnonzero((split.labels < 2) | (np.arange(96) < 24))  # classes of 24 and of 6 images
    unequal = split.take(rows)
    n, counts = len(rows), np.bincount(unequal.labels)
    assert counts.tolist() == [24, 24, 6, 6]
    inputs = keras.Input((16, 16, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(pooled))
    model.compile(make_optimizer("sgd", 1e-12), loss="categorical_crossentropy", metrics=["accuracy"])
    own = -np.log(model.predict(unequal.images, verbose=0)[np.arange(n), unequal.labels])
    batches = Batches(unequal, classes=4, batch_size=n, augment=False, class_weight="balanced")
    with Run(tmp_path) as run:
        [epoch] = loop.fit(model, batches, unequal, 1, run).history
    assert epoch["loss"] == pytest.approx(np.mean(own * (n / (4 * counts))[unequal.labels]), rel=1e-4)
    assert epoch["val_loss"] == pytest.approx(own.mean(), rel=1e-4)
    assert abs(epoch["loss"] - epoch["val_loss"]) > 1e-3


def test_announcing_the_time_changes_nothing(split, capsys):
    state = TrainingState(compiled(), "network")
    before = [variable.numpy() for variable in state.variables]
    batches = Batches(split, classes=4, batch_size=32)
    loop.announce(state, batches, loop.validation_stream(split, batches), epochs=1000)
    for variable, value in zip(state.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert not any(variable.numpy().any() for variable in state.metric_variables)
    assert "1000 epochs will take about" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_seed_gives_the_same_weights(split, tmp_path, precision):
    first, _ = fitted(split, tmp_path, model=compiled(precision=precision))
    second, _ = fitted(split, tmp_path, model=compiled(precision=precision))
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_ctrl_c_keeps_the_best_epoch_so_far(split, tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    _, state = fitted(split, tmp_path, epochs=5, model=with_callback(compiled(), Interrupt()))
    assert state.interrupted and len(state.history) == 2 and state.best_epoch in (1, 2)


def test_ctrl_c_at_the_start_of_a_second_stage_keeps_the_first(split, tmp_path, monkeypatch):
    model, first = fitted(split, tmp_path, epochs=2)
    kept = model.get_weights()

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "announce", interrupted)
    _, both = fitted(split, tmp_path, model=model, after=first)
    assert both.interrupted and both.best_epoch == first.best_epoch and both.history == first.history
    for a, b in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_float32_copy_answers_as_the_trained_model(split, tmp_path, precision):
    model, _ = fitted(split, tmp_path, model=compiled(precision=precision))
    copy = loop.float32_copy(model, build)
    assert all(layer.dtype_policy.name == "float32" for layer in copy.layers) and not copy.compiled
    tolerance = 1e-5 if precision == "float32" else 0.05
    expected = model.predict(split.images, verbose=0)
    np.testing.assert_allclose(copy.predict(split.images, verbose=0), expected, atol=tolerance)


class Killed(BaseException):
    """In place of kill -9: nothing is done any more."""


class KillAt(keras.callbacks.Callback):
    """Ends a training before it validates, or after a number of steps."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch, logs=None):
        self.steps -= 1
        if self.steps == 0:
            raise Killed


def gone_on_with(split, folder, model, **options):
    """Go on with the run in a folder, as a new process would: with a new model."""
    batches = Batches(split, classes=4, batch_size=32, mirror=False)
    with Run(folder) as run:
        run.saved = run.checkpoints.newest()
        state = loop.fit(model, batches, split, 3, run, **options)
    return model, state


def killed(split, folder, model, steps):
    batches = Batches(split, classes=4, batch_size=32, mirror=False)
    with pytest.raises(Killed), Run(folder) as run:
        run.checkpoints.begin(script="train_cnn.py")
        with pytest.MonkeyPatch.context() as patch:
            announce = loop.announce
            patch.setattr(loop, "announce", lambda *args: announce(*args) or with_callback(model, KillAt(steps)))
            loop.fit(model, batches, split, 3, run)


def without_seconds(state):
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in state.history]


def assert_same(mine, its):
    for a, b in zip(
        [*mine.variables, *mine.optimizer.variables], [*its.variables, *its.optimizer.variables], strict=True
    ):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


@pytest.fixture
def frequent(monkeypatch):
    """A checkpoint after each step."""
    for name in ("EVERY", "WITHIN", "PATIENCE"):
        monkeypatch.setattr(callbacks, name, 0)


@pytest.mark.parametrize(
    ("optimizer", "precision", "steps", "place"),
    [
        ("adam", "bfloat16", 5, "epoch 2, step 2 of 3"),
        ("muon", "float32", 3, "epoch 1, step 2 of 3"),  # before the epoch is validated there is no checkpoint
        ("muon", "bfloat16", 7, "epoch 3, step 1 of 3"),
    ],
)
def test_a_killed_training_that_goes_on_ends_the_same_to_the_bit(
    optimizer, precision, steps, place, split, tmp_path, frequent, capsys
):
    twin, expected = fitted(split, tmp_path / "twin", model=compiled(0.01, precision, optimizer))
    killed(split, tmp_path / "mine", compiled(0.01, precision, optimizer), steps)
    model, state = gone_on_with(split, tmp_path / "mine", compiled(0.01, precision, optimizer))
    assert f"from {place}, saved" in capsys.readouterr().err
    assert without_seconds(state) == without_seconds(expected) and state.best_epoch == expected.best_epoch
    assert_same(model, twin)
    assert not state.counted and len(state.history) == 3


def test_without_frequent_checkpoints_it_goes_on_from_the_first_one(split, tmp_path):
    twin, _ = fitted(split, tmp_path / "twin")
    killed(split, tmp_path / "mine", compiled(), 4)
    assert sorted(path.name for path in (tmp_path / "mine" / "checkpoints").glob("*.npz")) == ["1.npz"]
    model, _ = gone_on_with(split, tmp_path / "mine", compiled())
    assert_same(model, twin)


def test_a_signal_before_the_checkpoint_is_taken_leaves_it_as_it_was(split, tmp_path, frequent, monkeypatch):
    def stopped(*args):
        raise KeyboardInterrupt(signal.SIGTERM)

    killed(split, tmp_path, compiled(), 4)
    before = {file.name: file.read_bytes() for file in (tmp_path / "checkpoints").iterdir()}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "announce", stopped)
        gone_on_with(split, tmp_path, compiled())
    assert {file.name: file.read_bytes() for file in (tmp_path / "checkpoints").iterdir()} == before


def test_early_stopping_counts_on_and_a_training_that_ended_does_not_begin_again(split, tmp_path, frequent):
    _, before = fitted(split, tmp_path, epochs=50, model=compiled(learning_rate=1e-12), patience=2)
    model, state = gone_on_with(split, tmp_path, compiled(), patience=2)
    assert state.history == before.history and state.waited == 2
    for a, b in zip(model.get_weights(), before.best_weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_stage_is_passed_over_where_the_checkpoint_is_a_later_ones(split, tmp_path, frequent):
    model = compiled()
    with Run(tmp_path) as run:
        run.saved = {"stage": "fine-tuning"}, [], 0.0
        state = loop.fit(model, None, split, 3, run, stage="head")
        assert (state.epoch, state.history) == (0, []) and run.saved


def test_a_checkpoint_of_another_network_is_a_problem(split, tmp_path):
    fitted(split, tmp_path)
    with pytest.raises(Problem, match="the checkpoint is of another network"):
        gone_on_with(split, tmp_path, compiled(optimizer="sgd"))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_step_and_leaves_a_checkpoint_there(number, status, split, tmp_path, ctrl_c):
    class Send(keras.callbacks.Callback):
        """A signal in the middle of the fifth step."""

        def on_train_batch_begin(self, batch, logs=None):
            seen.append(batch)
            if len(seen) == 5:
                signal.raise_signal(number)

    seen = []
    model = compiled()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "announce", lambda *args: with_callback(model, Send()))
        _, state = fitted(split, tmp_path, model=model)
    assert state.interrupted == status and len(seen) == 5 and len(state.history) == 1
    twin, _ = fitted(split, tmp_path / "twin")
    resumed, state = gone_on_with(split, tmp_path, compiled())
    assert (state.interrupted, len(state.history)) == (0, 3)
    assert_same(resumed, twin)


def test_a_second_signal_does_not_wait_for_the_end_of_a_validation(split, tmp_path, ctrl_c):
    class Twice(keras.callbacks.Callback):
        def on_test_batch_begin(self, batch, logs=None):
            if len(seen) < 2:
                seen.append(batch)
                ctrl_c()

    seen, model = [], compiled()
    validation = split.take(np.arange(150) % len(split))  # three batches
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "announce", lambda *args: with_callback(model, Twice()))
        fitted(split, tmp_path, model=model, validation=validation)
    assert seen == [0, 1]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells it so")
def test_a_hundred_epochs_take_no_more_memory_and_no_more_files_than_three(split, tmp_path, frequent):
    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            pages.append(int(Path("/proc/self/statm").read_text().split()[1]))
            files.append(len(os.listdir("/proc/self/fd")))

    pages, files = [], []
    model = keras.Sequential(
        [keras.layers.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(4, "softmax")]
    )
    model.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "announce", lambda *args: with_callback(model, Watch()))
        fitted(split.take(np.arange(32)), tmp_path, epochs=100, model=model)
    assert max(pages[3:]) < 1.05 * pages[2] and max(files[3:]) <= max(files[:3]) and len(pages) == 100


def test_ctrl_c_before_the_first_step_leaves_nothing_to_go_on_with(split, tmp_path, ctrl_c, monkeypatch):
    monkeypatch.setattr(loop, "announce", lambda *args: ctrl_c())
    with pytest.raises(KeyboardInterrupt), Run(tmp_path / "mine") as run:
        run.checkpoints.begin(script="train_cnn.py")
        loop.fit(compiled(), Batches(split, classes=4, batch_size=32), split, 3, run)
    assert not (tmp_path / "mine").exists()
