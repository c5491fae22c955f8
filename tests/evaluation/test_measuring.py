"""A model measured on a split: what it asks of the images, and what a failure leaves behind."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import layers

from classify.command import Problem
from classify.data import sources, splits
from classify.data.dataset import Source, Split
from classify.evaluation import measuring, subject
from classify.evaluation.subject import Subject
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


def changed(model, options=(), **info):
    """The same model as if its run.json said otherwise."""
    info = model.info | info | {"options": model.options | dict(options)}
    return dataclasses.replace(model, info=info)


def test_the_train_split_is_the_images_that_the_run_was_trained_on(model):
    limited = changed(model, {"limit": 100})
    train = subject.find([limited], "train")
    trained_on = splits.load(sources.find("digits"), 0.2, limit=100).train
    np.testing.assert_array_equal(train.sized(32, 32).images, trained_on.images)
    assert measuring.measure(limited, train).row["n"] == 100
    with pytest.raises(Problem, match="untrained was trained with another --limit"):
        measuring.measure(model, train)
    assert [len(subject.find([limited], name).sized(32, 32)) for name in ("validation", "test")] == [288, 360]


@pytest.mark.parametrize("name", ["validation", "train"])
def test_images_that_the_run_may_have_learnt_are_no_validation_images(name, model):
    """A run trained on another copy of the data, whose order and so whose validation images are others."""
    split = subject.find([model], name)
    assert measuring.measure(model, split).row["n"] == len(split.sized(32, 32))
    other = changed(model, validation_fingerprint="0" * 32)
    with pytest.raises(Problem, match="untrained was trained with other validation images"):
        measuring.measure(other, split)
    older = dataclasses.replace(model, info={k: v for k, v in model.info.items() if k != "validation_fingerprint"})
    with pytest.raises(Problem, match="untrained does not say which images validated it"):
        measuring.measure(older, split)
    test = subject.find([model], "test")
    assert measuring.measure(other, test).row["n"] == measuring.measure(older, test).row["n"] == 360


def test_a_run_without_validation_images_is_measured_on_all_that_it_was_trained_on(model):
    everything = changed(model, {"validation": 0}, validation_fingerprint=None)
    split = subject.find([everything], "train")
    assert measuring.measure(everything, split).row["n"] == 1437
    with pytest.raises(Problem, match="untrained was trained with --validation 0"):
        measuring.measure(everything, subject.find([everything], "validation"))
    older = changed(model, {"validation": 0}, splits={"train": 1437, "validation": 0, "test": 360})
    del older.info["validation_fingerprint"]  # as the model that comes with the project
    assert measuring.measure(older, split).row["n"] == 1437


def test_augmentation_mirrors_images_where_the_training_was_allowed_to(model, monkeypatch):
    mirrored = []
    average = measuring.tta.average
    monkeypatch.setattr(measuring.tta, "average", lambda *args: mirrored.append(args[2]) or average(*args))
    split = subject.find([model], "test")
    split.found = dataclasses.replace(
        split.found, read=lambda *_: sources.find("digits").read("test").take(np.arange(50))
    )
    for mirror in (True, False):
        measuring.measure(changed(model, mirror=mirror), split, with_tta=True)
    assert mirrored == [True, False]
    measuring.measure(dataclasses.replace(model, info={}), split, with_tta=True)
    assert mirrored[2:] == [split.source.mirror]  # of a foreign model only the data are known


def test_where_no_bar_is_shown_a_line_says_what_is_measured(model, capsys):
    measuring.measure(dataclasses.replace(model, name="cnn\n"), subject.find([model], "test"))
    assert capsys.readouterr().err == "measuring cnn\\n on 360 images\n"


def test_a_temperature_of_1_rewrites_no_file(model, monkeypatch):
    monkeypatch.setattr(measuring.calibration, "calibrate", lambda *arguments: {"temperature": 1.0, "unsure": {}})
    files = {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in model.path.parent.iterdir()}
    measuring.measure(model, subject.find([model], "test"), calibrate=True)
    assert {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in model.path.parent.iterdir()} == files


def test_images_are_asked_for_by_rows_alone(model):
    split = subject.find([model], "test")
    stored = subject.find([model], "test")
    digits = sources.find("digits").read("test")
    read = {"read": lambda *_: Split(Stored(digits.images), digits.labels), "shape": None}
    stored.found = dataclasses.replace(stored.found, **read)
    measurement, again = (
        measuring.measure(model, images, with_tta=True, robust_images=60) for images in (split, stored)
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
    split = subject.find([model], "test")
    with pytest.raises(Problem):
        measuring.measure(model, split, calibrate=True, robust_images=10)
    assert {file: file.read_bytes() for file in model.path.parent.iterdir()} == files


@pytest.fixture
def coloured(tmp_path):
    """A function that makes the ``SavedModel`` of a network that knows red, green and blue, in the given order."""

    def make(name, class_names, size=32, **info):
        channels = ["red", "green", "blue"]
        kernel = np.zeros((3, len(class_names)), "float32")
        for column, class_name in enumerate(class_names):
            if class_name in channels:
                kernel[channels.index(class_name), column] = 0.05
        network = keras.Sequential([layers.Input((*np.broadcast_to(size, 2), 3)), layers.GlobalAveragePooling2D()])
        network.add(layers.Dense(len(class_names), "softmax"))
        network.layers[-1].set_weights([kernel, np.zeros(len(class_names))])
        network.save(tmp_path / f"{name}.keras")
        info = {"class_names": list(class_names), "data": "colours", "data_fingerprint": "1" * 32} | info
        return SavedModel(name, tmp_path / f"{name}.keras", info)

    return make


class Way:
    """A quicker way to ask a model, which counts what is asked; ``wrong`` answers otherwise."""

    def __init__(self, model, wrong=()):
        self.model, self.wrong, self.asked = model, wrong, []

    def answers(self, images, kind):
        self.asked.append((kind, len(images)))
        probabilities = self.model.predict_on_batch(images[np.arange(len(images))])
        return probabilities[:, ::-1] if kind in self.wrong else probabilities

    def predict(self, images, name):
        return self.answers(images, "kept")

    def folded(self, precision):
        return Arithmetic(self, precision)


class Arithmetic:
    def __init__(self, way, precision):
        self.way, self.precision, self.output_shape = way, precision, way.model.output_shape

    def predict_on_batch(self, images):
        return self.way.answers(images, self.precision)


@pytest.mark.parametrize(
    ("native", "wrong", "asked", "expected"),
    [
        (True, (), "auto", "bfloat16"),
        (True, (), "float32", "float32"),
        (False, (), "auto", "float32"),
        (True, ("bfloat16",), "auto", "float32"),
    ],
)
def test_views_are_asked_about_in_bfloat16_where_that_is_as_good(
    native, wrong, asked, expected, model, monkeypatch, capsys
):
    chosen = {"auto": "bfloat16" if native else "float32"}
    monkeypatch.setattr(measuring.arithmetics, "choose", lambda name: (chosen.get(name, name), ""))
    ways = []
    split = subject.find([model], "test")
    options = {"with_tta": True, "robust_images": 50}
    whole = measuring.measure(model, split, **options).row
    find = lambda network: ways.append(Way(network, wrong)) or ways[0]  # noqa: E731
    row = measuring.measure(model, split, **options, precision=asked, shortcut=find).row
    assert row["tta"].pop("precision") == row["robustness"].pop("precision") == expected
    assert whole["tta"].pop("precision") == whole["robustness"].pop("precision") == "float32"
    del whole["images_per_second"], row["images_per_second"]
    assert row == whole
    views = [kind for kind, count in ways[0].asked if kind != "kept"]
    assert set(views) - set(wrong) == {expected}
    said = "images get the class that float32 gives" in capsys.readouterr().err
    assert said == (native and asked == "auto")


def test_kept_features_that_answer_otherwise_do_not_count(model, capsys):
    split = subject.find([model], "test")
    expected = measuring.measure(model, split).probabilities
    right, wrong = (lambda network: Way(network)), (lambda network: Way(network, ("kept",)))
    np.testing.assert_array_equal(measuring.measure(model, split, shortcut=right).probabilities, expected)
    assert "kept features" not in capsys.readouterr().err
    np.testing.assert_array_equal(measuring.measure(model, split, shortcut=wrong).probabilities, expected)
    assert "untrained gives other answers than its kept features; it is asked itself" in capsys.readouterr().err


COLOURS = ("blue", "green", "red")


def colours(n=30, test=()):
    """A person's own pictures, each of one colour: a third blue, a third green, a third red; any size is to be had."""

    def read(split, size):
        labels = np.arange(n) % 3
        images = np.zeros((n, size, size, 3), "uint8")
        images[np.arange(n), :, :, 2 - labels] = 255
        return Split(images, labels, np.array([f"{i}.png" for i in range(n)], object))

    where = ("colours", "/colours", "~/colours", COLOURS, ("train", *test), read)
    return Source(*where, shape=None, side=64, fingerprint=lambda: "1" * 32)


def test_models_of_two_sizes_are_measured_on_the_same_pictures(coloured):
    split = Subject(colours(), "test", {})
    small, large = coloured("small", COLOURS), coloured("large", COLOURS, size=48)
    measurements = [measuring.measure(model, split, with_tta=True) for model in (small, large)]
    assert [measurement.row["n"] for measurement in measurements] == [6, 6]
    assert [measurement.row["accuracy"] for measurement in measurements] == [1, 1]
    np.testing.assert_array_equal(split.sized(32, 32).files, split.sized(48, 48).files)
    assert split.largest.images.shape == (6, 48, 48, 3)
    [comparison] = measuring.compare(measurements, split.largest)
    assert comparison["both_right"] == 6 and comparison["models"] == ["small", "large"]


def test_models_whose_classes_stand_in_another_order_are_asked_by_name(coloured):
    models = [
        coloured("first", ("red", "violet", "blue", "green")),
        coloured("second", ("green", "blue", "violet", "red")),
    ]
    split = Subject(colours(), "test", {}, class_names=("red", "violet", "blue", "green"))
    options = {"with_tta": True, "robust_images": 6}
    first, second = (measuring.measure(model, split, **options) for model in models)
    np.testing.assert_allclose(first.probabilities, second.probabilities)
    for row in (first.row, second.row):
        assert row["accuracy"] == row["tta"]["accuracy"] == row["robustness"]["clean"] == 1
        assert row["class_names"] == ["red", "violet", "blue", "green"] and row["per_class"]["violet"]["support"] == 0
        assert row["confusion_matrix"] == np.diag([2, 0, 2, 2]).tolist()
    other = coloured("other", ("red", "green", "yellow", "blue"))
    with pytest.raises(Problem, match="^other has other classes than colours$"):
        measuring.measure(other, split)


def test_a_model_without_names_is_asked_in_the_order_of_the_data(coloured):
    bare = dataclasses.replace(coloured("bare", COLOURS), info={})
    assert measuring.measure(bare, Subject(colours(), "test", {})).row["accuracy"] == 1
    with pytest.raises(Problem, match="^bare has other classes than colours$"):
        measuring.measure(bare, Subject(colours(), "test", {}, class_names=(*COLOURS, "violet")))


def test_a_test_split_that_was_cut_otherwise_holds_images_that_were_learnt(coloured):
    split = Subject(colours(), "test", {"test": 0.3})
    assert measuring.measure(coloured("same", COLOURS, options={"test": 0.3}), split).row["n"] == 9
    other = coloured("other", COLOURS, options={"test": 0.2})
    with pytest.raises(Problem, match="^other was trained with another --test; evaluate it alone$"):
        measuring.measure(other, split)
    stranger = dataclasses.replace(other, info=other.info | {"data_fingerprint": "2" * 32})
    assert measuring.measure(stranger, split).row["n"] == 9  # it has learnt none of these pictures
    given = Subject(colours(test=("test",)), "test", {"test": 0.3})
    assert measuring.measure(other, given).row["n"] == 30


def test_images_of_another_shape_are_refused(model, coloured):
    flat = coloured("flat", tuple("0123456789"), size=(16, 32))
    with pytest.raises(Problem, match="^flat takes images of another size than those of digits$"):
        measuring.measure(flat, subject.find([model], "test"))
    flat = coloured("flat", COLOURS, size=(16, 32))
    with pytest.raises(Problem, match="^the pictures of colours are made squares, not 32 x 16 pixels$"):
        measuring.measure(flat, Subject(colours(), "test", {}))
