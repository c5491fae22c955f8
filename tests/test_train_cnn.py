"""The command `train_cnn.py`, as a user runs it."""

import csv
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import PROJECT, script
from PIL import Image

import evaluate
import train_cnn
from classify.command import Problem
from classify.data import sources, splits
from classify.evaluation import calibration
from classify.files import DiskFull
from classify.inference import ood
from classify.inference.loading import load_keras
from classify.inference.predictor import predict
from classify.reporting import conclusion
from classify.runs import history
from classify.runs.checkpoint import Checkpoints
from classify.training import callbacks
from classify.training.callbacks import TrainingProgress

QUICK = ("--data", "digits", "--limit", "128", "--epochs", "2")
LONG = ("--data", "digits", "--limit", "256", "--recipe", "sprint", "--epochs", "1000")


def test_digits_reach_97_percent_on_test(digits_run):
    metrics = json.loads((digits_run.folder / "metrics.json").read_text())
    assert (metrics["data"], metrics["split"], metrics["n"]) == ("digits", "test", 360)
    assert metrics["accuracy"] >= 0.97
    low, high = metrics["accuracy_interval"]
    assert low < metrics["accuracy"] <= high <= 1
    assert np.sum(metrics["confusion_matrix"]) == 360
    assert list(metrics["per_class"]) == metrics["class_names"] == list("0123456789")


def test_results_go_to_standard_output_and_progress_to_standard_error(digits_run):
    output, progress = digits_run.process.stdout, digits_run.process.stderr
    metrics = json.loads((digits_run.folder / "metrics.json").read_text())
    assert f"accuracy   {metrics['accuracy']:.4f}" in output and "digits test, 360 images" in output
    assert "epoch" not in output
    assert "1,293 train · 144 validation · 360 test" in progress and "epoch 4/4" in progress
    assert "will take about" in progress and "\nruns/cnn-digits   " in progress
    assert "WARNING" not in progress and "I0000" not in progress
    assert max(map(len, (output + progress).splitlines())) <= 80


def test_the_run_folder_is_complete(digits_run):
    names = {"model.keras", "model.tflite", "metrics.json", "history.csv", "curves.png", "confusion.png", "run.json"}
    assert {file.name for file in digits_run.folder.iterdir()} == names
    for name in ("curves.png", "confusion.png"):
        assert min(Image.open(digits_run.folder / name).size) > 300
    with open(digits_run.folder / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"]
    assert len(rows) == 4 and float(rows[-1]["accuracy"]) > 0.9


def test_run_json_says_how_it_was_made(digits_run):
    run = json.loads((digits_run.folder / "run.json").read_text())
    assert run["status"] == "finished" and run["recipe"] == "standard" and run["data"] == "digits"
    assert run["class_names"] == list("0123456789") and run["seed"] == 0
    assert run["splits"] == {"train": 1293, "validation": 144, "test": 360}
    validation = splits.read_split(sources.find("digits"), "validation", 0.1)
    rows = predict(load_keras(digits_run.folder / "model.keras"), validation.images)
    expected = ood.make_rule(rows, validation.images, ood.known(run["unsure"]))
    assert run["unsure"] == expected | {key: pytest.approx(expected[key], rel=1e-4) for key in ("threshold", "weight")}
    assert sum(ood.unsure(rows, validation.images, run["unsure"])) == 8  # 5 % of 144
    assert run["temperature"] > 0 and run["options"]["calibrate"] is True
    assert run["options"]["epochs"] == 4 and run["options"]["data"] == "digits"
    assert run["mirror"] is False
    assert {"tensorflow", "keras", "numpy"} <= set(run["packages"])
    assert run["precision"] in ("float32", "bfloat16") and run["seconds"] > 0
    assert {"processor", "commit"} <= set(run)


def test_the_model_opens_in_bare_keras_and_answers_the_same(digits_run, tmp_path):
    pixels = sources.find("digits").read("test").images[:20]
    np.save(tmp_path / "pixels.npy", pixels)
    code = """
import sys, numpy as np, keras
model = keras.saving.load_model(sys.argv[1])
assert "classify" not in sys.modules and not any("classify" in path for path in sys.path)
assert all(layer.dtype_policy.name == "float32" for layer in model.layers) and not model.compiled
pixels = np.load("pixels.npy")
answers = [model.predict(pixels.astype(dtype), verbose=0) for dtype in ("uint8", "float32", "float64")]
assert all(np.abs(answer - answers[0]).max() < 1e-6 for answer in answers)
assert np.abs(answers[0].sum(axis=1) - 1).max() < 1e-5
np.save("answer.npy", answers[0])
"""
    path = str(digits_run.folder / "model.keras")
    subprocess.run([sys.executable, "-I", "-c", code, path], cwd=tmp_path, check=True)

    here = predict(load_keras(path), pixels)
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), here, atol=1e-5)
    with zipfile.ZipFile(path) as file:
        config = file.read("config.json").decode()
    assert "classify" not in config and "bfloat16" not in config


@pytest.mark.parametrize("recipe", ["record", "tutorial"])
def test_the_same_seed_twice_gives_identical_weights(recipe, tmp_path, without_litert):
    weights = []
    for name in ("first", "second"):
        train_cnn.main([*QUICK, "--recipe", recipe, "--seed", "5", "--out", str(tmp_path / name)])
        weights.append(keras.saving.load_model(tmp_path / name / "model.keras").get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_existing_finished_run_is_refused(digits_run):
    before = (digits_run.folder / "model.keras").read_bytes()
    process = script("train_cnn.py", "--data", "digits", "--out", digits_run.folder, cwd=digits_run.cwd)
    assert process.returncode == 2 and "--overwrite" in process.stderr and process.stderr.count("\n") == 1
    assert (digits_run.folder / "model.keras").read_bytes() == before


def test_overwriting_without_validation_keeps_the_last_epoch(tmp_path, monkeypatch, capsys, without_litert):
    monkeypatch.chdir(tmp_path)
    options = (*QUICK, "--recipe", "sprint", "--out", "mine", "--validation", "0", "--optimizer", "sgd")
    for seed in ("1", "2"):
        assert train_cnn.main([*options, "--seed", seed, "--overwrite"]) == 0
    run = json.loads((tmp_path / "mine" / "run.json").read_text())
    assert (
        run["seed"] == 2
        and run["splits"]["validation"] == 0
        and run["unsure"] is None
        and "temperature" not in run
        and run["options"]["optimizer"] == "sgd"
    )
    assert "validation accuracy" not in capsys.readouterr().err  # there is no best epoch to tell of
    assert evaluate.main(["mine", "--split", "validation"]) == 1
    assert "mine was trained with --validation 0" in capsys.readouterr().err


def test_a_diverging_training_is_one_line(tmp_path):
    with pytest.raises(Problem, match="^training diverged.*--learning-rate$"):
        train_cnn.main([*QUICK, "--recipe", "tutorial", "--learning-rate", "1e30", "--out", str(tmp_path / "far")])


def test_overwriting_with_a_training_that_diverges_leaves_the_former_run(digits_run, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(digits_run.folder, folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(Problem, match="^training diverged"):
        options = ("--recipe", "tutorial", "--learning-rate", "1e30", "--out", str(folder), "--overwrite")
        train_cnn.main([*QUICK, *options])
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize(("option", "mirror"), [((), False), (("--mirror",), True), (("--no-mirror",), False)])
def test_characters_are_mirrored_only_if_asked_for(option, mirror, tmp_path, capsys, without_litert):
    options = (*QUICK, "--recipe", "sprint", "--epochs", "1", "--out", str(tmp_path / "run"))
    train_cnn.main([*options, *option])
    assert json.loads((tmp_path / "run" / "run.json").read_text())["mirror"] is mirror
    assert (
        "also trained on mirrored images" if mirror else "not trained on mirrored images"
    ) in capsys.readouterr().err


def test_a_misspelt_option(tmp_path):
    process = script("train_cnn.py", "--epohcs", "5", cwd=tmp_path)
    assert process.returncode == 2
    assert process.stderr == "train_cnn.py: unknown option --epohcs; did you mean --epochs?\n"


def test_without_network_digits_are_trained_on_and_named(tmp_path):
    process = script("train_cnn.py", "--recipe", "sprint", "--limit", "128", "--epochs", "2", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "CIFAR-10 could not be loaded" in process.stderr and "digits test, 360 images" in process.stdout
    run = json.loads((tmp_path / "runs" / "cnn-sprint-digits" / "run.json").read_text())
    assert run["data"] == run["options"]["data"] == "digits"


def test_cifar10_written_out_fails_instead(tmp_path):
    process = script("train_cnn.py", "--data", "cifar10", cwd=tmp_path)
    assert process.returncode == 1 and "CIFAR-10 could not be loaded" in process.stderr
    assert "Traceback" not in process.stderr and not (tmp_path / "runs").exists()


def test_ctrl_c_measures_the_best_epoch_so_far(tmp_path, monkeypatch):
    process = start(tmp_path, *LONG)
    for line in process.stderr:
        if line.startswith("epoch    2/"):
            process.send_signal(signal.SIGINT)
            break
    output, progress = process.communicate(timeout=120)
    assert process.returncode == 130 and "digits test, 360 images" in output
    assert "; saving and measuring the best (Ctrl-C: do not measure)" in progress
    run = json.loads((tmp_path / "runs" / "cnn-sprint-digits" / "run.json").read_text())
    assert run["status"] == "interrupted"
    monkeypatch.chdir(tmp_path)
    assert evaluate.main(["cnn-sprint-digits"]) == 0


def test_a_second_ctrl_c_skips_the_measuring_and_loses_nothing(tmp_path, ctrl_c, without_litert, monkeypatch, capsys):
    """At the worst moments: while training stops, and right before the model is saved."""
    monkeypatch.chdir(tmp_path)
    save = conclusion.save_keras

    def interrupted_save(*args):
        ctrl_c()
        return save(*args)

    monkeypatch.setattr(conclusion, "save_keras", interrupted_save)
    monkeypatch.setattr(TrainingProgress, "on_epoch_end", lambda *args: ctrl_c())
    assert train_cnn.main([*QUICK, "--recipe", "sprint"]) == 130
    folder = tmp_path / "runs" / "cnn-sprint-digits"
    assert {file.name for file in folder.iterdir()} == {"model.keras", "history.csv", "run.json", "checkpoints"}
    run = json.loads((folder / "run.json").read_text())
    assert run["status"] == "interrupted" and run["temperature"] != 1
    model = load_keras(folder / "model.keras")
    assert model.count_params() == 221_994
    validation = splits.read_split(sources.find("digits"), "validation", 0.1)
    rows = predict(model, validation.images)
    assert calibration.fit(validation.labels, rows) == pytest.approx(1, abs=1e-2)  # calibrated it is all the same
    expected = ood.make_rule(rows, validation.images, ood.known(run["unsure"]))
    assert run["unsure"]["threshold"] == pytest.approx(expected["threshold"], abs=1e-2)
    progress = capsys.readouterr().err
    assert "interrupted after epoch 1" in progress
    assert progress.endswith("\ngo on with it:  python train_cnn.py --resume runs/cnn-sprint-digits\n")


def test_a_measuring_that_fails_does_not_lose_the_model(digits_run, tmp_path, without_litert, monkeypatch):
    folder = shutil.copytree(digits_run.folder, tmp_path / "mine")

    def full(*args):
        raise DiskFull("metrics.json cannot be written, the disk is full")

    monkeypatch.setattr(conclusion, "measure", full)
    with pytest.raises(Problem, match="metrics.json cannot be written"):
        train_cnn.main([*QUICK, "--recipe", "sprint", "--seed", "7", "--out", str(folder), "--overwrite"])
    assert json.loads((folder / "run.json").read_text())["seed"] == 7 and not (folder / "metrics.json").exists()
    assert keras.saving.load_model(folder / "model.keras").count_params() == 221_994


def test_ctrl_c_before_the_first_epoch_leaves_nothing(tmp_path):
    process = start(tmp_path, "--data", "digits")
    for line in process.stderr:
        if "parameters" in line:
            process.send_signal(signal.SIGINT)
            break
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in error
    assert not any((tmp_path / "runs").glob("*"))


def test_a_killed_run_is_no_finished_run(tmp_path, monkeypatch, capsys, without_litert):
    process = start(tmp_path, *LONG)
    for line in process.stderr:
        if line.startswith("epoch    2/"):
            process.kill()
            break
    process.communicate(timeout=60)
    left = {file.name for file in (tmp_path / "runs" / "cnn-sprint-digits").iterdir()}
    assert left == {"history.csv", ".lock", "checkpoints"}  # the lock of a process that is gone holds nobody up
    monkeypatch.chdir(tmp_path)
    assert train_cnn.main([*QUICK, "--recipe", "sprint"]) == 0
    progress = capsys.readouterr().err
    assert "runs/cnn-sprint-digits was not finished (epoch 1 of 1000). Go on with:" in progress
    assert "  python train_cnn.py --resume runs/cnn-sprint-digits\n" in progress
    assert "This run is a new one, in runs/cnn-sprint-digits-2." in progress
    assert "\nruns/cnn-sprint-digits-2   " in progress


@pytest.fixture
def frequent(monkeypatch):
    """A checkpoint after each step."""
    for name in ("EVERY", "WITHIN", "PATIENCE"):
        monkeypatch.setattr(callbacks, name, 0)


def test_a_killed_run_that_goes_on_ends_as_if_nobody_had_killed_it(tmp_path, frequent, without_litert, monkeypatch):
    """In place of kill -9, which benchmarks/crash.py sends."""
    monkeypatch.chdir(tmp_path)
    options = [*QUICK, "--recipe", "sprint", "--early-stopping", "5"]
    assert train_cnn.main([*options, "--out", "twin"]) == 0
    save, saved = Checkpoints.save, []

    def killed(self, *args):
        save(self, *args)
        saved.append(self)
        if len(saved) == 12:  # of the second epoch's eight steps the third
            raise SystemExit(9)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(Checkpoints, "save", killed)
        train_cnn.main(options)
    mine = tmp_path / "runs" / "cnn-sprint-digits"
    with pytest.raises(Problem, match="holds an unfinished run; go on with --resume") as problem:
        train_cnn.main([*options, "--out", str(mine)])
    assert problem.value.status == 2
    assert train_cnn.main(["--resume", "--epochs", "2"]) == 0  # what does not differ may be given again
    weights = [keras.saving.load_model(folder / "model.keras").get_weights() for folder in (mine, tmp_path / "twin")]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (mine / "metrics.json").read_bytes() == (tmp_path / "twin" / "metrics.json").read_bytes()
    rows = [history.read(folder / "history.csv") for folder in (mine, tmp_path / "twin")]
    assert [row | {"seconds": 0} for row in rows[0]] == [row | {"seconds": 0} for row in rows[1]]
    assert {file.name for file in mine.iterdir()} == {file.name for file in (tmp_path / "twin").iterdir()}
    runs = [json.loads((folder / "run.json").read_text()) for folder in (mine, tmp_path / "twin")]
    assert runs[0]["options"] | {"precision": "auto"} == runs[1]["options"] and runs[0]["status"] == "finished"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--epochs", "7", "--seed", "3"], "runs/begun was begun with another --epochs and --seed: leave it out"),
        (["--out", "elsewhere"], "runs/begun was begun with another --out"),
        (["--no-augment", "--overwrite"], "another --augment and --overwrite"),
        (["--recipe", "record"], "another --recipe"),
    ],
)
def test_what_differs_from_the_run_is_refused_by_name(options, words, begun):
    with pytest.raises(Problem, match=words) as problem:
        train_cnn.parse(["--resume", "begun", *options])
    assert problem.value.status == 2


@pytest.fixture
def begun(elsewhere):
    """A run that was begun and took no step: what it was begun with."""
    settings = train_cnn.parse([*QUICK, "--recipe", "sprint"])
    content = {"script": settings.script, "options": settings.options(), "precision": "float32"}
    Checkpoints("runs/begun").begin(**content, data_fingerprint="other")
    return settings


def test_the_settings_are_the_runs_and_the_data_may_lie_elsewhere(begun):
    settings = train_cnn.parse(["--resume", "--data", "moved", "--data-dir", "there", "--epochs", "2"])
    expected = {"data": "moved", "data_dir": "there", "precision": "float32", "resume": Path("runs/begun")}
    assert settings == dataclasses.replace(begun, **expected)


def test_other_images_are_refused(begun):
    with pytest.raises(Problem, match="runs/begun was begun with other images than those in scikit-learn"):
        train_cnn.main(["--resume"])
    assert Checkpoints("runs/begun").exist


@pytest.mark.parametrize("options", [{"epochs": "many"}, {"unknown": 1}])
def test_what_another_version_began_is_refused(options, begun):
    content = {"script": begun.script, "options": begun.options() | options, "precision": "float32"}
    Checkpoints("runs/begun").begin(**content)
    with pytest.raises(Problem, match="runs/begun was begun by another version of train_cnn.py"):
        train_cnn.parse(["--resume"])


def start(cwd, *arguments):
    """Start train_cnn.py and leave it running, its output to be read.

    A shell's background jobs ignore Ctrl-C, and so would their children: the suite may be one.
    """
    return subprocess.Popen(
        [sys.executable, PROJECT / "train_cnn.py", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def test_ones_own_pictures(tmp_path, rng, in_process, without_litert):
    """A folder of 60 pictures of two classes; what decides of the training is recorded, asked for or not."""
    for number in range(60):
        folder = tmp_path / "pets" / ("cat" if number % 3 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (50, 40, 3), dtype="uint8")
        Image.fromarray(pixels).save(folder / f"{number}.png")
    options = ("--recipe", "sprint", "--class-weight", "balanced", "--image-size", "33")
    process = in_process(train_cnn.main, "--data", "pets", *options, cwd=tmp_path)
    run = json.loads((tmp_path / "runs" / "cnn-sprint-pets" / "run.json").read_text())
    names = ("image_size", "test", "validation", "class_weight", "epochs", "batch_size")
    assert [run["options"][name] for name in names] == [33, 0.2, 0.1, "balanced", 17, 16]
    assert run["splits"] == {"train": 43, "validation": 5, "test": 12}
    assert len(run["data_fingerprint"]) == 32 and run["class_names"] == ["cat", "dog"]
    assert load_keras(tmp_path / "runs" / "cnn-sprint-pets" / "model.keras").input_shape == (None, 33, 33, 3)
    assert "33 x 33 pixels, 16 images a step, about 0.9 GB of memory\n" in process.stderr
    assert "train_inception.py will be more accurate" in process.stderr
    assert process.stdout.split("images\n")[1].startswith("precision")  # 8 and 4 test images: macro averages first
