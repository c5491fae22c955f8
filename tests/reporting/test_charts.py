import csv
import io
import json

import numpy as np
import pytest

from classify.inference.predictor import Prediction
from classify.reporting import charts

NAMES = ("airplane", "automobile", "bird")


def prediction(probabilities, class_names=NAMES, model="cnn", unsure=None, averaged=None):
    averaged = None if averaged is None else np.array(averaged)
    return Prediction(model, class_names, np.array(probabilities), np.zeros((4, 4, 3)), unsure, averaged)


def test_a_prediction_lists_the_top_classes_and_the_rest():
    text = charts.single("x.png", prediction([0.2, 0.5, 0.3]), top=2, width=6)
    first, second, third = text.splitlines()
    assert first.split() == ["x.png", "automobile", "50.0", "%", "█" * 12]
    assert second.split()[:3] == ["bird", "30.0", "%"]
    assert third.split()[:4] == ["1", "others", "20.0", "%"]


def test_a_long_name_has_a_line_of_its_own():
    text = charts.single("a/long/path.png", prediction([0.2, 0.8], NAMES[:2]), top=5, width=40)
    assert text.splitlines()[0] == "a/long/path.png" and len(text.splitlines()) == 3


def test_charts_of_several_models_fit_80_columns():
    names = ("a-very-long-class-name-of-one-data-set", *NAMES[1:])
    predictions = [
        prediction([0.2, 0.5, 0.3], names, "cnn"),
        prediction([0.98, 0.02, 0.0], names, "a-model-with-a-name-longer-than-its-column"),
        prediction([0.1, 0.2, 0.7], names, "c"),
        prediction([1.0, 0, 0], names, "d"),
    ]
    for n, lines in ((2, 5), (3, 5), (4, 9)):
        text = charts.side_by_side("x.png", predictions[:n], 2).splitlines()
        assert len(text) == lines and text[0] == "x.png" and max(map(len, text)) <= 80
    assert text[1].split()[0] == "cnn" and "…" in text[1] and text[5].split() == ["d"]
    assert text[2].split()[:4] == ["automobile", "50.0", "%", "█▌"]
    assert "98.0 %  ███" in text[2] and "70.0 %  ██" in text[2]


def test_probabilities_with_test_time_augmentation_stand_in_a_column_of_their_own():
    plain, averaged = [0.2, 0.5, 0.3], [0.1, 0.25, 0.65]
    lines = charts.single("x.png", prediction(plain, averaged=averaged), 2, 6).splitlines()
    assert [line.split()[-3:] for line in lines] == [["TTA", "25.0", "%"], ["TTA", "65.0", "%"], ["TTA", "10.0", "%"]]
    assert lines[0].split()[:4] == ["x.png", "automobile", "50.0", "%"] and "█" in lines[0]
    assert len(set(map(len, lines))) == 1 and len(lines[0]) <= 80
    long = charts.single("x" * 40, prediction(plain, averaged=averaged), 2, 40)
    assert long.splitlines()[2].split()[-2:] == ["65.0", "%"]
    predictions = [prediction(plain, model=model, averaged=averaged) for model in "abc"]
    lines = charts.side_by_side("x.png", predictions, 1).splitlines()
    assert lines[1].split() == ["a", "b"] and lines[4].split() == ["c"] and max(map(len, lines)) <= 80
    assert lines[2].count("TTA  25.0 %") == 2 and lines[6].split()[-3:] == ["TTA", "75.0", "%"]


def test_a_model_that_is_unsure_says_so_under_its_own_chart():
    doubts = {"a": False, "b": True, "c": None, "d": False}
    predictions = [prediction([0.2, 0.5, 0.3], model=model, unsure=doubt) for model, doubt in doubts.items()]
    lines = charts.side_by_side("x.png", predictions, 3).splitlines()
    assert [line.strip() for line in lines if "not sure" in line] == ["not sure: perhaps none"]
    assert lines[5].index("not sure") == lines[1].index("b") and lines[6].split() == ["d"]


def test_a_long_class_name_is_cut_rather_than_the_line_broken():
    text = charts.single("x.png", prediction([0.2, 0.8], ("n" * 100, "m")), top=5, width=6)
    assert max(map(len, text.splitlines())) <= 80 and "…" in text and "80.0 %  ██▍" in text


def test_an_unsure_prediction_is_one_line_of_80_columns_or_two():
    line = charts.unsure("banana.png", prediction([0.1, 0.41, 0.49]), 12)
    assert line == "banana.png    not sure: perhaps none of the 3 classes (best guess bird, 49.0 %)"
    name, text = charts.unsure("x" * 30, prediction([0.1, 0.41, 0.49]), 30).splitlines()
    assert name == "x" * 30 and text == "  not sure: perhaps none of the 3 classes (best guess bird, 49.0 %)"
    text = charts.unsure("x.png", prediction([0.1, 0.41, 0.49], averaged=[0.1, 0.5, 0.4]), 6)
    assert text.splitlines()[1:] == ["        TTA: best guess automobile, 50.0 %"]


@pytest.mark.parametrize(("models", "unsure", "lines"), [(1, False, 2), (1, True, 2), (2, False, 4)])
def test_names_forge_no_lines_and_do_not_steer_the_terminal(models, unsure, lines):
    forged = prediction([0.2, 0.8], ("cat", "dog\ngood.png  \x1b[2Jcat"), "c\x1bnn\n", unsure)
    text = charts.as_text("x\r\n.png", [forged] * models, 3, 6)
    assert text.count("\n") == lines - 1 and text.replace("\n", "").isprintable()
    assert r"dog\ngood.png" in text and r"x\r\n.png" in text


def test_one_model_gets_a_chart_or_that_it_is_unsure_and_several_stand_side_by_side():
    sure, doubtful = prediction([0.1, 0.1, 0.8], unsure=False), prediction([0.3, 0.3, 0.4], unsure=True)
    assert charts.as_text("x.png", [sure], 3, 6) == charts.single("x.png", sure, 3, 6)
    assert charts.as_text("x.png", [doubtful], 3, 6) == charts.unsure("x.png", doubtful, 6)
    assert charts.as_text("x.png", [sure, doubtful], 3, 6) == charts.side_by_side("x.png", [sure, doubtful], 3)


def test_a_line_of_json_of_one_model_and_of_several():
    [one, other] = [prediction([0.25, 0.75], NAMES[:2], model, unsure=False) for model in ("cnn", "other")]
    entries = {"class": "automobile", "probability": 0.75, "probabilities": {"airplane": 0.25, "automobile": 0.75}}
    entries["unsure"] = False
    assert json.loads(charts.as_json("a\nb.png", [one])) == {"image": "a\nb.png", **entries}
    several = [{"model": model, **entries} for model in ("cnn", "other")]
    assert json.loads(charts.as_json("x.png", [one, other])) == {"image": "x.png", "models": several}


@pytest.mark.parametrize(
    "name", ["x.png", "a,b.png", 'the "best".png', "two\nlines.png", "a\rb.png", "図 ж.png", "=1+1.png", " x.png"]
)
@pytest.mark.parametrize(("unsure", "text"), [(True, "true"), (np.False_, "false"), (None, "")])
def test_a_row_of_csv_gives_every_name_back(name, unsure, text):
    class_name = 'cats, and\n"dogs"'
    row = charts.as_csv(name, [prediction([0.75, 0.25], (class_name, "b"), unsure=unsure)])
    [heading, values] = csv.reader(io.StringIO(f"{charts.CSV_HEADING}\n{row}\n", newline=""))
    assert dict(zip(heading, values, strict=True)) == {
        **{"file": name, "class": class_name, "probability": "0.750000", "unsure": text},
    }
