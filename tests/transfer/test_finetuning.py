import types

import keras
import numpy as np
import pytest

from classify.data import sources as data
from classify.runs import folder as runs
from classify.training import loop as training
from classify.transfer import finetuning
from models.inception import build_inception


@pytest.fixture
def stages(rng, tmp_path, monkeypatch):
    """A model before and after a second stage that is bound to win, and the learning rate that it had."""
    images, labels = rng.integers(0, 256, (16, 16, 16, 3), dtype="uint8"), np.arange(16) % 2
    images[labels == 1] //= 4
    split = data.Split(images, labels)
    source = data.Source("toy", "toy", "", ("light", "dark"), ("train", "test"), None)
    dataset = data.Data(source, split, split, split)
    keras.utils.set_random_seed(0)
    model = build_inception((16, 16, 3), 2, None, upsampling=5, dropout=0.0)
    before = model.get_weights()
    args = types.SimpleNamespace(
        fine_tune=1,
        dropout=0.0,
        batch_size=8,
        seed=0,
        augment=False,
        optimizer="sgd",
        learning_rate=5.0,
        weight_decay=0.0,
    )
    args.schedule = "constant"
    first = training.Outcome([{"epoch": 1, "val_accuracy": 0.0, "val_loss": 9.0}], 1, False)
    rates, networks = [], []
    compile_model = training.compile_model

    def watched(network, args, steps, learning_rate):
        rates.append(learning_rate)
        networks.append(network)
        compile_model(network, args, steps, learning_rate)

    monkeypatch.setattr(training, "compile_model", watched)
    with runs.Run(tmp_path) as run:
        outcome = finetuning.fine_tune(model, dataset, first, args, run, "float32")
    return model, before, outcome, rates, networks[0], images


def test_the_last_block_and_the_head_have_learned_and_nothing_else_changed(stages):
    model, before, outcome, rates, network, images = stages
    assert rates == [5.0 / 100] and outcome.epoch > 1
    changed = {
        id(variable): not np.array_equal(variable.numpy(), old)
        for variable, old in zip(model.weights, before, strict=True)
    }
    base = model.layers[2]
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert not any(changed[id(weight)] for weight in layer.weights)
    assert sum(changed[id(layer.kernel)] for layer in base.layers if isinstance(layer, keras.layers.Conv2D)) == 9
    assert all(changed[id(weight)] for weight in model.layers[-1].weights)
    assert not base.trainable


def test_the_saved_model_answers_as_the_network_that_was_trained(stages):
    model, _, _, _, network, images = stages
    expected = network.predict(images, verbose=0)
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=1e-4)
