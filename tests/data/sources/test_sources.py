import pytest

from classify.command import Problem
from classify.data import sources


@pytest.mark.parametrize("name", ["nowhere", "notes.txt", "mnist"])
def test_what_is_no_data_set_is_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(Problem, match=name):
        sources.find(name)
