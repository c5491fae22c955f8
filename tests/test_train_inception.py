"""The command `train_inception.py`, as a user runs it; on random weights, as no test may download the real ones."""

import json
import re
import shutil
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from conftest import PROJECT, TrainedRun, script
from PIL import Image

import evaluate
import train_inception
from benchmarks.crash import small_base
from classify.data import sources, splits
from classify.inference import export, litert, ood
from classify.inference.loading import load_keras
from classify.inference.predictor import predict
from classify.runs.checkpoint import Checkpoints
from classify.runs.history import read
from classify.safety import keras_file
from classify.training import callbacks

RANDOM = ("--data", "digits", "--weights", "none", "--upsampling", "3")
QUICK = (*RANDOM, "--limit", "96", "--epochs", "3", "--batch-size", "32")


@pytest.fixture(scope="module")
def inception_run(digits_run, tmp_path_factory):
    """A finished run beside a finished one of the CNN."""
    cwd = tmp_path_factory.mktemp("inception")
    shutil.copytree(digits_run.folder, cwd / "runs" / "cnn-digits")
    process = script("train_inception.py", *QUICK, cwd=cwd)
    assert process.returncode == 0, process.stderr
    return TrainedRun(cwd, cwd / "runs" / "inception-digits", process)


def test_the_run_folder_is_that_of_a_cnn(inception_run):
    names = {"model.keras", "model.tflite", "metrics.json", "history.csv", "curves.png", "confusion.png", "run.json"}
    assert {file.name for file in inception_run.folder.iterdir()} == names
    run = json.loads((inception_run.folder / "run.json").read_text())
    assert (run["status"], run["recipe"], run["data"]) == ("finished", "inception", "digits")
    assert run["splits"] == {"train": 96, "validation": 144, "test": 360}
    validation = splits.read_split(sources.find("digits"), "validation", 0.1).images
    rows = predict(load_keras(inception_run.folder / "model.keras"), validation)
    expected = ood.make_rule(rows, validation, ood.known(run["unsure"]))
    assert run["unsure"]["score"] == ood.SCORE and run["temperature"] > 0
    assert run["unsure"]["threshold"] == pytest.approx(expected["threshold"], abs=0.05)
    assert run["options"]["weights"] == "none" and run["options"]["upsampling"] == 3
    assert "inception, random weights\ndigits test, 360 images\n" in inception_run.process.stdout
    printed = inception_run.process.stdout + inception_run.process.stderr
    assert max(map(len, printed.splitlines())) <= 80


def test_the_saved_model_is_the_whole_network_in_bare_keras(inception_run, tmp_path):
    np.save(tmp_path / "pixels.npy", sources.find("digits").read("test").images[:3])
    code = """
import sys, numpy as np, keras
model = keras.saving.load_model(sys.argv[1])
assert not any("classify" in path for path in sys.path)
kinds = [type(layer).__name__ for layer in model.layers]
assert kinds == ["Rescaling", "UpSampling2D", "Functional", "GlobalAveragePooling2D", "Dense", "Dropout", "Dense"]
assert not model.layers[2].trainable and all(layer.dtype_policy.name == "float32" for layer in model.layers)
np.save("answer.npy", model.predict(np.load("pixels.npy").astype("float64"), verbose=0))
"""
    path = str(inception_run.folder / "model.keras")
    subprocess.run([sys.executable, "-I", "-c", code, path], cwd=tmp_path, check=True)
    here = predict(load_keras(path), np.load(tmp_path / "pixels.npy"))
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), here, atol=1e-5)


def test_evaluate_prints_both_networks_side_by_side(inception_run, monkeypatch, capsys):
    monkeypatch.chdir(inception_run.cwd)
    assert evaluate.main(["runs/cnn-digits", "runs/inception-digits"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[4].startswith("cnn-digits ") and lines[6].startswith("inception-di")  # a long name is folded
    stored = json.loads((inception_run.folder / "metrics.json").read_text())["accuracy"]
    assert f"{stored:.3f}" in lines[6]
    [cost] = [line for line in lines if "22.33M" in line]
    assert cost.startswith("inception-digits ")
    assert max(map(len, lines)) <= 80


def test_predict_takes_it_like_any_other(inception_run, rng, tmp_path):
    Image.fromarray(rng.integers(0, 256, (50, 50, 3), dtype="uint8")).save(tmp_path / "x.png")
    process = script("predict.py", tmp_path / "x.png", "--model", "inception-digits", "--json", cwd=inception_run.cwd)
    assert process.returncode == 0 and set(json.loads(process.stdout)["probabilities"]) == set("0123456789")


def test_a_further_run_computes_no_features_and_converts_nothing(inception_run, monkeypatch, capsys):
    before = {path: path.stat().st_mtime_ns for path in inception_run.cwd.glob("features/*/*")}
    # Shards of training, validation and test images and of those that a light copy is tried on, and a light copy.
    assert sorted(path.suffix for path in before) == [".npy"] * 4 + [".tflite"]
    monkeypatch.chdir(inception_run.cwd)
    monkeypatch.setattr(export, "_converted", lambda *_: pytest.fail("converted again"))
    assert train_inception.main([*QUICK, "--dropout", "0"]) == 0
    assert "runs/inception-digits-2" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in inception_run.cwd.glob("features/*/*")} == before
    further, images = inception_run.cwd / "runs" / "inception-digits-2", sources.find("digits").read("test").images
    light = litert.find(further / "model.keras", keras_file.check(further / "model.keras"))
    whole = load_keras(further / "model.keras")
    np.testing.assert_allclose(predict(light, images[:50]), predict(whole, images[:50]), atol=1e-5)
    measured = json.loads((further / "metrics.json").read_text())
    assert measured["accuracy"] == np.mean(
        predict(whole, images).argmax(axis=1) == sources.find("digits").read("test").labels
    )


def test_killed_while_extracting_it_goes_on_and_ends_with_the_same_features(tmp_path):
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()

    def start(name):
        command = [sys.executable, PROJECT / "train_inception.py", *RANDOM]
        return subprocess.Popen(command, cwd=tmp_path / name, stderr=subprocess.PIPE, text=True)

    process = start("killed")
    while process.poll() is None and not list((tmp_path / "killed").glob("features/*/[!.]*.npy")):
        time.sleep(0.05)
    process.kill()
    process.communicate()
    [first] = (tmp_path / "killed").glob("features/*/[!.]*.npy")
    written = first.stat().st_mtime_ns
    for name in ("killed", "whole"):
        process = start(name)
        assert any("epochs will take" in line for line in process.stderr)  # the features are there
        process.kill()
        process.communicate()
    assert first.stat().st_mtime_ns == written

    def shards(name):
        return {path.name: path.read_bytes() for path in (tmp_path / name).glob("features/*/[!.]*.npy")}

    assert len(shards("whole")) == 3 and shards("killed") == shards("whole")


def test_killed_in_the_head_and_in_fine_tuning_it_ends_the_same_to_the_bit(tmp_path, monkeypatch, without_litert):
    """In place of kill -9, which benchmarks/crash.py sends; with its small base."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keras.applications, "InceptionV3", small_base)
    monkeypatch.setattr("models.inception.FEATURES", 32)
    for name in ("EVERY", "WITHIN", "PATIENCE"):
        monkeypatch.setattr(callbacks, name, 0)
    save = Checkpoints.save
    options = [*QUICK, "--fine-tune", "1", "--optimizer", "sgd"]
    assert train_inception.main([*options, "--out", "twin"]) == 0

    def run_until(stage, step, *arguments):
        def killed(self, description, arrays):
            save(self, description, arrays)
            if (description["stage"], description["epoch"], description["step"]) == (stage, 1, step):
                raise SystemExit(9)

        with monkeypatch.context() as patch, pytest.raises(SystemExit):
            patch.setattr(Checkpoints, "save", killed)
            train_inception.main(arguments)

    run_until("head", 2, *options)
    run_until("fine-tuning", 1, "--resume")
    assert train_inception.main(["--resume", "runs/inception-digits"]) == 0
    folders = tmp_path / "runs" / "inception-digits", tmp_path / "twin"
    weights = [keras.saving.load_model(folder / "model.keras").get_weights() for folder in folders]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len({(folder / "metrics.json").read_bytes() for folder in folders}) == 1
    rows = [[epoch | {"seconds": 0} for epoch in read(folder / "history.csv")] for folder in folders]
    assert rows[0] == rows[1] and len(rows[0]) > 3
    assert {file.name for file in folders[0].iterdir()} == {file.name for file in folders[1].iterdir()}


def test_fine_tuning_keeps_the_layers_and_the_batch_normalization(inception_run, monkeypatch, capsys, without_litert):
    monkeypatch.chdir(inception_run.cwd)
    assert train_inception.main([*QUICK, "--fine-tune", "1", "--out", "tuned"]) == 0
    progress = capsys.readouterr().err
    assert re.search(r"fine-tuning, last inception blocks: 1, parameters that train: [\d,]+\n", progress)
    tuned = keras.saving.load_model(inception_run.cwd / "tuned" / "model.keras")
    plain = keras.saving.load_model(inception_run.folder / "model.keras")
    assert [type(layer) for layer in tuned.layers] == [type(layer) for layer in plain.layers]
    assert tuned.count_params() == plain.count_params()
    bases = [model.get_layer("inception_v3").layers for model in (tuned, plain)]
    for layer, former in zip(*bases, strict=True):
        if isinstance(layer, keras.layers.BatchNormalization):
            for a, b in zip(layer.get_weights(), former.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
    epochs = read(inception_run.cwd / "tuned" / "history.csv")
    assert [epoch["epoch"] for epoch in epochs] == list(range(1, len(epochs) + 1)) and len(epochs) > 3
    assert 0 < epochs[3]["learning_rate"] <= train_inception.RECIPE["learning_rate"] / 100


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--upsampling", "2"), 2, "32 pixels times 2 is less than the 75"),
        (("--upsampling", "100000000"), 2, "32 pixels times 100000000 is more than the 1024"),
        (("--fine-tune", "11"), 2, "--fine-tune takes at most 10"),
        (("--weights", "nowhere.h5"), 1, "no weights file nowhere.h5"),
        (("--weights", "text.h5"), 1, "text.h5 does not hold InceptionV3's weights"),
    ],
)
def test_what_cannot_be_used_is_one_line(arguments, status, words, tmp_path, in_process):
    (tmp_path / "text.h5").write_text("hello")
    process = in_process(train_inception.main, "--data", "digits", *arguments, cwd=tmp_path)
    assert process.returncode == status and words in process.stderr.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def test_a_failed_download_of_the_weights_says_what_to_do(tmp_path):
    process = script("train_inception.py", "--data", "digits", cwd=tmp_path, env={"KERAS_HOME": str(tmp_path)})
    assert process.returncode == 1 and "--weights path/to/file" in process.stderr
    assert max(map(len, process.stderr.splitlines())) <= 80 + len(str(tmp_path))
