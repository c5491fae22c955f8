import csv

import keras
import numpy as np
import pytest

from classify.backends.tensorflow import FusedBatchNormalization
from classify.command import Problem
from classify.data.sources import Split
from classify.runs import folder as runs
from classify.training import loop as training
from classify.training.batches import Batches
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
    return build_cnn("standard", (16, 16, 3), 4, dropout=0.2, **options)


def compiled(learning_rate=1e-3, precision="float32"):
    keras.utils.set_random_seed(0)
    with training.dtype_policy(precision):
        model = build(normalization=FusedBatchNormalization)
    optimizer = training.make_optimizer("adam", learning_rate, weight_decay=0.01)
    model.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def fitted(split, tmp_path, epochs=3, validation=None, model=None, **options):
    model = model or compiled()
    batches = Batches(split, classes=4, batch_size=32, mirror=False)
    with runs.Run(tmp_path) as run:
        outcome = training.fit(model, batches, split if validation is None else validation, epochs, run, **options)
    return model, outcome


def accuracy(model, split):
    return np.mean(model.predict(split.images, verbose=0).argmax(axis=1) == split.labels)


def test_one_cycle_rises_to_its_peak_and_falls_to_zero():
    rate = training.one_cycle(0.4, steps=100)
    values = [float(rate(step)) for step in range(101)]
    assert values[0] == 0 and values[5] == pytest.approx(0.08) and values[100] == pytest.approx(0, abs=1e-6)
    assert max(values) == pytest.approx(0.4) and int(np.argmax(values)) == 25
    assert values[62] == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("name", training.OPTIMIZERS)
def test_every_optimizer_takes_a_step_and_decays_kernels_alone(name, monkeypatch):
    monkeypatch.setattr("classify.training.muon.DECAY", 0.0)  # a decay of its own, whatever the weight decay
    optimizer = training.make_optimizer(name, 0.1, weight_decay=0.5)
    variables = [keras.Variable(np.ones(3), name=n) for n in ("kernel", "bias", "gamma", "beta")]
    optimizer.apply([keras.ops.zeros(3)] * 4, variables)
    assert type(optimizer) is training.OPTIMIZERS[name][0]
    assert variables[0].numpy().max() < 1
    for variable in variables[1:]:
        np.testing.assert_array_equal(variable.numpy(), 1)


def test_training_learns_and_history_grows_by_a_row_an_epoch(split, tmp_path):
    model, outcome = fitted(split, tmp_path, epochs=16)
    assert accuracy(model, split) > 0.9
    with open(tmp_path / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 17)]
    assert float(rows[-1]["val_accuracy"]) == pytest.approx(outcome.history[-1]["val_accuracy"])
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_the_best_epoch_is_kept(split, tmp_path, monkeypatch):
    class Ruin(keras.callbacks.Callback):
        """Makes every epoch after the second one worthless, before it is validated."""

        def on_train_batch_end(self, batch, logs=None):
            if len(self.model.seen) >= 2:
                self.model.set_weights([weight * np.nan for weight in self.model.get_weights()])

        def on_epoch_end(self, epoch, logs=None):
            self.model.seen.append(self.model.get_weights())

    model = compiled()
    model.seen = []
    monkeypatch.setattr(training, "announce", lambda *args: None)
    original = model.fit
    model.fit = lambda *args, callbacks, **kwargs: original(*args, callbacks=[*callbacks, Ruin()], **kwargs)
    model, outcome = fitted(split, tmp_path, epochs=4, model=model)
    assert outcome.epoch <= 2 and len(outcome.history) == 3  # a loss that is no number ends the training
    for kept, then in zip(model.get_weights(), model.seen[outcome.epoch - 1], strict=True):
        np.testing.assert_array_equal(kept, then)


def test_a_training_that_diverges_at_once_is_a_problem(split, tmp_path):
    model = compiled()
    model.set_weights([weight * np.nan for weight in model.get_weights()])
    with pytest.raises(Problem, match="training diverged.*--learning-rate"):
        fitted(split, tmp_path, model=model)


def test_of_equal_accuracies_the_lower_loss_wins(split):
    history = training.History(run=None)
    best = training.BestEpoch(history)
    best.set_model(compiled())
    for epoch, (accuracy, loss) in enumerate([(0.5, 1.0), (0.8, 0.9), (0.8, 0.7), (0.8, 0.8), (0.7, 0.1)], start=1):
        history.rows.append({"epoch": epoch, "val_accuracy": accuracy, "val_loss": loss})
        best.on_epoch_end(epoch, {})
    assert best.epoch == 3


def test_a_second_stage_that_is_worse_leaves_the_first_ones_weights(split, tmp_path):
    model, first = fitted(split, tmp_path, epochs=16)
    kept = model.get_weights()
    model.compile(training.make_optimizer("sgd", 1e3), loss="categorical_crossentropy", metrics=["accuracy"])
    _, both = fitted(split, tmp_path, epochs=2, model=model, after=first)
    epochs = [row["epoch"] for row in both.history]
    assert both.epoch == first.epoch and epochs == list(range(1, len(epochs) + 1)) and len(epochs) > 16
    for a, b in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_validation_the_last_epoch_is_kept(split, tmp_path):
    empty = split.take([])
    _, outcome = fitted(split, tmp_path, epochs=3, validation=empty)
    assert outcome.epoch == 3 and "val_loss" not in outcome.history[0]


def test_early_stopping(split, tmp_path):
    model = compiled(learning_rate=1e-12)
    _, outcome = fitted(split, tmp_path, epochs=50, model=model, early_stopping=2)
    assert len(outcome.history) < 50


def test_batches_come_in_their_own_order(split, tmp_path):
    """What a step sees depends on seed, epoch and step alone, so that a run can be repeated and resumed."""
    seen = []

    class Watched(Batches):
        def __getitem__(self, step):
            seen.append((self.epoch, step))
            return super().__getitem__(step)

    with runs.Run(tmp_path) as run:
        training.fit(compiled(), Watched(split, classes=4, batch_size=8), split.take([]), 2, run)
    assert seen[-24:] == [(epoch, step) for epoch in (0, 1) for step in range(12)]


def test_announcing_the_time_changes_nothing(split, capsys):
    model = compiled()
    before = [variable.numpy() for variable in training._state(model)]
    batches = Batches(split, classes=4, batch_size=32)
    training.announce(model, batches, training.held_out(split, batches), epochs=1000)
    for variable, value in zip(training._state(model), before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert "1000 epochs will take about" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_seed_gives_the_same_weights(split, tmp_path, precision):
    one, _ = fitted(split, tmp_path, model=compiled(precision=precision))
    other, _ = fitted(split, tmp_path, model=compiled(precision=precision))
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_ctrl_c_keeps_the_best_epoch_so_far(split, tmp_path):
    model = compiled()
    original = model.fit

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    model.fit = lambda *args, callbacks, **kwargs: original(*args, callbacks=[*callbacks, Interrupt()], **kwargs)
    model, outcome = fitted(split, tmp_path, epochs=5, model=model)
    assert outcome.interrupted and len(outcome.history) == 2 and outcome.epoch in (1, 2)


def test_ctrl_c_at_the_start_of_a_second_stage_keeps_the_first(split, tmp_path, monkeypatch):
    model, first = fitted(split, tmp_path, epochs=2)
    kept = model.get_weights()

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "announce", interrupted)
    _, both = fitted(split, tmp_path, model=model, after=first)
    assert both.interrupted and both.epoch == first.epoch and both.history == first.history
    for a, b in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_float32_copy_answers_as_the_trained_model(split, tmp_path, precision):
    model, _ = fitted(split, tmp_path, model=compiled(precision=precision))
    copy = training.float32_copy(model, build)
    assert all(layer.dtype_policy.name == "float32" for layer in copy.layers) and not copy.compiled
    tolerance = 1e-5 if precision == "float32" else 0.05
    expected = model.predict(split.images, verbose=0)
    np.testing.assert_allclose(copy.predict(split.images, verbose=0), expected, atol=tolerance)
