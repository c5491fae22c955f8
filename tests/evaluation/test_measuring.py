"""A model measured on a split: what it asks of the images, and what a failure leaves behind."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import layers

from classify.command import Problem
from classify.data import sources
from classify.evaluation import measuring
from classify.runs.saved import SavedModel


class Stored:
    """Images that can do no more than ``Images`` promises: a length, and rows by an array of integers."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        assert isinstance(rows, np.ndarray) and rows.dtype.kind == "i"
        return self.images[rows]


@pytest.fixture
def model(tmp_path):
    """A run on digits whose model is untrained, as a ``SavedModel``."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential([layers.Input((32, 32, 3)), layers.Flatten(), layers.Dense(10)])
    network.layers[-1].set_weights([0.001 * weight for weight in network.layers[-1].get_weights()])
    network.add(layers.Softmax())
    network.save(tmp_path / "model.keras")
    info = {"data": "digits", "options": {"data": "digits", "validation": 0.2}, "splits": {"validation": 288}}
    info["class_names"] = list("0123456789")
    (tmp_path / "run.json").write_text(json.dumps(info))
    return SavedModel("untrained", tmp_path / "model.keras", info)


def test_the_split_is_the_first_models_own_unless_other_data_are_named(model):
    split = measuring.read([SavedModel("bare", None, {}), model], "validation")
    assert (split.source.name, split.name, split.validation, len(split)) == ("digits", "validation", 0.2, 288)
    assert len(measuring.read([SavedModel("bare", None, {})], "validation", "digits")) == 144


def test_images_are_asked_for_by_rows_alone(model):
    split = measuring.read([model], "test")
    measurement, again = (
        measuring.measure(model, images, with_tta=True, sample=images.take(np.arange(0, 360, 6)))
        for images in (split, dataclasses.replace(split, images=Stored(split.images)))
    )
    np.testing.assert_array_equal(measurement.probabilities, again.probabilities)
    assert again.row.pop("images_per_second") > 0 and measurement.row.pop("images_per_second") > 0
    assert measurement.row == again.row and measurement.saved is model
    assert measurement.row["robustness"]["n"] == 60 and 0 <= measurement.row["tta"]["accuracy"] <= 1


def test_a_measurement_that_fails_late_leaves_the_run_as_it_was(model, monkeypatch):
    def fail(*arguments):
        raise Problem("no")

    monkeypatch.setattr(measuring.robustness, "measure", fail)
    files = {file: file.read_bytes() for file in model.path.parent.iterdir()}
    split = measuring.read([model], "test")
    with pytest.raises(Problem):
        measuring.measure(model, split, calibrate=True, sample=split)
    assert {file: file.read_bytes() for file in model.path.parent.iterdir()} == files


def test_images_of_another_size_are_refused(model):
    split = measuring.read([model], "test")
    with pytest.raises(Problem, match="untrained takes images of another size than those of digits"):
        measuring.measure(model, dataclasses.replace(split, images=split.images[:, :16, :16]))
    names = dataclasses.replace(sources.find("digits"), class_names=tuple("abcdefghij"))
    with pytest.raises(Problem, match="untrained knows other classes than digits"):
        measuring.measure(model, dataclasses.replace(split, source=names))
