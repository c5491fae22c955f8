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
        assert folder_for(None, "standard", "cifar10") == ROOT / expected
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


def test_the_former_run_stays_until_there_is_a_new_one(finished_run):
    finished_run("mine")
    before = {file.name: file.read_bytes() for file in (ROOT / "mine").iterdir()}
    with pytest.raises(RuntimeError), Run(ROOT / "mine") as run:
        run.save_history([])
        assert [model.name for model in finished()] == ["mine"]
        raise RuntimeError("diverged")
    assert {file.name: file.read_bytes() for file in (ROOT / "mine").iterdir()} == before


def test_a_new_run_takes_the_place_of_the_former_one_whole(finished_run):
    finished_run("mine")
    (ROOT / "mine" / "metrics.json").write_text("the former model's")
    with Run(ROOT / "mine") as run:
        (run.work / "model.keras").write_bytes(b"new")
        run.finish("interrupted", data="digits")
    assert {file.name for file in (ROOT / "mine").iterdir()} == {"model.keras", "run.json"}
    [model] = finished()
    assert model.data == "digits" and model.path.read_bytes() == b"new"


def test_what_a_killed_process_left_does_not_stop_the_next(finished_run):
    finished_run("mine")
    (ROOT / "mine" / ".new").mkdir()
    (ROOT / "mine" / ".new" / "history.csv").touch()
    (ROOT / "mine" / ".lock").touch()  # nobody holds it
    (ROOT / "mine" / ".123-model.keras").touch()
    with Run(ROOT / "mine") as run:
        assert not any(run.work.iterdir())
    assert {file.name for file in (ROOT / "mine").iterdir()} == {"model.keras", "run.json"}


def test_ctrl_c_waits_while_nothing_is_trained_or_measured(ctrl_c):
    """Between two stages of a training, say, it would lose what the first one learned."""
    done = []
    with pytest.raises(KeyboardInterrupt), Run(ROOT / "mine") as run:
        ctrl_c()
        done.append("set the weights")
        with pytest.raises(KeyboardInterrupt):
            run.interrupts.release()
        ctrl_c()
        done.append("saved")
    assert done == ["set the weights", "saved"]
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()  # the former handler is back


def test_a_folder_that_another_process_fills_is_refused(finished_run):
    with (
        Run(ROOT / "mine"),
        pytest.raises(Problem, match="mine is in use: another process") as problem,
        Run(ROOT / "mine"),
    ):
        pytest.fail("both fill it")
    assert problem.value.status == 2 and not (ROOT / "mine").exists()
    with Run(ROOT / "mine"):
        pass


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
