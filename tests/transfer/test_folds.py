"""Heads that judge only pictures they were not trained on, and which model checks which labels."""

import types

import keras
import numpy as np
import pytest
from PIL import Image

from classify.command import Problem
from classify.data import sources, splits, store
from classify.evaluation.measuring import Measurement
from classify.evaluation.subject import find
from classify.runs.saved import SavedModel
from classify.transfer import folds


def test_a_head_knows_no_label_of_the_pictures_that_it_judges(rng):
    features, given = rng.normal(0, 1, (100, 400)).astype("float32"), np.arange(100) % 2
    probabilities = folds.out_of_fold(features, given, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert 0.3 < (probabilities.argmax(axis=1) == given).mean() < 0.7  # a head sees through noise it was trained on
    features[:, :40] += 3 * given[:, None]
    assert (folds.out_of_fold(features, given, 2).argmax(axis=1) == given).mean() > 0.95


def test_classes_of_few_pictures_do_no_harm_where_two_have_enough(rng):
    given = np.array([0] * 10 + [2] * 10 + [3])
    probabilities = folds.out_of_fold(rng.normal(0, 1, (21, 4)), given, 5)
    assert probabilities.shape == (21, 5) and (probabilities[:, [1, 4]] == 0).all()
    assert probabilities[20, 3] == 0 and (probabilities[:20, 3] > 0).sum() >= 16  # the other folds' heads know it
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    with pytest.raises(Problem, match="only where at least two classes have 5 pictures each"):
        folds.out_of_fold(rng.normal(0, 1, (16, 4)), np.array([0] * 10 + [1] * 4 + [2] * 2), 3)


class Colours:
    """Stands for InceptionV3: its 2,048 features are an image's mean colour, again and again."""

    asked = []

    def __init__(self, model, precision):
        self.precision = precision

    def extract(self, images, name):
        self.asked.append((name, self.precision, len(images)))
        return np.tile(images[np.arange(len(images))].mean(axis=(1, 2)), 683)[:, :2048].astype("float32")


@pytest.fixture
def photos(tmp_path, rng, monkeypatch):
    """A folder of 60 red and 60 blue pictures; one picture under red is blue."""
    monkeypatch.setattr(store, "ROOT", tmp_path / "stores")
    for name, channel in (("blue", 2), ("red", 0)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(60):
            pixels = rng.integers(0, 100, (32, 32, 3), dtype="uint8")
            pixels[..., 2 if (name, number) == ("red", 7) else channel] += 100
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def measured(photos, name, recipe, model, monkeypatch, **options):
    """A ``Measurement`` of a run on a folder, as far as the check looks at it."""
    source = sources.find(str(photos))
    fingerprint = splits.fingerprint(splits.read_split(source, "validation", size=32))
    info = {"recipe": recipe, "data": source.name, "data_fingerprint": source.fingerprint()}
    info |= {"class_names": list(source.class_names), "options": {"data": str(photos), **options}}
    saved = SavedModel(name, photos / f"{name}.keras", info | {"validation_fingerprint": fingerprint})
    monkeypatch.setattr(folds, "load_keras", lambda path, trust: model)
    return Measurement(saved, None, {"name": name})


def test_heads_on_features_check_every_split(photos, monkeypatch):
    monkeypatch.setattr(folds, "Extractor", Colours)
    monkeypatch.setattr(Colours, "asked", [])
    model = types.SimpleNamespace(input_shape=(None, 32, 32, 3))
    cnn = measured(photos, "cnn", "standard", None, monkeypatch)
    inception = measured(photos, "inception", "inception", model, monkeypatch, precision="float32")
    check = folds.check_labels([cnn, inception], find([inception.saved], "test"))
    assert Colours.asked == [("train", "float32", 86), ("validation", "float32", 10), ("test", "float32", 24)]
    assert "labels" not in cnn.row and inception.row["labels"] is check.entry
    assert check.entry["n"] == 120 and check.entry["splits"] == ["train", "validation", "test"]
    wrong = {doubt["file"]: doubt for doubt in check.entry["doubtful"]}
    assert wrong["red/7.png"]["label"] == "red" and wrong["red/7.png"]["looks_like"] == "blue"
    assert len(wrong) < 12 and wrong["red/7.png"]["label_quality"] < 0.1
    row = check.rows[list(wrong).index("red/7.png")]
    assert check.pictures.files[row] == "red/7.png"
    assert check.pictures.images[np.array([row])][0, ..., 2].mean() > 130


def test_a_cnn_checks_what_it_did_not_learn(photos, monkeypatch, capsys):
    model = keras.Sequential(
        [
            keras.layers.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, "softmax"),
        ]
    )
    model.layers[-1].set_weights([np.array([[-20, 20], [0, 0], [20, -20]], "float32"), np.zeros(2, "float32")])
    cnn = measured(photos, "cnn", "standard", model, monkeypatch)
    entry = folds.check_labels([cnn], find([cnn.saved], "test")).entry
    assert entry["splits"] == ["validation", "test"] and entry["n"] == 34
    found = [doubt["file"] for doubt in entry["doubtful"]]
    split = splits.load(sources.find(str(photos)), size=32)
    assert found == ([] if "red/7.png" in split.train.files else ["red/7.png"])
    assert "cnn learnt the labels of the train images, so only the others are checked" in capsys.readouterr().err
    cnn.saved.info["validation_fingerprint"] = "0" * 32
    with pytest.raises(Problem, match="cnn was trained with other validation images"):
        folds.check_labels([cnn], find([cnn.saved], "test"))


def test_a_model_of_unknown_data_checks_nothing(photos, monkeypatch):
    known = measured(photos, "cnn", "standard", None, monkeypatch)
    bare = Measurement(SavedModel("bare", photos / "bare.keras", {}), None, {})
    with pytest.raises(Problem, match="bare.keras does not say what it was trained on"):
        folds.check_labels([bare], find([known.saved], "test"))
