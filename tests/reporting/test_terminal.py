import numpy as np
import pytest

from classify.evaluation.metrics import calibration, compare, measure
from classify.progress import duration
from classify.reporting import terminal as report

NAMES = ("airplane", "automobile", "bird")
KEYS = ("accuracy", "precision", "recall", "f1")


@pytest.fixture
def metrics(rng):
    labels, probabilities = rng.integers(0, 3, 200), rng.dirichlet(np.ones(3), 200)
    return measure(labels, probabilities, NAMES) | {"calibration": calibration(labels, probabilities)}


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
    values, intervals = comparison[2:4]
    assert values.split() == ["cnn", *(f"{metrics['macro'].get(key, metrics['accuracy']):.3f}" for key in KEYS)]
    found = [metrics["accuracy_interval"], *metrics["macro_intervals"].values()]
    assert [interval.strip() for interval in intervals.split("  ")][-4:] == [
        f"{low:.3f} to {high:.3f}" for low, high in found
    ]
    costs = shown(capsys, report.confidence_and_cost(rows))
    nll, ece, brier = (metrics["calibration"][key] for key in ("nll", "ece", "brier"))
    assert costs[2].split() == ["cnn", f"{nll:.3f}", f"{ece:.3f}", f"{brier:.3f}", "22.33M", "88.1", "1,234"]
    per_class = shown(capsys, report.per_class(rows))
    score = metrics["per_class"]["automobile"]
    line = next(line for line in per_class if line.startswith("automobile"))
    cell = f"{score['precision']:.3f}  {score['recall']:.3f} {score['f1']:.3f}"
    assert line.count(cell) == 3
    assert max(map(len, comparison + costs + per_class)) <= 80


def test_robustness_of_three_models_fits_80_columns(capsys):
    accuracies = {"blur": [0.9, 0.8, 0.7, 0.6, 0.5], "shift": [0.8, 0.8, 0.8, 0.8, 0.3]}
    corruptions = {name: {"accuracies": each, "mean": sum(each) / 5} for name, each in accuracies.items()}
    found = {"n": 1000, "clean": 0.91, "corruptions": corruptions, "mean": 0.7, "interval": [0.68, 0.72]}
    rows = [{"name": name, "robustness": found} for name in ("cnn", "cnn-tutorial", "inception-2")]
    lines = shown(capsys, report.robustness(rows))
    assert lines[0].split() == ["accuracy,", "cnn", "cnn-tutorial", "inception-2"]
    assert lines[1].split() == ["1,000", "images", *["mean", "sev.", "5"] * 3]
    found = [line.split() for line in lines[3:] if line.strip()]
    assert found[0] == ["unchanged", *["0.910", "–"] * 3]
    assert found[1] == ["blur", *["0.700", "0.500"] * 3] and found[2] == ["shift", *["0.700", "0.300"] * 3]
    assert found[3] == ["mean", *["0.700", "0.400"] * 3]
    assert found[4] == ["95", "%", "interval", *["0.680", "to", "0.720"] * 3]
    assert max(map(len, lines)) <= 80


def test_a_prediction_lists_the_top_classes_and_the_rest():
    text = report.prediction("x.png", np.array([0.2, 0.5, 0.3]), NAMES, top=2, width=6)
    first, second, third = text.splitlines()
    assert first.split() == ["x.png", "automobile", "50.0", "%", "█" * 12]
    assert second.split()[:3] == ["bird", "30.0", "%"]
    assert third.split()[:4] == ["1", "others", "20.0", "%"]


def test_a_long_name_has_a_line_of_its_own():
    text = report.prediction("a/long/path.png", np.array([0.2, 0.8]), NAMES[:2], top=5, width=40)
    assert text.splitlines()[0] == "a/long/path.png" and len(text.splitlines()) == 3


def test_charts_of_several_models_fit_80_columns():
    names = ("a-very-long-class-name-of-one-data-set", *NAMES[1:])
    answers = [np.array(row) for row in ([0.2, 0.5, 0.3], [0.98, 0.02, 0.0], [0.1, 0.2, 0.7], [1.0, 0, 0])]
    models = ["cnn", "a-model-with-a-name-longer-than-its-column", "c", "d"]
    for n, lines in ((2, 5), (3, 5), (4, 9)):
        text = report.side_by_side("x.png", answers[:n], [names] * n, models[:n], 2, [False] * n).splitlines()
        assert len(text) == lines and text[0] == "x.png" and max(map(len, text)) <= 80
    assert text[1].split()[0] == "cnn" and "…" in text[1] and text[5].split() == ["d"]
    assert text[2].split()[:4] == ["automobile", "50.0", "%", "█▌"]
    assert "98.0 %  ███" in text[2] and "70.0 %  ██" in text[2]


def test_probabilities_with_test_time_augmentation_stand_in_a_column_of_their_own():
    plain, averaged = np.array([0.2, 0.5, 0.3]), np.array([0.1, 0.25, 0.65])
    lines = report.prediction("x.png", plain, NAMES, 2, 6, averaged).splitlines()
    assert [line.split()[-3:] for line in lines] == [["TTA", "25.0", "%"], ["TTA", "65.0", "%"], ["TTA", "10.0", "%"]]
    assert lines[0].split()[:4] == ["x.png", "automobile", "50.0", "%"] and "█" in lines[0]
    assert len(set(map(len, lines))) == 1 and len(lines[0]) <= 80
    assert report.prediction("x" * 40, plain, NAMES, 2, 40, averaged).splitlines()[2].split()[-2:] == ["65.0", "%"]
    text = report.side_by_side("x.png", [plain] * 3, [NAMES] * 3, ["a", "b", "c"], 1, [False] * 3, [averaged] * 3)
    lines = text.splitlines()
    assert lines[1].split() == ["a", "b"] and lines[4].split() == ["c"] and max(map(len, lines)) <= 80
    assert lines[2].count("TTA  25.0 %") == 2 and lines[6].split()[-3:] == ["TTA", "75.0", "%"]


def test_a_model_that_is_unsure_says_so_under_its_own_chart():
    rows = [np.array([0.2, 0.5, 0.3])] * 4
    text = report.side_by_side("x.png", rows, [NAMES] * 4, ["a", "b", "c", "d"], 3, [False, True, None, False])
    lines = text.splitlines()
    assert [line.strip() for line in lines if "not sure" in line] == ["not sure: perhaps none"]
    assert lines[5].index("not sure") == lines[1].index("b") and lines[6].split() == ["d"]


def test_a_long_class_name_is_cut_rather_than_the_line_broken():
    text = report.prediction("x.png", np.array([0.2, 0.8]), ("n" * 100, "m"), top=5, width=6)
    assert max(map(len, text.splitlines())) <= 80 and "…" in text and "80.0 %  ██▍" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (492, "8 min 12 s"), (3900, "1 h 05 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_verdict_in_plain_words():
    comparison = {"models": ["inception", "cnn"], "difference": 0.061, "interval": [0.04, 0.082], "p": 1e-5}
    comparison["recall"] = {"cat": 0.1, "dog": 0.0, "ship": -0.02, "bird": 0.05, "frog": 0.01}
    counts = {"disagreements": 1520, "only_first_right": 1030, "only_second_right": 420, "disagreements_both_wrong": 70}
    comparison |= counts
    text = report.verdict(comparison)
    assert text.startswith("inception is 6.1 points more accurate than cnn\n(95 % interval 4.0 to 8.2);")
    assert "the difference is not chance (McNemar p < 0.001)." in text
    assert "\nIt gains most on cat (+10.0) and bird (+5.0);\ncnn is better on ship (-2.0).\n" in text
    disagreement = "They disagree on 1,520 images:\ninception is right on 1,030, cnn on 420, neither on 70."
    assert text.endswith(disagreement)
    assert max(map(len, text.splitlines())) <= 80
    comparison |= {"p": 0.4, "recall": {"cat": 0.0}}
    assert "the difference may be chance (McNemar p = 0.400).\nThey disagree" in report.verdict(comparison)


def test_the_verdict_on_a_model_and_itself():
    labels = np.array([0, 1, 2, 2])
    comparison = {"models": ["one", "the other"], **compare(labels, labels, labels, NAMES)}
    text = report.verdict(comparison)
    assert text.startswith("one and the other are equally accurate\n(95 % interval -")
    assert text.endswith("They give the same answer to every image.")


def test_what_calibration_did(metrics, capsys):
    before, after = metrics["calibration"], metrics["calibration"] | {"nll": 0.25}
    row = {"name": "cnn", "calibrated": {"temperature": 0.61, "n": 5000, "before": before, "after": after}}
    lines = shown(capsys, *report.calibrated(row))
    assert lines[0] == "cnn: temperature 0.610, now built into its model.keras"
    assert lines[-2].split()[:2] == ["before", f"{before['nll']:.3f}"] and lines[-1].split()[:2] == ["after", "0.250"]
    row["calibrated"]["temperature"] = 1.0
    assert shown(capsys, *report.calibrated(row))[0] == "cnn: temperature 1.000; no other gives a lower loss"


def test_an_unsure_answer_is_one_line_of_80_columns_or_two():
    line = report.unsure("banana.png", np.array([0.1, 0.41, 0.49]), NAMES, 12)
    assert line == "banana.png    not sure: perhaps none of the 3 classes (best guess bird, 49.0 %)"
    name, text = report.unsure("x" * 30, np.array([0.1, 0.41, 0.49]), NAMES, 30).splitlines()
    assert name == "x" * 30 and text == "  not sure: perhaps none of the 3 classes (best guess bird, 49.0 %)"
    text = report.unsure("x.png", np.array([0.1, 0.41, 0.49]), NAMES, 6, np.array([0.1, 0.5, 0.4]))
    assert text.splitlines()[1:] == ["        TTA: best guess automobile, 50.0 %"]
