import json
import zipfile

import numpy as np
import pytest

from classify.command import Problem
from classify.runs.checkpoint import KEPT, Checkpoints

ARRAYS = [np.arange(6, dtype="float32").reshape(2, 3), np.array(7, "int64"), np.array([1, 2], "uint32")]


@pytest.fixture
def checkpoints(tmp_path):
    """Three checkpoints of a run that was begun; the first is gone again."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.begin(script="train_cnn.py", options={"epochs": 3})
    for epoch in range(3):
        checkpoints.save({"epoch": epoch, "history": [{"loss": 0.1}]}, [array + epoch for array in ARRAYS])
    return checkpoints


def test_the_newest_comes_back_to_the_bit_and_the_last_two_stay(checkpoints):
    description, arrays, _ = checkpoints.newest()
    assert description["epoch"] == checkpoints.newest_description()["epoch"] == 2
    assert description["history"] == [{"loss": 0.1}]
    for array, expected in zip(arrays, ARRAYS, strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected + 2)
    names = {file.name for file in checkpoints.folder.iterdir()}
    assert names == {"begun.json", "2.json", "2.npz", "3.json", "3.npz"} and KEPT == 2
    assert checkpoints.exist and checkpoints.begun()["options"] == {"epochs": 3}


def changed(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("name", ["3.npz", "3.json"])
@pytest.mark.parametrize("damage", [changed, lambda content: content[:-9], lambda content: b""])
def test_a_damaged_newest_one_falls_back_to_the_one_before(name, damage, checkpoints, capsys):
    file = checkpoints.folder / name
    file.write_bytes(damage(file.read_bytes()))
    assert checkpoints.newest()[0]["epoch"] == 1
    notice = capsys.readouterr().err
    assert "3.json is damaged; the checkpoint before it is used" in notice and notice.count("\n") == 1


def test_without_its_arrays_a_checkpoint_counts_for_nothing(checkpoints):
    (checkpoints.folder / "3.npz").unlink()
    assert checkpoints.newest()[0]["epoch"] == 1
    (checkpoints.folder / "2.npz").unlink()
    assert checkpoints.newest() is None


def test_a_checkpoint_after_a_damaged_one_has_a_number_of_its_own(checkpoints):
    (checkpoints.folder / "3.json").write_bytes(b"")
    checkpoints.save({"epoch": 5}, ARRAYS)
    assert checkpoints.newest()[0]["epoch"] == 5


def test_an_array_that_is_a_pickle_is_never_opened(checkpoints, tmp_path):
    """A stranger can make the SHA-256 right."""
    checkpoints.save({"epoch": 9}, [np.array([print], dtype=object)])
    with zipfile.ZipFile(checkpoints.folder / "4.npz") as file:
        assert b"print" in file.read("arr_0.npy")
    assert checkpoints.newest()[0]["epoch"] == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": 1, "content": {}}', "[" * 100_000])
def test_a_damaged_beginning_is_a_problem_that_names_the_file(content, checkpoints):
    (checkpoints.folder / "begun.json").write_text(content)
    with pytest.raises(Problem, match="begun.json is damaged: train again, with --overwrite"):
        checkpoints.begun()


def test_a_changed_beginning_is_damaged(checkpoints):
    file = checkpoints.folder / "begun.json"
    sealed = json.loads(file.read_text())
    sealed["content"]["options"]["epochs"] = 4
    file.write_text(json.dumps(sealed))
    with pytest.raises(Problem, match="is damaged"):
        checkpoints.begun()


def test_a_run_that_begins_anew_has_no_old_checkpoint(checkpoints):
    checkpoints.begin(script="train_cnn.py", options={})
    assert checkpoints.newest() is None and checkpoints.newest_description() is None
    checkpoints.remove()
    assert not checkpoints.exist and not checkpoints.folder.exists()
