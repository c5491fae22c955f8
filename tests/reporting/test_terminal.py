import numpy as np
import pytest

from classify.evaluation.metrics import calibration, compare, measure
from classify.reporting import terminal

NAMES = ("airplane", "automobile", "bird")
KEYS = ("accuracy", "precision", "recall", "f1")


@pytest.fixture
def metrics(rng):
    labels, probabilities = rng.integers(0, 3, 200), rng.dirichlet(np.ones(3), 200)
    return measure(labels, probabilities, NAMES) | {"calibration": calibration(labels, probabilities)}


def shown(capsys, *parts):
    terminal.show(*parts)
    return capsys.readouterr().out.splitlines()


def test_headline_gives_accuracy_with_its_interval(metrics):
    low, high = metrics["accuracy_interval"]
    first, second = terminal.headline(metrics).splitlines()
    assert first.split() == [
        "accuracy",
        f"{metrics['accuracy']:.4f}",
        *f"(95 % interval {low:.4f} to {high:.4f})".split(),
    ]
    assert f"F1 {metrics['macro']['f1']:.4f}" in second


def test_macro_averages_come_first_where_classes_are_unequal(rng, capsys):
    probabilities = rng.dirichlet(np.ones(3), 70)
    for counts, first in (([20, 20, 30], "accuracy"), ([20, 19, 31], "precision"), ([35, 0, 35], "precision")):
        metrics = measure(np.repeat([0, 1, 2], counts), probabilities, NAMES)
        assert [line.split()[0] for line in terminal.headline(metrics).splitlines()][0] == first
        table = shown(capsys, terminal.comparison([metrics | {"name": "cnn"}]))
        assert (
            table[0].split()
            == {
                "accuracy": ["accuracy", "precision", "recall", "F1"],
                "precision": ["precision", "recall", "F1", "accuracy"],
            }[first]
        )
        column = {"accuracy": 1, "precision": 4}[first]
        assert table[2].split()[column] == f"{metrics['accuracy']:.3f}"


def test_tables_of_three_models_fit_80_columns(metrics, capsys):
    rows = [
        {"name": name, "parameters": 22_330_000, "bytes": 88_100_000, "images_per_second": 1234.5, **metrics}
        for name in ("cnn", "cnn-tutorial", "inception-2")
    ]
    comparison = shown(capsys, terminal.comparison(rows))
    values, intervals = comparison[2:4]
    assert values.split() == ["cnn", *(f"{metrics['macro'].get(key, metrics['accuracy']):.3f}" for key in KEYS)]
    bounds = [metrics["accuracy_interval"], *metrics["macro_intervals"].values()]
    assert [interval.strip() for interval in intervals.split("  ")][-4:] == [
        f"{low:.3f} to {high:.3f}" for low, high in bounds
    ]
    costs = shown(capsys, terminal.confidence_and_cost(rows))
    nll, ece, brier = (metrics["calibration"][key] for key in ("nll", "ece", "brier"))
    assert costs[2].split() == ["cnn", f"{nll:.3f}", f"{ece:.3f}", f"{brier:.3f}", "22.33M", "88.1", "1,234"]
    per_class = shown(capsys, terminal.per_class(rows))
    score = metrics["per_class"]["automobile"]
    line = next(line for line in per_class if line.startswith("automobile"))
    cell = f"{score['precision']:.3f}  {score['recall']:.3f} {score['f1']:.3f}"
    assert line.count(cell) == 3
    assert max(map(len, comparison + costs + per_class)) <= 80


def test_robustness_of_three_models_fits_80_columns(capsys):
    accuracies = {"blur": [0.9, 0.8, 0.7, 0.6, 0.5], "shift": [0.8, 0.8, 0.8, 0.8, 0.3]}
    corruptions = {name: {"accuracies": each, "mean": sum(each) / 5} for name, each in accuracies.items()}
    result = {"n": 1000, "clean": 0.91, "corruptions": corruptions, "mean": 0.7, "interval": [0.68, 0.72]}
    rows = [{"name": name, "robustness": result} for name in ("cnn", "cnn-tutorial", "inception-2")]
    lines = shown(capsys, terminal.robustness(rows))
    assert lines[0].split() == ["accuracy,", "cnn", "cnn-tutorial", "inception-2"]
    assert lines[1].split() == ["1,000", "images", *["mean", "sev.", "5"] * 3]
    cells = [line.split() for line in lines[3:] if line.strip()]
    assert cells[0] == ["unchanged", *["0.910", "–"] * 3]
    assert cells[1] == ["blur", *["0.700", "0.500"] * 3] and cells[2] == ["shift", *["0.700", "0.300"] * 3]
    assert cells[3] == ["mean", *["0.700", "0.400"] * 3]
    assert cells[4] == ["95", "%", "interval", *["0.680", "to", "0.720"] * 3]
    assert max(map(len, lines)) <= 80


def test_what_calibration_did(metrics, capsys):
    before, after = metrics["calibration"], metrics["calibration"] | {"nll": 0.25}
    row = {"name": "cnn", "calibrated": {"temperature": 0.61, "n": 5000, "before": before, "after": after}}
    lines = shown(capsys, terminal.calibrated(row))
    assert lines[0].startswith("5,000 validation images")
    assert lines[-2].split()[:2] == ["before", f"{before['nll']:.3f}"] and lines[-1].split()[:2] == ["after", "0.250"]


def test_accuracy_with_test_time_augmentation_beside_the_plain_one(capsys):
    row = {"name": "cnn", "accuracy": 0.9, "accuracy_interval": [0.88, 0.92]}
    row["tta"] = {"accuracy": 0.91, "accuracy_interval": [0.89, 0.93]}
    lines = shown(capsys, terminal.tta([row]))
    assert lines[0].split() == ["accuracy", "with", "test-time", "augmentation"]
    assert " ".join(lines[2].split()) == "cnn 0.900 (0.880 to 0.920) 0.910 (0.890 to 0.930)"


def test_names_of_models_and_classes_are_shown_as_they_are_written(rng, capsys):
    """Not as markup, nor as an emoji, and none can begin a line or move the cursor."""
    nasty = (":dog:", "[red]", "[/]", "a\nb\x1b[2J")
    labels, probabilities = rng.integers(0, 4, 200), rng.dirichlet(np.ones(4), 200)
    robust = {"n": 5, "clean": 1, "corruptions": {"blur": {"accuracies": [1] * 5, "mean": 1}}}
    row = {
        **measure(labels, probabilities, nasty),
        "calibration": calibration(labels, probabilities),
        **{"parameters": 1, "bytes": 1, "images_per_second": 1, "split": "test"},
        "tta": {"accuracy": 1, "accuracy_interval": [1, 1]},
        "robustness": robust | {"mean": 1, "interval": [1, 1], "precision": "bfloat16"},
    }
    rows = [{"name": name} | row for name in nasty]
    terminal.show_evaluation(rows, [{"models": nasty[-2:], **compare(labels, labels, labels, nasty)}], nasty[-1])
    out = capsys.readouterr().out
    assert "\x1b" not in out and "a\nb" not in out
    for name in nasty:
        assert out.count(terminal.printable(name)) >= 5  # in tables, each of them, and the classes
        assert f"{terminal.printable(name)}: with test-time augmentation and on corrupted images in bfloat16" in out
    row["robustness"]["precision"] = "float32"
    terminal.show_evaluation([row | {"name": "cnn"}], [], "data")
    assert "bfloat16" not in capsys.readouterr().out


def test_sentences_are_as_wide_as_the_terminal_and_no_line_begins_with_a_per_cent_sign(monkeypatch, capsys):
    for columns in (80, 33):
        monkeypatch.setenv("COLUMNS", str(columns))
        terminal.show_text("word-by-word " * 10 + "95\u00a0% " * 20)
        lines = capsys.readouterr().out.splitlines()
        assert columns - 15 < max(map(len, lines)) <= columns
        assert " ".join(lines).split() == ["word-by-word"] * 10 + ["95", "%"] * 20
        assert not any(line.startswith("%") for line in lines)


def test_labels_in_doubt_are_lines_that_no_name_can_break(metrics, capsys, monkeypatch):
    monkeypatch.setattr(terminal, "DOUBTS", 2)
    doubt = {"file": "ants/a\n.gif", "split": "train", "row": 3, "label": "an\x1bt", "looks_like": None}
    doubtful = [
        doubt | {"label_quality": 0.108},
        {"file": None, "split": "test", "row": 12, "label": "bird", "looks_like": "bee", "label_quality": 0.2},
        doubt | {"label_quality": 0.3},
    ]
    row = metrics | {"labels": {"n": 1398, "splits": ["train", "test"], "doubtful": doubtful}}
    terminal.show_labels(row)
    *heading, first, second, rest = capsys.readouterr().out.splitlines()
    assert " ".join(heading).startswith("3 of 1,398 labels look wrong (train and test), the most suspicious first;")
    assert first == "ants/a\\n.gif   labelled an\\x1bt, looks like none (0.11)"
    assert second == "test 12        labelled bird, looks like bee (0.20)" and rest == "… and 1 more"


def test_no_label_in_doubt_is_a_sentence(metrics, capsys):
    terminal.show_labels(metrics | {"labels": {"n": 30, "splits": ["validation", "test"], "doubtful": []}})
    assert capsys.readouterr().out == "None of the 30 labels looks wrong (validation and test).\n"
