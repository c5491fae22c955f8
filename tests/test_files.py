import errno
import json
import os

import pytest

from classify import files
from classify.command import Problem


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "metrics.json"
    files.write_json(path, {"n": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"n": object()})
    with pytest.raises(RuntimeError), files.whole(path) as beside:
        beside.write_text("half of")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"n": 1}
    assert os.listdir(tmp_path) == ["metrics.json"]


def test_a_folder_takes_the_place_of_a_former_one(tmp_path):
    path = tmp_path / "export"
    for name in ("old", "new"):
        with files.whole(path) as beside:
            beside.mkdir()
            (beside / name).touch()
    assert os.listdir(path) == ["new"] and os.listdir(tmp_path) == ["export"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), OSError("write failed (errno = 28, error)")])
def test_a_full_disk_names_the_file_the_room_needed_and_what_is_left(error, tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("the former one")
    with (
        pytest.raises(
            Problem, match=r"model.keras cannot be written, the disk is full: it needs about 8.0 MB, .* MB are"
        ),
        files.whole(path, size=8_000_000) as beside,
    ):
        beside.write_text("half of")
        raise error
    assert os.listdir(tmp_path) == ["model.keras"] and path.read_text() == "the former one"


def test_another_error_is_not_called_a_full_disk(tmp_path):
    with pytest.raises(PermissionError), files.whole(tmp_path / "x") as beside:
        beside.touch()
        raise PermissionError(errno.EACCES, "Permission denied")
