import json
import os

import pytest

from classify import files


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
