import numpy as np
import pytest

from classify import report
from classify.metrics import measure
from classify.progress import duration

NAMES = ("airplane", "automobile", "bird")


@pytest.fixture
def metrics(rng):
    probabilities = rng.dirichlet(np.ones(3), 200)
    return measure(rng.integers(0, 3, 200), probabilities, NAMES)


def shown(capsys, *parts):
    report.show(*parts)
    return capsys.readouterr().out.splitlines()


def test_headline_gives_accuracy_with_its_interval(metrics):
    low, high = metrics["accuracy_interval"]
    first, second = report.headline(metrics).splitlines()
    assert first.split() == [
        "accuracy",
        f"{metrics['accuracy']:.4f}",
        *f"(95 % interval {low:.4f} to {high:.4f})".split(),
    ]
    assert f"F1 {metrics['macro']['f1']:.4f}" in second


def test_tables_of_three_models_fit_80_columns(metrics, capsys):
    rows = [
        {"name": name, "parameters": 22_330_000, "bytes": 88_100_000, "images_per_second": 1234.5, **metrics}
        for name in ("cnn", "cnn-tutorial", "inception-2")
    ]
    comparison = shown(capsys, report.comparison(rows))
    low, high = metrics["accuracy_interval"]
    assert f"{metrics['accuracy']:.3f} ({low:.3f} to {high:.3f})" in comparison[2]
    assert comparison[2].startswith("cnn") and comparison[2].endswith("22.33M 88.1 1,234")
    per_class = shown(capsys, report.per_class(rows))
    score = metrics["per_class"]["automobile"]
    line = next(line for line in per_class if line.startswith("automobile"))
    cell = f"{score['precision']:.3f}  {score['recall']:.3f} {score['f1']:.3f}"
    assert line.count(cell) == 3
    assert max(map(len, comparison + per_class)) <= 80


def test_a_prediction_lists_the_top_classes_and_the_rest():
    text = report.prediction("x.png", np.array([0.2, 0.5, 0.3]), NAMES, top=2, width=6)
    first, second, third = text.splitlines()
    assert first.split() == ["x.png", "automobile", "50.0", "%", "█" * 12]
    assert second.split()[:3] == ["bird", "30.0", "%"]
    assert third.split()[:4] == ["1", "others", "20.0", "%"]


def test_a_long_name_has_a_line_of_its_own():
    text = report.prediction("a/long/path.png", np.array([0.2, 0.8]), NAMES[:2], top=5, width=40)
    assert text.splitlines()[0] == "a/long/path.png" and len(text.splitlines()) == 3


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (492, "8 min 12 s"), (3900, "1 h 05 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_verdict_in_plain_words():
    comparison = {"models": ["inception", "cnn"], "difference": 0.061, "interval": [0.04, 0.082], "p": 1e-5}
    comparison["recall"] = {"cat": 0.1, "dog": 0.0, "ship": -0.02, "bird": 0.05, "frog": 0.01}
    text = report.verdict(comparison)
    assert text.startswith("inception is 6.1 points more accurate than cnn\n(95 % interval 4.0 to 8.2);")
    assert "the difference is not chance (McNemar p < 0.001)." in text
    assert text.endswith("It gains most on cat (+10.0) and bird (+5.0);\ncnn is better on ship (-2.0).")
    assert max(map(len, text.splitlines())) <= 80
    comparison |= {"p": 0.4, "recall": {"cat": 0.0}}
    assert report.verdict(comparison).endswith("the difference may be chance (McNemar p = 0.400).")
    assert report.verdict(comparison | {"difference": 0}).startswith("inception and cnn are equally accurate")


def test_an_unsure_answer_is_one_line_of_80_columns_or_two():
    line = report.unsure("banana.png", np.array([0.1, 0.41, 0.49]), NAMES, 12)
    assert line == "banana.png    not sure: perhaps none of the 3 classes (best guess bird, 49.0 %)"
    name, text = report.unsure("x" * 30, np.array([0.1, 0.41, 0.49]), NAMES, 30).splitlines()
    assert name == "x" * 30 and text == "  not sure: perhaps none of the 3 classes (best guess bird, 49.0 %)"
