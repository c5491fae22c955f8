"""What finishes a run: the saved file is the calibrated one, and every percentage is that file's."""

import dataclasses
import json
import re
import time

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import evaluate
import predict
import train_cnn
from classify.command import Problem
from classify.data import sources, splits
from classify.data.decoding import REDUCTIONS
from classify.evaluation import calibration, metrics
from classify.inference import ood, tta
from classify.inference.loading import load_keras
from classify.inference.predictor import predict as probabilities_of
from classify.reporting import conclusion
from classify.runs.folder import Run
from classify.training.state import TrainingState


@pytest.fixture(scope="module")
def data():
    return splits.load(sources.find("digits"))


@pytest.fixture
def too_sure(data):
    """A function that builds a network for digits that errs now and then and is too sure of it: the nearest mean."""
    labels, images = data.train.labels, data.train.images
    means = np.stack([images[labels == i].mean(axis=0).ravel() for i in range(10)]) / 255

    def build():
        last = layers.Dense(10, "softmax")
        model = keras.Sequential([layers.Input((32, 32, 3)), layers.Rescaling(1 / 255), layers.Flatten(), last])
        last.set_weights([0.2 * means.T, -0.1 * (means**2).sum(axis=1)])
        return model

    return build


def conclude(folder, model, data, *options, validate=None):
    """Finish a run whose one epoch has ended; return what run.json says."""
    state = TrainingState(model, "network", best_epoch=1)
    state.history.append(dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"), 0.5))
    state.history[0] |= {"epoch": 1, "seconds": 1.0}
    settings = train_cnn.parse(["--data", "digits", *options])
    with Run(folder) as run:
        conclusion.conclude(run, model, data, state, settings, "float32", time.perf_counter(), validate=validate)
    return json.loads((folder / "run.json").read_text())


def test_every_percentage_is_the_calibrated_files(data, too_sure, elsewhere, capsys):
    folder, plain = elsewhere / "runs" / "cnn-digits", too_sure()
    info = conclude(folder, too_sure(), data)
    assert info["temperature"] > 1.5 and info["options"]["calibrate"] is True
    assert info["reduction"] == "centre-bilinear"
    assert f"calibrated with temperature {info['temperature']:.3f}" in capsys.readouterr().err
    saved = load_keras(folder / "model.keras")
    validation, test = (probabilities_of(saved, split.images) for split in (data.validation, data.test))
    trained = probabilities_of(plain, data.test.images)
    np.testing.assert_allclose(test, calibration.tempered(trained, info["temperature"]), atol=1e-5)
    assert calibration.fit(data.validation.labels, validation) == pytest.approx(1, abs=1e-3)  # nothing is left to do
    rule = ood.make_rule(validation, data.validation.images, ood.typical(data.train.images))
    assert info["unsure"] == rule | {key: pytest.approx(rule[key], abs=1e-4) for key in ("threshold", "weight")}
    measured = json.loads((folder / "metrics.json").read_text())
    assert measured["loss"] == pytest.approx(metrics.measure(data.test.labels, test, data.class_names)["loss"])

    Image.fromarray(data.test.images[0]).save("digit.png")
    best, percentage = test[0].argmax(), f"{100 * test[0].max():.1f} %"
    assert percentage != f"{100 * trained[0].max():.1f} %"
    assert predict.main(["digit.png", "--model", "cnn-digits"]) == 0
    assert percentage in capsys.readouterr().out
    assert predict.main(["digit.png", "--model", "cnn-digits", "--json", "--tta"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer["probabilities"].values()) == pytest.approx(test[0].tolist(), abs=1e-4)
    assert answer["class"] == answer["tta"]["class"] == str(best)

    assert evaluate.main(["cnn-digits", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)["models"]
    assert row["calibration"]["ece"] == pytest.approx(metrics.calibration(data.test.labels, test)["ece"], abs=1e-5)
    wrong = test.argmax(axis=1) != data.test.labels
    page = (elsewhere / "runs" / "report-digits.html").read_text()
    shown = re.findall(r'<span class="answer">(\d), ([\d.]+)', page)
    surest = sorted(test[wrong].max(axis=1), reverse=True)
    assert [float(share) for _, share in shown] == pytest.approx(
        [100 * share for share in surest[: len(shown)]], abs=0.06
    )
    assert shown


@pytest.fixture
def quick(without_litert, monkeypatch):
    """Finish runs without the light copy and the pictures, which take most of the time."""
    monkeypatch.setattr(conclusion, "draw", lambda *arguments: None)


def test_no_answer_changes_plain_or_over_views(data, too_sure, elsewhere, quick):
    conclude(elsewhere / "run", too_sure(), data)
    images = data.test.images[:100]

    def answers(model):
        def ask(pixels):
            return probabilities_of(model, pixels)

        return ask(images).argmax(axis=1), tta.average(ask, images, mirror=False).argmax(axis=1)

    for before, after in zip(answers(too_sure()), answers(load_keras(elsewhere / "run" / "model.keras")), strict=True):
        np.testing.assert_array_equal(before, after)


def test_without_calibration_the_file_is_as_it_was_trained(data, too_sure, elsewhere, quick):
    info = conclude(elsewhere / "run", too_sure(), data, "--no-calibrate")
    assert "temperature" not in info and info["options"]["calibrate"] is False
    saved = load_keras(elsewhere / "run" / "model.keras")
    for before, after in zip(too_sure().get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_where_every_answer_is_right_the_temperature_is_1(data, too_sure, elsewhere, quick, capsys):
    def validate():
        return 0.05 + 0.5 * np.eye(10)[data.validation.labels]

    assert conclude(elsewhere / "run", too_sure(), data, validate=validate)["temperature"] == 1
    assert "not calibrated: it makes no mistake on the 144 validation images" in capsys.readouterr().err


def test_a_model_that_cannot_be_asked_is_saved_all_the_same(data, too_sure, elsewhere, quick):
    def validate():
        raise Problem("the model does not return probabilities")

    info = conclude(elsewhere / "run", too_sure(), data, validate=validate)
    assert info["unsure"] is None and "temperature" not in info
    assert (elsewhere / "run" / "model.keras").is_file()


@pytest.mark.parametrize(
    ("known", "recipe", "way"),
    [
        ({}, "record", "centre-bilinear"),
        ({}, "inception", "centre-box"),
        ({"shape": None}, "inception", "centre-quick"),
        ({"fingerprint": lambda: "0" * 32}, "record", "centre-quick"),
    ],
)
def test_pictures_are_reduced_as_suits_the_network_or_as_its_training_did(known, recipe, way, data):
    assert conclusion.reduction_for(dataclasses.replace(data.source, **known), recipe) == way
    assert way in REDUCTIONS
