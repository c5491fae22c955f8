import base64
import io
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from classify.evaluation.metrics import calibration, wilson_interval
from classify.reporting import plots

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


def test_stacked_curves_have_one_scale_of_accuracy():
    loss, accuracy, rate = plots.curves(HISTORY, 2, stacked=True, lowest=0.2).axes
    assert accuracy.get_ylim() == (0.2, 1)
    assert loss.get_position().y0 > accuracy.get_position().y0 > rate.get_position().y0


def test_confusion_writes_the_counts_and_colours_the_shares(tmp_path):
    metrics = {"confusion_matrix": [[8, 2], [0, 0]], "class_names": ["cat", "dog"]}
    figure = plots.confusion(metrics, "title")
    axes = figure.axes[0]
    assert {text.get_text() for text in axes.texts} == {"8", "2"}
    opacity = axes.images[0].get_array()[..., 3]
    np.testing.assert_allclose(opacity, np.sqrt([[0.8, 0.2], [0, 0]]))  # the root, to show few mistakes too
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    figure.savefig(tmp_path / "confusion.png")


def test_confusion_of_many_classes_has_no_numbers_but_a_scale():
    names = [f"class {index}" for index in range(100)]
    figure = plots.confusion({"confusion_matrix": np.eye(100, dtype=int).tolist(), "class_names": names}, width=9)
    axes, bar = figure.axes
    assert not axes.texts and len(axes.get_yticklabels()) == 100
    assert bar.get_ylabel() == "share of the true class"


def test_bars_of_recall_a_class_and_model():
    models = [("a", [0.5, 1.0], [0.4, 0.9], [0.6, 1.0]), ("b", [0.25, 0.75], [0.2, 0.7], [0.3, 0.8])]
    [axes] = plots.recalls(["cat", "dog"], models).axes
    assert [bar.get_width() for bar in axes.patches] == [0.5, 1.0, 0.25, 0.75]
    centres = [bar.get_y() + bar.get_height() / 2 for bar in axes.patches]
    assert centres == pytest.approx([-0.2, 0.8, 0.2, 1.2])  # cat's first, a above b
    np.testing.assert_allclose(axes.collections[0].get_segments()[0][:, 0], [0.4, 0.6])
    assert axes.get_xlim() == (0, 1)


def test_a_reliability_diagram_shows_accuracy_and_share_of_each_bin():
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.4, 0.6]] * 6)
    scores = calibration(np.array([0, 0, 0, 1] + [1, 1, 0, 0, 0, 0]), probabilities, bins=10)
    above, below = plots.reliability(scores).axes
    assert [bar.get_height() for bar in above.patches] == pytest.approx([2 / 6, 3 / 4])
    assert [bar.get_x() for bar in above.patches] == pytest.approx([0.5, 0.8])
    assert [bar.get_height() for bar in below.patches] == pytest.approx([0.6, 0.4])
    np.testing.assert_allclose(above.collections[0].get_segments()[0][:, 1], wilson_interval(2, 6))


def test_a_name_that_looks_like_a_formula_is_drawn_as_it_is_written():
    """In files, which have no page's style; a data set, a model and a class may be called so."""
    formula = "$\\frac$"
    metrics = {"confusion_matrix": [[8, 2], [0, 10]], "class_names": [formula, "dog"]}
    models = [(formula, [0.5, 1.0], [0.4, 0.9], [0.6, 1.0]), ("b", [0.5, 1.0], [0.4, 0.9], [0.6, 1.0])]
    for figure in (
        plots.curves(HISTORY, 2, formula),
        plots.confusion(metrics, formula),
        plots.recalls([formula, "dog"], models),
    ):
        svg = io.StringIO()
        with matplotlib.rc_context({"svg.fonttype": "none"}):
            figure.savefig(svg, format="svg")
        assert formula in svg.getvalue()


def test_control_characters_in_a_class_name_leave_a_page_its_picture():
    models = [("cnn", [0.5], [0.4], [0.6])]
    light, _ = plots.embed(plots.recalls, ["\x1b[2J\n"], models)
    svg = ElementTree.fromstring(base64.b64decode(light.split(",")[1]))
    assert "\\x1b[2J\\n" in [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]


def test_an_embedded_picture_is_drawn_for_a_light_and_a_dark_page():
    metrics = {"confusion_matrix": [[8, 2], [0, 10]], "class_names": ["$\\frac{", "<b>&"]}
    light, dark = (
        base64.b64decode(uri.removeprefix("data:image/svg+xml;base64,")).decode()
        for uri in plots.embed(plots.confusion, metrics, width=3)
    )
    for svg in (light, dark):
        texts = {element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
        assert {"$\\frac{", "<b>&", "8", "2", "10", "true class"} <= texts
    assert plots.INK in light and plots.INK not in dark and plots.DARK[plots.INK] in dark
    assert plots.embed(plots.confusion, metrics, width=3)[0].endswith(base64.b64encode(light.encode()).decode())
