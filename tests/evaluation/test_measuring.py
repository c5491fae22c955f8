"""A model measured on a split: what it asks of the images, and what a failure leaves behind."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import layers

from classify.command import Problem
from classify.data import sources, splits
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
    validation_split = splits.read_split(sources.find("digits"), "validation", 0.2)
    info["validation_fingerprint"] = splits.fingerprint(validation_split)
    (tmp_path / "run.json").write_text(json.dumps(info))
    return SavedModel("untrained", tmp_path / "model.keras", info)


def test_the_split_is_the_first_models_own_unless_other_data_are_named(model):
    split = measuring.read([SavedModel("bare", None, {}), model], "validation")
    assert (split.source.name, split.name, split.validation, len(split)) == ("digits", "validation", 0.2, 288)
    assert len(measuring.read([SavedModel("bare", None, {})], "validation", "digits")) == 144


def changed(model, options=(), **info):
    """The same model as if its run.json said otherwise."""
    info = model.info | info | {"options": model.options | dict(options)}
    return dataclasses.replace(model, info=info)


def test_the_train_split_is_the_images_that_the_run_was_trained_on(model):
    limited = changed(model, {"limit": 100})
    split = measuring.read([limited], "train")
    trained_on = splits.load(sources.find("digits"), 0.2, limit=100).train
    np.testing.assert_array_equal(split.images, trained_on.images)
    assert measuring.measure(limited, split).row["n"] == 100
    with pytest.raises(Problem, match="untrained was trained with another --limit"):
        measuring.measure(model, split)
    assert len(measuring.read([limited], "validation")) == 288 and len(measuring.read([limited], "test")) == 360


@pytest.mark.parametrize("name", ["validation", "train"])
def test_images_that_the_run_may_have_learnt_are_no_validation_images(name, model):
    """A run trained on another copy of the data, whose order and so whose validation images are others."""
    split = measuring.read([model], name)
    assert measuring.measure(model, split).row["n"] == len(split)
    other = changed(model, validation_fingerprint="0" * 32)
    with pytest.raises(Problem, match="untrained was trained with other validation images"):
        measuring.measure(other, split)
    older = dataclasses.replace(model, info={k: v for k, v in model.info.items() if k != "validation_fingerprint"})
    with pytest.raises(Problem, match="untrained does not say which images validated it"):
        measuring.measure(older, split)
    test = measuring.read([model], "test")
    assert measuring.measure(other, test).row["n"] == measuring.measure(older, test).row["n"] == 360


def test_a_run_without_validation_images_is_measured_on_all_that_it_was_trained_on(model):
    everything = changed(model, {"validation": 0}, validation_fingerprint=None)
    split = measuring.read([everything], "train")
    assert measuring.measure(everything, split).row["n"] == 1437
    with pytest.raises(Problem, match="untrained was trained with --validation 0"):
        measuring.measure(everything, measuring.read([everything], "validation"))
    older = changed(model, {"validation": 0}, splits={"train": 1437, "validation": 0, "test": 360})
    del older.info["validation_fingerprint"]  # as the model that comes with the project
    assert measuring.measure(older, split).row["n"] == 1437


def test_augmentation_mirrors_images_where_the_training_was_allowed_to(model, monkeypatch):
    mirrored = []
    average = measuring.tta.average
    monkeypatch.setattr(measuring.tta, "average", lambda *args: mirrored.append(args[-1]) or average(*args))
    split = measuring.read([model], "test")
    split = dataclasses.replace(split, images=split.images[:50], labels=split.labels[:50])
    for mirror in (True, False):
        measuring.measure(changed(model, mirror=mirror), split, with_tta=True)
    assert mirrored == [True, False]
    measuring.measure(dataclasses.replace(model, info={}), split, with_tta=True)
    assert mirrored[2:] == [split.source.mirror]  # of a foreign model only the data are known


def test_where_no_bar_is_shown_a_line_says_what_is_measured(model, capsys):
    measuring.measure(dataclasses.replace(model, name="cnn\n"), measuring.read([model], "test"))
    assert capsys.readouterr().err == "measuring cnn\\n on 360 images\n"


def test_a_temperature_of_1_rewrites_no_file(model, monkeypatch):
    monkeypatch.setattr(measuring.calibration, "calibrate", lambda *arguments: {"temperature": 1.0, "unsure": {}})
    files = {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in model.path.parent.iterdir()}
    measuring.measure(model, measuring.read([model], "test"), calibrate=True)
    assert {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in model.path.parent.iterdir()} == files


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
    with pytest.raises(Problem, match="untrained has other classes than digits"):
        measuring.measure(model, dataclasses.replace(split, source=names))
