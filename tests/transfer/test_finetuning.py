import keras
import numpy as np
import pytest

from classify.data.dataset import Split
from classify.runs.folder import Run
from classify.training.batches import Batches
from classify.training.optimizers import make_optimizer
from classify.training.state import TrainingState
from classify.transfer import finetuning
from models.inception import build_inception


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A model's weights before a second stage that is bound to win, the model, the state, the network that trained."""
    images, labels = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), dtype="uint8"), np.arange(16) % 2
    images[labels == 1] //= 4
    split = Split(images, labels)
    keras.utils.set_random_seed(0)
    model = build_inception((16, 16, 3), 2, None, upsampling=5, dropout=0.0)
    before = model.get_weights()
    first = TrainingState(model, "head", history=[{"epoch": 1, "val_accuracy": 0.0, "val_loss": 9.0}], best_epoch=1)
    with Run(tmp_path_factory.mktemp("run")) as run:
        batches = Batches(split, 2, 8, augment=False)
        state = finetuning.fine_tune(model, 1, batches, split, make_optimizer("sgd", 0.05), run, "float32", first)
    return before, model, state, images


def test_the_last_block_and_the_head_have_learned_and_nothing_else_changed(tuned):
    before, model, state, _ = tuned
    assert state.best_epoch > 1 and state.stage == "fine-tuning"
    changed = {
        id(variable): not np.array_equal(variable.numpy(), old)
        for variable, old in zip(model.weights, before, strict=True)
    }
    base = model.get_layer("inception_v3")
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert not any(changed[id(weight)] for weight in layer.weights)
    assert sum(changed[id(layer.kernel)] for layer in base.layers if isinstance(layer, keras.layers.Conv2D)) == 9
    assert all(changed[id(weight)] for weight in model.get_layer("probabilities").weights)
    assert not base.trainable


def test_the_saved_model_answers_as_the_network_that_was_trained(tuned):
    _, model, state, images = tuned
    expected = state.model.predict(images, verbose=0)
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=1e-4)
