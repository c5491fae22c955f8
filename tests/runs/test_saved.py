import json

import pytest

from classify.command import Problem
from classify.runs import saved
from classify.runs.folder import ROOT, Run

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_find_by_folder_name_and_file(finished_run):
    finished_run("mine")
    for name in ("runs/mine", "mine", "runs/mine/model.keras"):
        model = saved.find(name)
        assert model.name == "mine" and model.class_names(2) == ("a", "b") and model.data == "cifar10"


def test_a_file_without_a_description_gets_numbered_classes():
    open("bare.keras", "w").close()
    model = saved.find("bare.keras")
    assert model.name == "bare" and model.info == {} and model.class_names(2) == ("class 0", "class 1")


def test_a_json_of_the_same_name_describes_a_file():
    open("bare.keras", "w").close()
    with open("bare.json", "w") as file:
        json.dump({"class_names": ["x", "y"], "data": "cifar10"}, file)
    assert saved.find("bare.keras").class_names(2) == ("x", "y")


@pytest.mark.parametrize(
    ("info", "mirror"),
    [
        ({"data": "photos", "mirror": False}, False),
        ({"data": "digits", "mirror": True}, True),
        ({"data": "cifar10"}, True),
        ({"data": "digits"}, False),
        ({}, False),
    ],
)
def test_whether_images_may_be_mirrored_is_recorded_and_known_of_older_runs(info, mirror, tmp_path):
    assert saved.SavedModel("mine", tmp_path, info).mirror is mirror


def test_a_runs_history_is_read_back_and_a_strangers_is_not(finished_run):
    finished_run("mine")
    assert saved.find("mine").history() == []
    epoch = {"epoch": 1, "loss": 0.5, "accuracy": 0.8, "learning_rate": 0.1, "seconds": 3.0}
    with Run(ROOT / "mine") as run:
        run.save_history([epoch])
    assert saved.find("mine").history() == []  # the training that wrote it has not finished: the model is an older one
    run.finish("finished", data="cifar10")
    assert saved.find("mine").history() == [epoch]


@pytest.mark.parametrize("name", ["nothing", "runs/empty"])
def test_what_is_not_there_is_named(name):
    (ROOT / "empty").mkdir(parents=True)
    with pytest.raises(Problem, match=name):
        saved.find(name)


def test_a_damaged_description_and_a_wrong_number_of_names_are_problems(finished_run):
    finished_run("mine")
    with pytest.raises(Problem, match="3 classes"):
        saved.find("mine").class_names(3)
    (ROOT / "mine" / "run.json").write_text("{")
    with pytest.raises(Problem, match="run.json"):
        saved.find("mine")


def test_newest_runs(finished_run):
    assert saved.newest_of_each_recipe() == [saved.shipped()] == [saved.newest_cifar10()]
    finished_run("old", age=30)
    finished_run("new", age=10)
    finished_run("digits", data="digits")
    finished_run("tutorial", age=20, recipe="tutorial", status="interrupted")
    finished_run("unfinished", status="running")
    assert [model.name for model in saved.newest_of_each_recipe()] == ["digits", "new", "tutorial"]
    assert saved.newest_cifar10().name == "new"
