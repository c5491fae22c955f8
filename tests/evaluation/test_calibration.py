"""Temperature scaling: its fit, its place in a model, and `evaluate.py --calibrate` as a user runs it."""

import contextlib
import dataclasses
import errno
import functools
import itertools
import json
import os
import shutil
import subprocess
import sys

import jsonschema
import keras
import numpy as np
import pytest
from conftest import PROJECT
from keras import layers
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

import evaluate
from classify.command import Problem
from classify.data import sources, splits
from classify.evaluation import calibration, metrics
from classify.files import write_text
from classify.inference import ood
from classify.inference.gradcam import Explainer
from classify.inference.loading import load_keras
from classify.inference.predictor import predict
from classify.runs import saved
from models.cnn import build_cnn


@pytest.fixture
def logits(rng):
    return rng.normal(0, 2, (4000, 5))


@pytest.fixture
def labels(logits, rng):
    """Drawn from the softmax of ``logits``, so that a temperature of 1 is the true one."""
    return (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.4, 1, 3])
def test_the_true_temperature_is_found(temperature, logits, labels):
    probabilities = softmax(logits * temperature, axis=1).astype("float32")
    fitted = calibration.fit(labels, probabilities)
    assert fitted == pytest.approx(temperature, rel=0.05)
    # at the minimum the slope, the mean of (expected logit - true class's logit), is 0
    scaled = logits * temperature / fitted
    slope = (softmax(scaled, axis=1) * scaled).sum(axis=1) - scaled[np.arange(4000), labels]
    assert slope.mean() == pytest.approx(0, abs=1e-3)
    tempered = calibration.tempered(probabilities, fitted)
    np.testing.assert_allclose(tempered, softmax(scaled, axis=1), atol=1e-5)
    assert calibration.fit(labels, tempered) == pytest.approx(1, abs=1e-3)
    assert calibration.best_temperature(labels, probabilities) == fitted
    assert calibration.best_temperature(labels, tempered) == 1  # the loss would fall by next to nothing


class Fixed(ClassifierMixin, BaseEstimator):
    """A classifier whose inputs are its logits."""

    def fit(self, inputs, labels):
        self.classes_ = np.unique(labels)
        return self

    def predict(self, inputs):
        return self.classes_[inputs.argmax(axis=1)]

    def decision_function(self, inputs):
        return inputs


def test_it_is_scikit_learns_temperature(logits, labels):
    frozen = FrozenEstimator(Fixed().fit(logits, labels))
    reference = CalibratedClassifierCV(frozen, method="temperature", ensemble=False).fit(2.5 * logits, labels)
    expected = reference.predict_proba(2.5 * logits)
    probabilities = softmax(2.5 * logits, axis=1)
    tempered = calibration.tempered(probabilities, calibration.fit(labels, probabilities))
    np.testing.assert_allclose(tempered, expected, atol=1e-4)


def test_probabilities_that_float32_rounds_to_0(logits, labels):
    probabilities = softmax(200 * logits, axis=1).astype("float32")
    assert (probabilities == 0).any() and 10 < calibration.fit(labels, probabilities) < 100


def test_what_no_temperature_can_be_told_from(logits, labels):
    right = softmax(logits, axis=1)
    with pytest.raises(Problem, match="makes no mistake"):
        calibration.fit(right.argmax(axis=1), right)
    with pytest.raises(Problem, match="no better than chance"):
        calibration.fit(right.argmin(axis=1), right)


def cnn():
    """Untrained, but for a last layer that does not start at zero."""
    model = build_cnn("standard", (16, 16, 3), 4)
    kernel = model.layers[-1].kernel
    kernel.assign(np.random.default_rng(0).normal(scale=0.1, size=kernel.shape))
    return model


def nested():
    """As an imported network may be: the head is a model of its own, and the softmax a layer of its own."""
    features = keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(6, "relu")])
    head = keras.Sequential([layers.Input((6,)), layers.Dense(4, use_bias=False)])
    inputs = layers.Input((8, 8, 3))
    return keras.Model(inputs, layers.Softmax()(layers.Dropout(0.5)(head(features(inputs)))))


def inception():
    """Laid out as InceptionV3's transfer learning: a base model, then the head, here on a base of one layer."""
    base = keras.Sequential([layers.Input((8, 8, 3)), layers.Conv2D(7, 3)])
    head = [layers.Dense(6, "relu"), layers.Dropout(0.5), layers.Dense(4, "softmax", dtype="float32")]
    return keras.Sequential([layers.Input((8, 8, 3)), base, layers.GlobalAveragePooling2D(), *head])


@pytest.mark.parametrize("build", [cnn, nested, inception])
def test_a_temperature_built_into_the_last_layer(build, rng):
    keras.utils.set_random_seed(0)
    model = build()
    images = rng.integers(0, 256, (100, *model.input_shape[1:])).astype("uint8")
    before = predict(model, images)
    calibration.build_in(model, 2.5)
    after = predict(model, images)
    np.testing.assert_allclose(after, calibration.tempered(before, 2.5), atol=1e-4)
    np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))
    assert np.abs(after - before).max() > 0.01


def test_an_explanation_stays_as_it_is(rng):
    images, classes = rng.integers(0, 256, (8, 16, 16, 3)), np.arange(8) % 4
    model = cnn()
    before = Explainer(model).maps(images, classes)
    calibration.build_in(model, 2.5)
    np.testing.assert_allclose(Explainer(model).maps(images, classes), before / 2.5, rtol=1e-3, atol=1e-7)
    assert before.max() > 0


def finished_run(folder, model, **info):
    folder.mkdir(parents=True)
    model.save(folder / "model.keras")
    names = list("0123456789")
    known = {"status": "finished", "recipe": "standard", "data": "digits", "class_names": names}
    known |= {"options": {"data": "digits", "validation": 0.1}, "splits": {"validation": 144}}
    known["validation_fingerprint"] = splits.fingerprint(splits.read_split(sources.find("digits"), "validation"))
    (folder / "run.json").write_text(json.dumps(known | info))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A working folder with a run on digits that errs now and then and is too sure of it: the nearest mean image."""
    train = splits.read_split(sources.find("digits"), "train")
    means = np.stack([train.images[train.labels == i].mean(axis=0).ravel() for i in range(10)]) / 255
    last = layers.Dense(10, "softmax")
    model = keras.Sequential([layers.Input((32, 32, 3)), layers.Rescaling(1 / 255), layers.Flatten(), last])
    last.set_weights([0.2 * means.T, -0.1 * (means**2).sum(axis=1)])
    folder = tmp_path_factory.mktemp("original")
    finished_run(folder / "runs" / "sure", model, unsure={"score": "generalized entropy", "threshold": 1.0})
    os.utime(folder / "runs/sure/run.json", (1e9, 1e9))
    return folder


@pytest.fixture
def folder(original, tmp_path):
    """A copy of it."""
    return shutil.copytree(original, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def run(in_process):
    """A function that runs `evaluate.py` in a folder."""
    return functools.partial(in_process, evaluate.main)


def asked(path, split):
    return predict(load_keras(path), split.images)


def test_calibrate_rewrites_a_run(folder, run):
    sure = folder / "runs" / "sure"
    validation, test = (splits.read_split(sources.find("digits"), split) for split in ("validation", "test"))
    before = [asked(sure / "model.keras", split) for split in (validation, test)]
    files = {file.name: file.read_bytes() for file in sure.iterdir()}
    process = run("sure", "--calibrate", "--json", cwd=folder)
    assert process.returncode == 0, process.stderr
    printed = json.loads(process.stdout)
    jsonschema.validate(printed, json.loads((PROJECT / "docs" / "evaluate.schema.json").read_text()))
    [row] = printed["models"]

    temperature = row["calibrated"]["temperature"]
    assert temperature > 1.5 and row["calibrated"]["n"] == 144
    after = [asked(sure / "model.keras", split) for split in (validation, test)]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_allclose(new, calibration.tempered(old, temperature), atol=1e-4)
        np.testing.assert_array_equal(new.argmax(axis=1), old.argmax(axis=1))
    for when, probabilities in (("before", before[0]), ("after", after[0])):
        expected = metrics.calibration(validation.labels, probabilities)
        for key in ("nll", "ece", "brier"):
            assert row["calibrated"][when][key] == pytest.approx(expected[key], abs=1e-5)
    assert row["calibrated"]["after"]["nll"] < row["calibrated"]["before"]["nll"]
    assert row["calibration"]["nll"] == pytest.approx(row["loss"])

    changed = {file.name for file in sure.iterdir() if file.read_bytes() != files.get(file.name)}
    files_now = {file.name for file in sure.iterdir()}
    assert changed == {"model.keras", "model.tflite", "metrics.json", "run.json"} == files_now
    measured = json.loads((sure / "metrics.json").read_text())
    expected = {"data": "digits", "split": "test"}
    assert measured == expected | metrics.measure(test.labels, after[1], tuple("0123456789"))
    assert measured == {key: row[key] for key in measured}
    info = json.loads((sure / "run.json").read_text())
    assert info == json.loads(files["run.json"]) | {"temperature": temperature, "unsure": row["calibrated"]["unsure"]}
    old, new = (ood.make_rule(probabilities) for probabilities in (before[0], after[0]))
    assert info["unsure"] == {"score": new["score"], "threshold": pytest.approx(new["threshold"], abs=1e-4)}
    assert abs(new["threshold"] - old["threshold"]) > 0.01
    assert (sure / "run.json").stat().st_mtime == 1e9  # a calibrated run becomes no newer run


@pytest.mark.parametrize("known", [{}, {"unsure": None}, {"unsure": {"score": "another", "threshold": 1}}])
def test_a_threshold_is_replaced_only_where_there_was_one(known, folder):
    run = folder / "runs" / "sure"
    info = {key: value for key, value in json.loads((run / "run.json").read_text()).items() if key != "unsure"}
    (run / "run.json").write_text(json.dumps(info | known))
    calibrated = {"temperature": 2.0, "unsure": {"score": "generalized entropy", "threshold": 5.0}}
    calibration.save(load_keras(run / "model.keras"), saved.find(run), calibrated, {})
    expected = {"unsure": calibrated["unsure"]} if known.get("unsure") else known
    assert json.loads((run / "run.json").read_text()) == info | {"temperature": 2.0} | expected


def test_a_second_call_starts_from_the_first(folder, run):
    """Also what is printed, that a calibrated model needs none of this project's code, and which runs are refused."""
    assert run("sure", "--calibrate", "--json", cwd=folder).returncode == 0
    first = json.loads((folder / "runs/sure/run.json").read_text())["temperature"]
    model = load_keras(folder / "runs/sure/model.keras")
    calibration.build_in(model, 0.5)
    model.save(folder / "runs/sure/model.keras")
    shutil.copy(folder / "runs/sure/model.keras", folder / "bare.keras")
    finished_run(folder / "runs" / "everything", model, splits={"train": 1437, "validation": 0, "test": 360})
    shutil.copy(folder / "bare.keras", folder / "cnn.keras")  # described as the shipped one is
    shutil.copy(folder / "runs/sure/run.json", folder / "cnn.json")
    names = ("sure", "runs/everything", "cnn.keras", "bare.keras")
    process = run(*names, "--calibrate", cwd=folder)
    assert process.returncode == 1
    under_way = ("calibrating ", "measuring ")
    *reasons, page = (line for line in process.stderr.splitlines() if not line.startswith(under_way))
    assert page == "runs/report-digits.html"
    assert len(reasons) == 3 and "everything was trained with --validation 0" in reasons[0]
    assert all("only a run's model.keras" in reason for reason in reasons[1:])
    lines = process.stdout.splitlines()
    assert lines[0].startswith("sure: temperature 2.000, now built into its model.keras.")
    assert max(map(len, lines)) <= 80
    second = json.loads((folder / "runs/sure/run.json").read_text())["temperature"]
    assert second == pytest.approx(2 * first, rel=1e-3)

    process = run("sure", "--calibrate", cwd=folder)
    assert process.stdout.startswith("sure: temperature 1.000; no other gives a lower loss")
    assert json.loads((folder / "runs/sure/run.json").read_text())["temperature"] == second
    code = "import sys, keras; model = keras.saving.load_model(sys.argv[1]); print(model.compiled, model.dtype_policy)"
    plain = [sys.executable, "-I", "-c", code, str(folder / "runs/sure/model.keras")]
    opened = subprocess.run(plain, capture_output=True, text=True).stdout
    assert opened.startswith("False") and "float32" in opened


def test_a_model_without_a_last_dense_layer_is_left_as_it_is(folder):
    dense = keras.saving.load_model(folder / "runs/sure/model.keras").layers[-1]
    convolution = layers.Conv2D(10, 32)
    front = [layers.Input((32, 32, 3)), layers.Rescaling(1 / 255)]
    model = keras.Sequential([*front, convolution, layers.Flatten(), layers.Softmax()])
    kernel, bias = dense.get_weights()
    convolution.set_weights([kernel.reshape(32, 32, 3, 10), bias])
    finished_run(folder / "runs" / "conv", model)
    conv = saved.find(folder / "runs" / "conv")
    with pytest.raises(Problem, match="does not end in a Dense layer"):
        calibration.calibrate(load_keras(conv.path), conv, sources.find("digits"))


def test_calibrate_takes_no_other_data(tmp_path, run):
    for options in (["--data", "digits"], ["--split", "validation"]):
        process = run("--calibrate", *options, cwd=tmp_path)
        assert process.returncode == 2 and "takes neither --data nor --label nor --split" in process.stderr


def test_the_same_run_named_twice_keeps_its_temperature(folder, run):
    process = run("sure", "runs/sure", "--calibrate", "--json", cwd=folder)
    [row] = json.loads(process.stdout)["models"]
    assert row["calibrated"]["temperature"] > 1.5
    assert json.loads((folder / "runs/sure/run.json").read_text())["temperature"] == row["calibrated"]["temperature"]


def test_a_run_is_calibrated_only_on_images_that_it_left_out(folder):
    sure = saved.find(folder / "runs" / "sure")
    other = dataclasses.replace(sure, info=sure.info | {"validation_fingerprint": "0" * 32})
    with pytest.raises(Problem, match="sure was trained with other validation images"):
        calibration.calibrate(load_keras(sure.path), other, sources.find("digits"))


@pytest.fixture
def rewrite(folder, monkeypatch):
    """A function that saves a calibrated run and calls another one before each file that takes its place.

    It returns the names of the files that are new then, and all names.
    """
    run = folder / "runs" / "sure"
    (run / "metrics.json").write_text("old")
    (run / "model.tflite").write_text("old")
    before, replace = {file.name: file.read_bytes() for file in run.iterdir()}, os.replace

    def state():
        files = {file.name: file.read_bytes() for file in run.iterdir() if file.is_file() and file.name in before}
        return {name for name, text in files.items() if text != before[name]}, set(files)

    def export(model, path, *rest):
        write_text(path.with_suffix(".tflite"), "new")

    def rewrite(do):
        for name, text in before.items():
            (run / name).write_bytes(text)
        monkeypatch.setattr(os, "replace", lambda *paths: (do(state()), replace(*paths)))
        calibrated = {"temperature": 2.0, "unsure": {"score": "generalized entropy", "threshold": 5.0}}
        with contextlib.suppress(KeyboardInterrupt):
            calibration.save(load_keras(run / "model.keras"), saved.find(run), calibrated, {})
        return state()

    monkeypatch.setattr("classify.inference.saving.export.export", export)
    return rewrite


def test_an_interrupted_calibrate_leaves_the_old_run_or_the_new_one(rewrite, ctrl_c):
    moments = []
    everything = {"model.keras", "model.tflite", "metrics.json", "run.json"}
    assert rewrite(moments.append) == (everything, everything)
    ends = []
    for moment in range(len(moments)):
        left = itertools.count(moment, -1)
        ends.append(rewrite(lambda _, left=left: ctrl_c() if next(left) == 0 else None))
    assert all(end in ((set(), everything), (everything, everything)) for end in ends)
    assert ends[0] != ends[-1]


def test_a_calibrate_that_was_killed_leaves_a_whole_run_or_none(rewrite):
    """Nobody can hold a kill back: what is there at each moment is the old run, the new one, or lacks its run.json."""
    moments = []
    everything, _ = rewrite(moments.append)
    assert all(not changed or "run.json" not in names for changed, names in moments)
    assert any(changed for changed, _ in moments)


def test_a_run_that_cannot_be_rewritten_stops_no_other(rewrite):
    def full(state):
        raise PermissionError(errno.EACCES, "Permission denied", "model.keras")

    with pytest.raises(Problem, match="sure cannot be calibrated: .*model.keras cannot be written: permission denied"):
        rewrite(full)


def test_a_run_that_was_trained_anew_meanwhile_is_not_overwritten(folder):
    sure = saved.find(folder / "runs" / "sure")
    model, newer = load_keras(sure.path), sure.info | {"seconds": 9.0}
    (sure.path.parent / "run.json").write_text(json.dumps(newer))
    before = sure.path.read_bytes()
    calibrated = {"temperature": 2.0, "unsure": {"score": "generalized entropy", "threshold": 5.0}}
    with pytest.raises(Problem, match="sure was trained anew meanwhile"):
        calibration.save(model, sure, calibrated, {})
    assert sure.path.read_bytes() == before and json.loads((sure.path.parent / "run.json").read_text()) == newer
