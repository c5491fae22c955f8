"""The benchmark `benchmarks/labels.py`: what it changes, what it counts, and going on where it stopped."""

import sys

import numpy as np
import pytest

from benchmarks import labels
from classify.data.dataset import Split


def test_a_twentieth_of_the_labels_gets_another_class():
    right = np.arange(1000) % 4
    given, changed = labels.with_errors(right, 4, seed=0)
    assert len(changed) == 50 and sorted(changed) == np.flatnonzero(given != right).tolist()
    assert set(given) == {0, 1, 2, 3} and set((given - right)[changed] % 4) == {1, 2, 3}
    np.testing.assert_array_equal(labels.with_errors(right, 4, seed=0)[0], given)
    assert (labels.with_errors(right, 4, seed=1)[0] != given).any()


def test_a_row_is_the_mean_of_draws_and_no_label_listed_is_no_precision():
    draws = [
        {"images": 200, "changed": 10, "listed": 16, "found": 8, "seconds": 1.0},
        {"images": 200, "changed": 10, "listed": 0, "found": 0, "seconds": 2.4},
    ]
    assert labels.row("photos", draws[:1]) == "| photos | 200 | 10 | 16 | 0.80 | 0.50 | 1 |"
    assert labels.row("photos, mean", draws) == "| photos, mean | 200 | 10 | 8 | 0.40 | 0.25 | 2 |"


def test_what_is_drawn_is_counted_once_and_kept(elsewhere, rng, monkeypatch, capsys):
    right = np.arange(200) % 10
    features = (rng.normal(0, 0.3, (200, 200)) + np.tile(np.eye(10), 20)[right]).astype("float32")
    read = [(Split(None, right), features)]
    monkeypatch.setattr(labels, "read", lambda source, weights: read.pop())
    monkeypatch.setattr(sys, "argv", ["labels.py", "digits"])
    labels.main()
    table = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[:3] for line in table[2:]] == [
        [f"| digits, {name}", "200", "10"] for name in ("draw 1", "draw 2", "draw 3", "mean")
    ]
    recall, precision = (float(cell) for cell in table[-1].split(" | ")[4:6])
    assert recall > 0.6 and precision > 0.6
    labels.main()  # now there is nothing to read
    assert capsys.readouterr().out.splitlines() == table
    (elsewhere / "runs/benchmark/labels/digits-1.json").unlink()
    with pytest.raises(IndexError):
        labels.main()
