import json
import os
import subprocess
import sys

import pytest

from classify.command import Problem
from classify.runs import folder as runs


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finished_run(name, age=0, **info):
    folder = runs.ROOT / name
    folder.mkdir(parents=True)
    (folder / "model.keras").write_bytes(b"")
    info = {"status": "finished", "data": "cifar10", "recipe": "standard", "class_names": ["a", "b"]} | info
    (folder / "run.json").write_text(json.dumps(info))
    time = (folder / "run.json").stat().st_mtime - age
    os.utime(folder / "run.json", (time, time))


@pytest.mark.parametrize(
    ("recipe", "data", "name"),
    [
        ("standard", "cifar10", "cnn"),
        ("tutorial", "cifar10", "cnn-tutorial"),
        ("standard", "digits", "cnn-digits"),
        ("tutorial", "digits", "cnn-tutorial-digits"),
        ("inception", "cifar10", "inception"),
    ],
)
def test_folder_names(recipe, data, name):
    assert runs.folder_for(None, recipe, data) == runs.ROOT / name


def test_a_further_run_gets_a_number_and_overwrite_takes_the_first():
    for expected in ("cnn", "cnn-2", "cnn-3"):
        folder = runs.folder_for(None, "standard", "cifar10")
        assert folder == runs.ROOT / expected
        folder.mkdir(parents=True)
    assert runs.folder_for(None, "standard", "cifar10", overwrite=True) == runs.ROOT / "cnn"


def test_a_finished_run_is_refused_unless_overwritten():
    finished_run("mine")
    with pytest.raises(Problem, match="--overwrite") as problem:
        runs.folder_for("runs/mine", "standard", "cifar10")
    assert problem.value.status == 2
    assert runs.folder_for("runs/mine", "standard", "cifar10", overwrite=True) == runs.ROOT / "mine"


def test_a_file_is_refused_as_out():
    open("file", "w").close()
    with pytest.raises(Problem, match="is a file"):
        runs.check_free("file", overwrite=True)


def test_overwriting_takes_run_json_away_first():
    finished_run("mine")
    with runs.Run(runs.ROOT / "mine"):
        assert not runs.finished()


def test_a_run_that_saved_nothing_leaves_no_folder():
    with pytest.raises(KeyboardInterrupt), runs.Run(runs.ROOT / "cnn"):
        raise KeyboardInterrupt
    assert not (runs.ROOT / "cnn").exists()


def test_history_has_the_promised_columns():
    with runs.Run(runs.ROOT / "cnn") as run:
        run.save_history([{"epoch": 1, "loss": 0.5, "accuracy": 0.8, "learning_rate": 0.1, "seconds": 3.0}])
    assert (run.folder / "history.csv").read_text().splitlines() == [
        "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds",
        "1,0.5,0.8,,,0.1,3.0",
    ]


def test_a_file_appears_whole_or_not_at_all(elsewhere):
    path = elsewhere / "metrics.json"
    runs.write_json(path, {"n": 1})
    with pytest.raises(TypeError):
        runs.write_json(path, {"n": object()})
    with pytest.raises(RuntimeError), runs.whole(path) as beside:
        beside.write_text("half of")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"n": 1}
    assert os.listdir(elsewhere) == ["metrics.json"]


def test_find_by_folder_name_and_file():
    finished_run("mine")
    for model in ("runs/mine", "mine", "runs/mine/model.keras"):
        found = runs.find(model)
        assert found.name == "mine" and found.class_names(2) == ("a", "b") and found.data == "cifar10"


def test_a_file_without_a_description_gets_numbered_classes():
    open("bare.keras", "w").close()
    found = runs.find("bare.keras")
    assert found.name == "bare" and found.info == {} and found.class_names(2) == ("class 0", "class 1")


def test_a_json_of_the_same_name_describes_a_file():
    open("bare.keras", "w").close()
    with open("bare.json", "w") as file:
        json.dump({"class_names": ["x", "y"], "data": "cifar10"}, file)
    assert runs.find("bare.keras").class_names(2) == ("x", "y")


def test_a_runs_history_is_read_back_and_a_strangers_is_not():
    finished_run("mine")
    assert runs.find("mine").history() == []
    with runs.Run(runs.ROOT / "mine") as run:
        run.save_history([{"epoch": 1, "loss": 0.5, "accuracy": 0.8, "learning_rate": 0.1, "seconds": 3.0}])
    assert runs.find("mine").history() == []  # the training that wrote it has not finished: the model is an older one
    run.finish("finished", data="cifar10")
    assert runs.find("mine").history() == [
        {"epoch": 1, "loss": 0.5, "accuracy": 0.8, "learning_rate": 0.1, "seconds": 3.0}
    ]


@pytest.mark.parametrize(
    "text", ["", "epoch,loss\n1,2", "epoch,loss,accuracy,learning_rate\n1,2,x,4", "\0", "epoch\n1,2,3"]
)
def test_a_damaged_history_is_none(text):
    finished_run("mine")
    (runs.ROOT / "mine" / "history.csv").write_text(text)
    assert runs.find("mine").history() == []


def test_the_epoch_in_which_training_diverged_is_no_history():
    finished_run("mine")
    rows = "1,2,0.5,0.1\n2,nan,0.1,0.1"
    (runs.ROOT / "mine" / "history.csv").write_text(f"epoch,loss,accuracy,learning_rate\n{rows}")
    assert [row["epoch"] for row in runs.find("mine").history()] == [1]


@pytest.mark.parametrize(
    ("data", "split", "name"),
    [
        ("cifar10", "test", "report.html"),
        ("cifar10", "validation", "report-validation.html"),
        ("digits", "test", "report-digits.html"),
        ("../my data", "train", "report-.._my_data-train.html"),
    ],
)
def test_a_report_is_named_by_what_it_shows(data, split, name):
    assert runs.report_file(data, split) == runs.ROOT / name


@pytest.mark.parametrize("name", ["nothing", "runs/empty"])
def test_what_is_not_there_is_named(name):
    (runs.ROOT / "empty").mkdir(parents=True)
    with pytest.raises(Problem, match=name):
        runs.find(name)


def test_a_damaged_description_and_a_wrong_number_of_names_are_problems():
    finished_run("mine")
    with pytest.raises(Problem, match="3 classes"):
        runs.find("mine").class_names(3)
    (runs.ROOT / "mine" / "run.json").write_text("{")
    with pytest.raises(Problem, match="run.json"):
        runs.find("mine")


def test_newest_runs():
    assert runs.newest_of_each_recipe() == [runs.shipped()] == [runs.newest_cifar10()]
    finished_run("old", age=30)
    finished_run("new", age=10)
    finished_run("digits", data="digits")
    finished_run("tutorial", age=20, recipe="tutorial", status="interrupted")
    finished_run("unfinished", status="running")
    assert [run.name for run in runs.newest_of_each_recipe()] == ["digits", "new", "tutorial"]
    assert runs.newest_cifar10().name == "new"


def test_the_light_modules_do_not_import_tensorflow():
    light = (
        "evaluation.metrics",
        "reporting.plots",
        "reporting.terminal",
        "reporting.html",
        "data.pictures",
        "runs.folder",
    )
    code = f"import sys, {', '.join(f'classify.{name}' for name in light)}; "
    code += "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=runs.PROJECT).returncode == 0
