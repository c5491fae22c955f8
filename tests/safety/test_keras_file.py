import json
import os
import re
import subprocess
import sys
import zipfile

import hostile
import keras
import numpy as np
import pytest
from conftest import PROJECT
from PIL import Image

from classify.command import Problem
from classify.inference import loading
from classify.inference.saving import save_keras
from classify.runs.saved import SHIPPED
from classify.safety import keras_file

MEMORY = 1.5e9  # bytes
# Runs a command and prints its status and the peak of its memory in kilobytes. (A child of the tests' own process,
# which is large, would count that one's memory.)
MEASURED = """
import resource, subprocess, sys
with open("out", "w") as out, open("err", "w") as err:
    status = subprocess.run(sys.argv[1:], stdout=out, stderr=err).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.fixture(scope="module")
def good(small_model_file):
    return small_model_file


@pytest.mark.parametrize("name", hostile.FILES)
def test_a_hostile_file_is_refused_in_a_line(name, good, tmp_path):
    path, canary = tmp_path / "downloaded.keras", tmp_path / "canary"
    hostile.make(name, good, path, canary)
    with pytest.raises(Problem) as problem:
        keras_file.check_weights(path)
    line = str(problem.value)
    assert line.startswith(f"{path} is ") or "a model in it" in line
    assert re.search(hostile.FILES[name][1], line), line
    assert len(line.splitlines()) == 1 and line.isprintable()
    assert sorted(os.listdir(tmp_path)) == ["downloaded.keras"]  # nothing ran, nothing was written


def test_what_a_person_reads(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = type(good)("downloaded.keras")
    hostile.make("code in a layer", good, path, tmp_path / "canary")
    words = "downloaded.keras is refused: it holds a Lambda layer, which is code"
    for trust, ending in ((False, ". (Other built-in layers: --trust)"), (True, "")):
        with pytest.raises(Problem) as problem:
            loading.load(path, trust)
        assert str(problem.value) == words + ending


def test_the_canary_sings_where_keras_is_told_to_run_the_code(good, tmp_path):
    """Else the other tests would show nothing."""
    path, canary = tmp_path / "downloaded.keras", tmp_path / "canary"
    hostile.make("code in a layer", good, path, canary)
    keras.saving.load_model(path, compile=False, safe_mode=False)
    assert canary.read_text() == "sung"


def test_a_good_file_passes(good):
    network = keras_file.check_weights(good)
    assert network.input_shape == (8, 8, 3) and network.output_shape == (5,)
    assert network.parameters() == keras.saving.load_model(good).count_params()


def test_one_compressed_again_is_opened(good, tmp_path):
    hostile.write(tmp_path / "model.keras", hostile.members(good).items(), zipfile.ZIP_DEFLATED)
    assert loading.load_keras(tmp_path / "model.keras").count_params() == keras_file.check(good).parameters()


def test_predict_refuses_them_one_by_one_in_little_memory(good, tmp_path):
    """The real script, on a dozen of them at once: the good ones among them are answered all the same."""
    names = ["code in a layer", "400 million units", "a million units", "a bomb of weights", "weights in another file"]
    names += ["packed weights of 3.6 GB", "deep JSON", "thousands of files", "a path upwards", "missing weights"]
    Image.fromarray(np.zeros((32, 32, 3), "uint8")).save(tmp_path / "image.png")
    arguments = []
    for number, name in enumerate(names):
        path = tmp_path / f"{number}.keras"
        hostile.make(name, good, path, tmp_path / "canary")
        arguments += ["--model", path]
    before = sorted(os.listdir(tmp_path))
    command = [
        sys.executable,
        PROJECT / "predict.py",
        "image.png",
        "--json",
        *arguments,
        "--model",
        SHIPPED,
        "--model",
        good,
    ]
    measured = [sys.executable, "-c", MEASURED, *map(str, command)]
    process = subprocess.run(measured, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    status, kilobytes = map(int, process.stdout.split())
    lines = (tmp_path / "err").read_text().splitlines()
    assert status == 1
    assert [line.split(" ")[0] for line in lines[: len(names)]] == [
        str(tmp_path / f"{i}.keras") for i in range(len(names))
    ]
    for name, line in zip(names, lines, strict=False):
        assert re.search(hostile.FILES[name][1], line), line
    answer = json.loads((tmp_path / "out").read_text())
    assert [model["model"] for model in answer["models"]] == ["cnn", "model"]
    assert kilobytes * 1024 < MEMORY
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "out", "err"])


def test_a_model_of_thousands_of_classes_passes(tmp_path):
    from keras import layers

    stack = [layers.Input((32, 32, 3)), layers.GlobalAveragePooling2D(), layers.Dense(5000, activation="softmax")]
    save_keras(keras.Sequential(stack), tmp_path / "model.keras")
    assert keras_file.check_weights(tmp_path / "model.keras").output_shape == (5000,)
