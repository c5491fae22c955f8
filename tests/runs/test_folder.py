import pytest

from classify.command import Problem
from classify.runs.folder import ROOT, Run, check_free, folder_for, report_file
from classify.runs.saved import finished

pytestmark = pytest.mark.usefixtures("elsewhere")


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
    assert folder_for(None, recipe, data) == ROOT / name


def test_a_further_run_gets_a_number_and_overwrite_takes_the_first():
    for expected in ("cnn", "cnn-2", "cnn-3"):
        folder = folder_for(None, "standard", "cifar10")
        assert folder == ROOT / expected
        folder.mkdir(parents=True)
    assert folder_for(None, "standard", "cifar10", overwrite=True) == ROOT / "cnn"


def test_a_finished_run_is_refused_unless_overwritten(finished_run):
    finished_run("mine")
    with pytest.raises(Problem, match="--overwrite") as problem:
        folder_for("runs/mine", "standard", "cifar10")
    assert problem.value.status == 2
    assert folder_for("runs/mine", "standard", "cifar10", overwrite=True) == ROOT / "mine"


def test_a_file_is_refused_as_out():
    open("file", "w").close()
    with pytest.raises(Problem, match="is a file"):
        check_free("file", overwrite=True)


def test_overwriting_takes_run_json_away_first(finished_run):
    finished_run("mine")
    with Run(ROOT / "mine"):
        assert not finished()


def test_a_run_that_saved_nothing_leaves_no_folder():
    with pytest.raises(KeyboardInterrupt), Run(ROOT / "cnn"):
        raise KeyboardInterrupt
    assert not (ROOT / "cnn").exists()


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
    assert report_file(data, split) == ROOT / name
