import random

import pytest

from benchmarks import options as plan
from classify.command import Problem

TABLE = {"--a": ("1", "2", "3"), "--b": ("1", "2"), "--c": (plan.LEFT_OUT, plan.FLAG), "--d": ("1", "2", "3", "4")}


def test_every_pair_is_in_a_row_and_there_are_few_rows():
    everything = plan.all_pairs(TABLE)
    assert len(everything) == 3 * 2 + 3 * 2 + 3 * 4 + 2 * 2 + 2 * 4 + 2 * 4
    rows = plan.cover(TABLE, everything, set(), random.Random(0))
    assert set().union(*map(plan.pairs_of, rows)) == everything
    assert 12 <= len(rows) <= 16  # 3 x 4 at least; all combinations are 48
    assert rows == plan.cover(TABLE, everything, set(), random.Random(0))


def test_a_pair_to_avoid_is_in_no_row_but_its_own():
    clash = frozenset((("--a", "1"), ("--b", "2")))
    rest = plan.all_pairs(TABLE) - {clash}
    rows = plan.cover(TABLE, rest, {clash}, random.Random(0))
    assert set().union(*map(plan.pairs_of, rows)) == rest
    assert [clash <= set(row.items()) for row in plan.cover(TABLE, {clash}, {clash}, random.Random(0))] == [True]


@pytest.mark.parametrize("script", plan.VALUES)
def test_the_table_has_all_options_of_a_script(script):
    assert all(len(values) > 1 for values in plan.values(script).values())


@pytest.mark.parametrize("script", ["predict", "evaluate"])  # the others' plans take seconds
def test_the_plan_covers_all_options_of_a_script(script):
    rows = plan.plan(script, seed=0)
    assert plan.all_pairs(plan.values(script)) <= set().union(*map(plan.pairs_of, rows))
    wrong = {(option, value) for option, values in plan.WRONG[script].items() for value in values}
    one = [len(wrong & set(row.items())) == 1 for row in rows]
    assert sum(one) >= len(wrong)  # no other error hides a wrong value


def test_an_option_that_is_not_in_the_table_is_named(monkeypatch):
    del_trust = {name: values for name, values in plan.VALUES["predict"].items() if name != "--trust"}
    monkeypatch.setitem(plan.VALUES, "predict", del_trust | {"--gone": ("1",)})
    with pytest.raises(Problem, match="differ: --gone, --trust$"):
        plan.values("predict")


def test_a_row_as_arguments():
    row = {"RUN or MODEL": "a b", "--tta": plan.FLAG, "--csv": plan.LEFT_OUT, "--augment": "--no-augment", "--top": "1"}
    assert plan.command_line(row) == ["--no-augment", "--top", "1", "--tta", "a", "b"]


@pytest.mark.parametrize(
    ("status", "said", "fault"),
    [
        (0, "picture.png: a notice\n", ""),
        (2, "predict.py: --top: 0 is wrong\n", ""),
        (2, "a notice\n", "not one line that says why"),
        (2, "predict.py: one\npredict.py: two\n", "not one line that says why"),
        (1, "notes.txt: cannot be read as an image\n", ""),
        (1, "", "not one line that says why"),
        (1, "Traceback (most recent call last):\n  x\nKeyError: 3\n", "KeyError: 3"),
        (-11, "", "exit status -11"),
        (None, "", "not done after"),
    ],
)
def test_what_is_a_fault(status, said, fault):
    found = plan.fault("predict", ["picture.png"], status, "", said)
    assert fault in found and bool(found) == bool(fault)


def test_json_that_is_none_is_a_fault():
    assert plan.fault("predict", ["--json"], 0, '{"a": 1}\n{"a": 2}\n', "") == ""
    assert "no JSON" in plan.fault("evaluate", ["--json"], 0, "CIFAR-10 test\n", "")
