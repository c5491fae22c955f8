import dataclasses

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from classify.command import Problem
from classify.inference.predictor import Prediction
from classify.reporting import explanations as explaining
from classify.reporting.explanations import Explanations

IMAGE = np.zeros((4, 4, 3), "uint8")
IMAGE[0, 0] = (200, 0, 0)  # red at the top left
IMAGE[3, 2] = (0, 100, 0)  # green at the bottom
RED = Prediction("cnn", ("red", "green"), np.array([0.9, 0.1]), IMAGE)


@pytest.fixture
def explanations(tmp_path):
    """A function that makes ``Explanations`` of a network that looks for red and green dots; dots.png has both."""
    Image.fromarray(IMAGE).save(tmp_path / "dots.png")
    model = keras.Sequential(
        [
            layers.Input((4, 4, 3)),
            layers.Conv2D(2, 1, use_bias=False),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.layers[0].set_weights([np.eye(3, 2, dtype="float32")[None, None]])
    model.layers[-1].set_weights([np.array([[2, 0], [-1, 3]], "float32"), np.ones(2, "float32")])
    return lambda **options: Explanations(model, ("red", "green"), **options)


def test_the_picture_is_written_beside_the_image_and_shows_the_place(explanations, tmp_path, capsys):
    file = explanations().write(tmp_path / "dots.png", RED)
    assert file == tmp_path / "dots.png.explained.png" and f"explained in {file}" in capsys.readouterr().err
    pixels = np.asarray(Image.open(file).convert("RGB")).astype(int)
    height, width = pixels.shape[:2]
    right = pixels[height // 8 :, width // 2 :]
    bright = np.argwhere(right[..., 0] - right[..., 2] > 100).mean(axis=0) / right.shape[:2]
    assert (bright < 0.5).all()  # the red dot is at the top left


def test_another_class_in_another_folder_and_no_name_twice(explanations, tmp_path):
    explain = explanations(named="green", folder=tmp_path / "new" / "folder")
    files = [explain.write(tmp_path / "dots.png", RED) for _ in range(2)]
    assert [file.name for file in files] == ["dots.png.explained.png", "dots.png-2.explained.png"]
    assert all(file.parent == tmp_path / "new" / "folder" and file.is_file() for file in files)


def test_only_an_explanation_is_overwritten(explanations, tmp_path):
    file = explanations().write(tmp_path / "dots.png", RED)
    assert explanations().write(tmp_path / "dots.png", RED) == file
    Image.new("RGB", (8, 8)).save(file)
    before = file.read_bytes()
    with pytest.raises(Problem, match="is there and is no explanation"):
        explanations().write(tmp_path / "dots.png", RED)
    assert file.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_named(explanations, tmp_path):
    with pytest.raises(Problem, match="dots.png: its explanation cannot be written .*file exists"):
        explanations(folder=tmp_path / "dots.png").write(tmp_path / "dots.png", RED)


@pytest.mark.parametrize(("name", "hint"), [("gren", "did you mean green"), ("ship", "the classes are red, green")])
def test_a_class_that_is_none(explanations, name, hint):
    with pytest.raises(Problem, match=f"no class {name}; {hint}") as problem:
        explanations(named=name)
    assert problem.value.status == 2


def test_a_class_name_is_drawn_as_it_is_and_forges_no_line(explanations, tmp_path, monkeypatch, capsys):
    titles, draw = [], explaining.draw
    monkeypatch.setattr(explaining, "draw", lambda *args: titles.append(args[-1]) or draw(*args))
    names = (r"$\frac$", "two\nlines\x1b[2J")
    Image.fromarray(IMAGE).save(tmp_path / "a\nb.png")
    for best in ([0.9, 0.1], [0.1, 0.9]):
        explanations().write(tmp_path / "a\nb.png", dataclasses.replace(RED, class_names=names, probabilities=best))
    assert titles[0].startswith(r"what speaks for $\frac$, 90.0") and r"for two\nlines\x1b[2J, 90.0" in titles[1]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[0].endswith(r"explained in " + str(tmp_path) + r"/a\nb.png.explained.png")


def test_the_title_names_the_class_and_its_probability(explanations, tmp_path, monkeypatch):
    titles = []
    draw = explaining.draw
    monkeypatch.setattr(explaining, "draw", lambda *args: titles.append(args[-1]) or draw(*args))
    explanations().write(tmp_path / "dots.png", RED)
    explanations(named="green").write(tmp_path / "dots.png", RED)
    assert titles == ["what speaks for red, 90.0 %", "what speaks for green, 10.0 %"]
