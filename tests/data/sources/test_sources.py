import pytest

from classify.command import Problem
from classify.data import sources


@pytest.mark.parametrize("name", ["nowhere", "notes.txt", "mnist", "mnist\n\x1b[2J"])
def test_what_is_no_data_set_is_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(Problem, match=name.split("\n")[0]) as problem:
        sources.find(name)
    assert str(problem.value).isprintable()


@pytest.mark.parametrize("data", [None, "cifar10", "digits", "."])
def test_a_label_is_chosen_in_a_data_set_of_tfds_only(data, tmp_path):
    with pytest.raises(Problem, match="--label") as problem:
        sources.find(data, tmp_path, label="coarse")
    assert problem.value.status == 2


@pytest.mark.parametrize("data", [None, "digits", "cifar100", "."])
def test_an_order_of_values_is_chosen_in_a_csv_file_only(data, tmp_path):
    with pytest.raises(Problem, match="--csv-order") as problem:
        sources.find(data, tmp_path, csv_order="rgb")
    assert problem.value.status == 2
