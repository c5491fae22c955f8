import numpy as np
import pytest

from classify import plots

HISTORY = [
    {"epoch": 1, "loss": 2.0, "accuracy": 0.3, "val_loss": 1.8, "val_accuracy": 0.4, "learning_rate": 0.1},
    {"epoch": 2, "loss": 1.0, "accuracy": 0.6, "val_loss": 1.1, "val_accuracy": 0.5, "learning_rate": 0.0},
]


def test_curves_show_the_history_and_mark_the_kept_epoch():
    loss, accuracy, rate = plots.curves(HISTORY, 2, "title").axes
    assert [list(line.get_ydata()) for line in loss.lines[:2]] == [[2.0, 1.0], [1.8, 1.1]]
    assert [list(line.get_ydata()) for line in accuracy.lines[:2]] == [[0.3, 0.6], [0.4, 0.5]]
    assert list(rate.lines[0].get_ydata()) == [0.1, 0.0]
    assert all(list(axes.lines[-1].get_xdata()) == [2, 2] for axes in (loss, accuracy, rate))


def test_curves_without_validation():
    history = [{key: value for key, value in row.items() if not key.startswith("val_")} for row in HISTORY]
    assert len(plots.curves(history, 1, "title").axes[0].lines) == 2


def test_confusion_writes_the_counts_and_colours_the_shares(tmp_path):
    metrics = {"confusion_matrix": [[8, 2], [0, 0]], "class_names": ["cat", "dog"]}
    figure = plots.confusion(metrics, "title")
    axes = figure.axes[0]
    assert {text.get_text() for text in axes.texts} == {"8", "2"}
    np.testing.assert_allclose(axes.images[0].get_array()[..., 3] ** 2, [[0.8, 0.2], [0, 0]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    figure.savefig(tmp_path / "confusion.png")


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
    figure = plots.study(results, "title")
    seeds, curves, rates = figure.axes
    assert list(seeds.lines[0].get_xdata()) == [0.6, 0.7] and seeds.lines[1].get_xdata()[0] == pytest.approx(0.65)
    assert [label.get_text() for label in seeds.get_yticklabels()] == ["adam", "sgd"]
    np.testing.assert_allclose(curves.lines[0].get_ydata(), [0.4, 0.65])
    assert list(rates.lines[0].get_xdata()) == [0.1, 1.0] and list(rates.lines[1].get_xdata()) == [0.1]
    figure.savefig(tmp_path / "study.png")
