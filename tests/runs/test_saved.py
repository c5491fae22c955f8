import json
import shutil

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
        assert saved.find("mine").history() == []  # it is of the training that is under way
        (run.work / "model.keras").touch()
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
    assert saved.newest_of_each_recipe() == [saved.shipped()] == [saved.newest_own()]
    finished_run("old", age=30)
    finished_run("new", age=10)
    finished_run("digits", data="digits")
    finished_run("tutorial", age=20, recipe="tutorial", status="interrupted")
    finished_run("unfinished", status="running")
    assert [model.name for model in saved.newest_of_each_recipe()] == ["digits", "new", "tutorial"]
    assert saved.newest_own().name == "new"


def test_the_newest_run_on_ones_own_pictures_counts_and_one_on_other_named_data_does_not(finished_run):
    finished_run("cifar10", age=30)
    finished_run("photos", age=20, data="photos", data_fingerprint="1" * 32)
    finished_run("digits", age=10, data="digits", data_fingerprint=None)
    finished_run("flowers", data="tf_flowers")
    assert saved.newest_own().name == "photos" and saved.newest_own().data_fingerprint == "1" * 32


def test_two_folders_of_one_name_are_not_the_same_data(finished_run):
    finished_run("first", age=20, data="photos", data_fingerprint="1" * 32)
    finished_run("second", age=10, data="photos", data_fingerprint="2" * 32)
    finished_run("third", data="photos", data_fingerprint="1" * 32)
    assert [model.name for model in saved.newest_of_each_recipe()] == ["third", "second"]


def test_the_way_of_reduction_is_recorded_and_known_of_older_runs(tmp_path):
    assert saved.SavedModel("mine", tmp_path, {"reduction": "whole-area"}).reduction == "whole-area"
    assert saved.SavedModel("mine", tmp_path, {}).reduction == "centre-lanczos"


def test_a_corrupt_run_is_named_and_passed_over_where_none_is_asked_for(finished_run, capsys):
    finished_run("good", age=10)
    finished_run("torn")
    (ROOT / "torn" / "run.json").write_text("{")
    finished_run("odd", class_names=5)
    assert saved.newest_own().name == "good"
    assert [model.name for model in saved.newest_of_each_recipe()] == ["good"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and any(line.startswith("runs/torn/run.json is not a run's description") for line in lines)
    assert any("runs/odd/run.json" in line and "class_names" in line for line in lines)
    with pytest.raises(Problem, match="runs/torn/run.json"):
        saved.find("torn")


def test_two_models_of_one_name_are_told_apart_by_their_paths(finished_run):
    finished_run("mine")
    shutil.copytree("runs/mine", "older/mine")
    shutil.copy("runs/mine/model.keras", "runs/mine/copy.keras")
    finished_run("other")
    models = [saved.find(name) for name in ("mine", "older/mine", "other", "runs/mine/copy.keras")]
    assert [model.name for model in models] == ["mine", "mine", "other", "mine"]
    names = [model.name for model in saved.told_apart(models)]
    assert names == ["runs/mine", "older/mine", "other", "runs/mine/copy.keras"]


def test_a_model_named_twice_counts_once(finished_run):
    finished_run("mine")
    finished_run("other")
    models = [saved.find(name) for name in ("runs/mine", "other", "mine", "runs/../runs/mine/model.keras")]
    assert [model.name for model in saved.told_apart(models)] == ["mine", "other"]
