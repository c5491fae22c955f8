import os

import pytest

from classify.command import Problem
from classify.runs import unfinished
from classify.runs.checkpoint import Checkpoints
from classify.runs.folder import ROOT, Run, check_free

pytestmark = pytest.mark.usefixtures("elsewhere")


def begin(name, age=0, script="train_cnn.py", **at):
    """Make an unfinished run, ``age`` seconds old."""
    checkpoints = Checkpoints(ROOT / name)
    checkpoints.begin(script=script, options={"epochs": 11})
    if at:
        checkpoints.save({"stage": "network", "epochs": 11, **at}, [])
    time = checkpoints.folder.stat().st_mtime - age
    os.utime(checkpoints.folder, (time, time))


def test_the_newest_one_of_a_script_is_found():
    begin("old", age=20)
    begin("new", age=10)
    begin("other", script="train_inception.py")
    assert unfinished.find("", "train_cnn.py").folder == ROOT / "new"
    assert unfinished.find("old", "train_cnn.py").folder == unfinished.find("runs/old", "train_cnn.py").folder


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("", "no unfinished run of train_cnn.py in runs/"),
        ("nowhere", "--resume nowhere: is not there"),
        ("finished", "--resume finished: is no unfinished run"),
        ("other", "runs/other is a run of train_inception.py"),
    ],
)
def test_what_cannot_be_gone_on_with_is_a_wrong_command_line(run, words, finished_run):
    finished_run("finished")
    begin("other", script="train_inception.py")
    with pytest.raises(Problem, match=words) as problem:
        unfinished.find(run, "train_cnn.py")
    assert problem.value.status == 2


def test_a_plain_rerun_hears_how_to_go_on(capsys):
    assert not unfinished.mention("train_cnn.py")
    begin("cnn", epoch=6)
    assert unfinished.mention("train_cnn.py")
    expected = "runs/cnn was not finished (epoch 7 of 11). Go on with:\n  python train_cnn.py --resume runs/cnn\n"
    assert capsys.readouterr().err == expected


def test_a_run_that_a_process_works_on_is_not_unfinished():
    with Run(ROOT / "cnn") as run:
        run.checkpoints.begin(script="train_cnn.py", options={})
        assert unfinished.of("train_cnn.py") == []
    assert [found.folder for found in unfinished.of("train_cnn.py")] == [ROOT / "cnn"]


def test_a_damaged_one_is_named_and_passed_over(capsys):
    begin("damaged")
    begin("whole", age=5)
    (ROOT / "damaged" / "checkpoints" / "begun.json").write_text("{}")
    assert [found.folder for found in unfinished.of("train_cnn.py")] == [ROOT / "whole"]
    assert "runs/damaged/checkpoints/begun.json is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("at", "where"),
    [
        ({}, "before its first step"),
        ({"epoch": 11}, "epoch 11 of 11"),
        ({"stage": "fine-tuning", "epoch": 1, "epochs": 5}, "fine-tuning, epoch 2 of 5"),
    ],
)
def test_where_it_stopped(at, where):
    begin("cnn", **at)
    assert unfinished.find("cnn", "train_cnn.py").where == where


def test_out_does_not_take_an_unfinished_run_unless_told():
    begin("cnn")
    with pytest.raises(Problem, match="runs/cnn holds an unfinished run; go on with --resume runs/cnn") as problem:
        check_free("runs/cnn")
    assert problem.value.status == 2
    check_free("runs/cnn", overwrite=True)


@pytest.mark.parametrize(("status", "kept"), [("finished", False), ("interrupted", True)])
def test_checkpoints_go_when_the_run_is_finished(status, kept, capsys):
    with Run(ROOT / "cnn") as run:
        run.checkpoints.begin(script="train_cnn.py", options={})
        run.checkpoints.save({}, [])
        run.finish(status)
    assert run.checkpoints.folder.exists() == run.checkpoints.exist == kept
    assert ("go on with it:  python train_cnn.py --resume runs/cnn\n" in capsys.readouterr().err) == kept
