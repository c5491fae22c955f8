"""The benchmark `benchmarks/study.py`: its search for a learning rate, its table, and going on where it stopped."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from conftest import script
from PIL import Image

from benchmarks import study
from benchmarks.training import trained
from classify.command import Problem
from classify.runs.history import COLUMNS

TINY = ("--vary", "augment", "--data", "digits", "--limit", "40", "--epochs", "1")


@pytest.mark.parametrize(
    ("best", "chosen", "asked"),
    [(1, 1, {1, 3, 0.33}), (25, 27, {1, 3, 9, 27, 81}), (0.1, 0.11, {1, 3, 0.33, 0.11, 0.037})],
)
def test_the_learning_rate_climbs_until_both_neighbours_are_worse(best, chosen, asked):
    scores = {}

    def score(rate):
        scores[rate] = -abs(math.log(rate / best))
        return scores[rate]

    assert study.climb(score, 1) == chosen and set(scores) == asked


def test_a_training_that_diverges_loses_to_any_other():
    assert study.climb(lambda rate: 0.0 if rate > 0.5 else 0.3, 1) == 0.33


def write_run(folder, accuracy):
    """A finished run as far as benchmarks look at it."""
    folder.mkdir(parents=True)
    with open(folder / "history.csv", "w") as file:
        rows = [(1, 1.0, 0.5, 1.0, accuracy - 0.1, 0.1, 2), (2, 0.5, 0.5, 1.0, accuracy, 0.1, 2)]
        csv.writer(file).writerows([COLUMNS, *rows])
    (folder / "metrics.json").write_text(json.dumps({"accuracy": accuracy}))
    (folder / "run.json").write_text(json.dumps({"status": "finished"}))


def test_table_and_plot(tmp_path, monkeypatch, capsys):
    """With seed 0 the usual rate is best; augmentation is worth 0.1, a seed 0.02."""
    monkeypatch.chdir(tmp_path)

    def fake(name, script, *arguments):
        options = dict(zip(arguments[::2], arguments[1::2], strict=False))
        rate, seed = arguments[arguments.index("--learning-rate") + 1], arguments[-1]
        assert script == "train_cnn.py" and options["--recipe"] == "tutorial" and arguments[-2] == "--seed"
        folder = Path("runs", "benchmark", name)
        if not folder.exists():
            write_run(folder, 0.5 + 0.1 * ("--augment" in arguments) + 0.02 * seed - 0.05 * (rate != 0.001))
        return trained(name, script)

    monkeypatch.setattr(study, "trained", fake)
    study.main(TINY)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| augment | learning rate | validation accuracy | seconds |"
    assert lines[2:] == ["| yes | 0.001 | 62.00 ± 2.00 % | 4 |", "| no | 0.001 | 52.00 ± 2.00 % | 4 |"]
    assert min(Image.open("docs/study-augment.png").size) > 300
    assert len(list(Path("runs/benchmark").iterdir())) == 2 * (3 + 2)  # three rates, two more seeds


def test_a_study_shows_each_seed_the_mean_and_every_rate(tmp_path):
    results = {
        "adam": {
            "accuracies": [0.6, 0.7],
            "curves": [[0.3, 0.6], [0.5, 0.7]],
            "rate": 0.1,
            "rates": {0.1: 0.6, 1.0: 0.2},
        },
        "sgd": {"accuracies": [0.5, 0.0], "curves": [[0.4, 0.5]], "rate": 1.0, "rates": {1.0: 0.5}},  # one diverged
    }
    figure = study.draw(results, "title")
    seeds, curves, rates = figure.axes
    assert list(seeds.lines[0].get_xdata()) == [0.6, 0.7] and seeds.lines[1].get_xdata()[0] == pytest.approx(0.65)
    assert [label.get_text() for label in seeds.get_yticklabels()] == ["adam", "sgd"]
    np.testing.assert_allclose(curves.lines[0].get_ydata(), [0.4, 0.65])
    assert list(rates.lines[0].get_xdata()) == [0.1, 1.0] and list(rates.lines[1].get_xdata()) == [0.1]
    figure.savefig(tmp_path / "study.png")


def test_a_study_in_which_seeds_diverge(tmp_path, monkeypatch, capsys):
    """Without augmentation seed 1 diverges at once and seed 2 in its second epoch; with it every training does."""
    monkeypatch.chdir(tmp_path)
    epochs = [{"val_accuracy": share, "seconds": 2} for share in (0.4, 0.6)]

    def fake(name, script, *arguments):
        if "--augment" in arguments or arguments[-1] == 1:
            return None
        return {"validation": 0.6, "history": epochs[:1] if arguments[-1] == 2 else epochs}

    monkeypatch.setattr(study, "trained", fake)
    study.main(TINY)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == ["| no | 0.001 | 40.00 ± 34.64 % | 3 |", "| yes | 0.001 | 0.00 ± 0.00 % | diverged |"]
    assert Path("docs/study-augment.png").is_file()


def test_the_curve_of_a_training_that_diverges_later_counts_as_far_as_it_goes():
    results = {"adam": {"accuracies": [0.6, 0.7], "curves": [[0.3, 0.6], [0.5]], "rate": 0.1, "rates": {0.1: 0.6}}}
    _, curves, _ = study.draw(results, "title").axes
    np.testing.assert_allclose(curves.lines[0].get_ydata(), [0.4, 0.6])


def test_an_interrupted_study_trains_what_is_missing_only(tmp_path):
    names = [f"study-digits-40-1-adam-relu-0-{way}-32-{rate}-0" for way in ("no", "yes") for rate in ("0.001", "0.003")]
    for name in names:
        write_run(tmp_path / "runs" / "benchmark" / name, 0.9)
    write_run(tmp_path / "runs" / "benchmark" / "study-digits-40-1-adam-relu-0-no-32-0.00033-0", 0.9)
    process = script("benchmarks/study.py", *TINY, "--seeds", "1", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[2] == "| no | 0.001 | 90.00% (n=1) | 4 |"
    assert process.stderr.count("best epoch 1") == 1
    run = json.loads((tmp_path / "runs/benchmark/study-digits-40-1-adam-relu-0-yes-32-0.00033-0/run.json").read_text())
    assert run["options"]["augment"] and run["options"]["learning_rate"] == 0.00033 and run["splits"]["train"] == 40


def test_a_diverged_training_and_a_failed_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick = ("--data", "digits", "--limit", "40", "--epochs", "1", "--recipe", "tutorial")
    assert trained("far", "train_cnn.py", *quick, "--learning-rate", "1e30") is None
    with pytest.raises(Problem, match="train_cnn.py ended with exit status 2"):
        trained("wrong", "train_cnn.py", "--epohcs", "1")
