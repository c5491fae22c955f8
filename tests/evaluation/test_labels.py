"""Labels in doubt: which are found, what they are said to look like, and how they are written down."""

import csv
import io
import sys

import numpy as np
import pytest

from classify.command import Problem
from classify.data.dataset import Split
from classify.evaluation import labels

CLASSES = ("ants", "bees", "wasps")


@pytest.fixture
def sure(rng):
    """Labels of 300 pictures and a good model's probabilities for them: 0.90 to 0.96 for what they show."""
    right = np.arange(300) % 3
    probabilities = np.full((300, 3), 0.02)
    probabilities[np.arange(300), right] = rng.uniform(0.9, 0.96, 300)
    return right, probabilities / probabilities.sum(axis=1, keepdims=True)


def change(sure, rows):
    """Give these rows the next class for a label, though the model is surer of the right one than usual."""
    given, probabilities = sure
    for row in rows:
        probabilities[row] = np.roll([0.985, 0.01, 0.005], given[row])
    given[rows] = (given[rows] + 1) % 3


def test_changed_labels_are_found_and_what_the_pictures_look_like(sure):
    given, probabilities = sure
    right = given.copy()
    change(sure, [10, 20, 30])
    probabilities[20] = np.roll([0.99, 0.002, 0.008], right[20])
    rows, looks, quality = labels.doubtful(given, probabilities)
    assert rows[0] == 20 and sorted(rows) == [10, 20, 30]
    np.testing.assert_array_equal(looks, right[rows])
    np.testing.assert_array_equal(quality, probabilities[np.arange(300), given])


def test_labels_that_the_model_agrees_with_are_in_no_doubt(sure):
    rows, looks, _ = labels.doubtful(*sure)
    assert len(rows) == len(looks) == 0


def test_a_wrong_label_of_a_picture_without_a_probable_class_looks_like_none(sure):
    given, probabilities = sure
    change(sure, [90, 120, 150])
    probabilities[60] = np.roll([0.001, 0.4995, 0.4995], given[60])
    probabilities[63] = np.roll([0.001, 0.45, 0.549], given[63])
    rows, looks, _ = labels.doubtful(given, probabilities)
    looks = dict(zip(rows.tolist(), looks.tolist(), strict=True))
    assert looks[60] == -1 and looks[63] == 2


def test_a_picture_unlike_all_others_is_found_however_sure_the_model_is(sure, rng):
    given, probabilities = sure
    features = rng.normal(0, 0.1, (300, 8)) + np.eye(3, 8)[given]
    features[70] = -np.ones(8)
    rows, looks, quality = labels.doubtful(given, probabilities, features.astype("float32"))
    assert rows[0] == 70 and looks[0] == -1 and len(rows) < 15
    assert quality[70] < 0.1 < 0.9 * probabilities[70, given[70]]
    usual = np.setdiff1d(np.arange(300), rows)
    np.testing.assert_array_equal(quality[usual], probabilities[usual, given[usual]])


def test_a_class_without_pictures_and_one_of_a_single_picture_do_no_harm(sure):
    given, probabilities = sure
    probabilities = np.hstack([probabilities * 0.99, np.full((300, 1), 0.01)])
    assert len(labels.doubtful(given, probabilities)[0]) == 0
    given[50] = 3
    assert labels.doubtful(given, probabilities)[0].tolist() == [50]


def checked(sure, files=None):
    """The ``LabelCheck`` of 200 train and 100 test images with two wrong labels."""
    given, probabilities = sure
    change(sure, [10, 250])
    split = Split(np.arange(300 * 48, dtype="uint16").reshape(300, 4, 4, 3), given, files)
    parts = {"train": split.take(np.arange(200)), "test": split.take(np.arange(200, 300))}
    return labels.report(parts, CLASSES, probabilities), split, probabilities


def test_the_entry_says_where_each_picture_is(sure):
    check, split, probabilities = checked(sure)
    assert check.entry["n"] == len(check.pictures) == 300 and check.entry["splits"] == ["train", "test"]
    by_row = {(doubt["split"], doubt["row"]): doubt for doubt in check.entry["doubtful"]}
    assert by_row.keys() == {("train", 10), ("test", 50)}
    assert by_row["train", 10] == {
        "file": None,
        "split": "train",
        "row": 10,
        "label": "wasps",
        "looks_like": "bees",
        "label_quality": pytest.approx(probabilities[10, 2]),
    }
    assert (by_row["test", 50]["label"], by_row["test", 50]["looks_like"]) == ("wasps", "bees")
    np.testing.assert_array_equal(check.pictures.images[check.rows], split.images[check.rows])
    qualities = [doubt["label_quality"] for doubt in check.entry["doubtful"]]
    assert qualities == sorted(qualities)


def test_the_table_has_a_line_a_label_whatever_the_names_are(sure):
    files = np.array([f"train/{i}.jpg" for i in range(300)], dtype=object)
    files[10], files[250] = 'ant "1",\n.jpg', "蟻\udcff.jpg"
    check, _, probabilities = checked(sure, files)
    text = labels.as_csv(check)
    assert text.encode().count(b"\n") == 3
    rows = {row["split"]: row for row in csv.DictReader(io.StringIO(text))}
    assert rows["train"] == {
        "file": 'ant "1",\\n.jpg',
        "split": "train",
        "row": "10",
        "label": "wasps",
        "looks_like": "bees",
        "label_quality": f"{probabilities[10, 2]:.4f}",
    }
    assert rows["test"]["file"] == "蟻\\udcff.jpg"


def test_an_empty_cell_is_a_picture_that_looks_like_none(sure):
    check, _, _ = checked(sure)
    check.entry["doubtful"][0]["looks_like"] = None
    assert labels.as_csv(check).splitlines()[1].split(",")[0::4] == ["", ""]


def test_without_cleanlab_one_line_says_what_to_install(monkeypatch):
    labels.check_installed()
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Problem, match="cleanlab is not installed; python -m pip install -r requirements-labels.txt"):
        labels.check_installed()
