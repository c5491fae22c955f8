import json

import pytest

from classify.command import Problem
from classify.runs import description
from classify.runs.saved import SHIPPED

WHOLE = {
    "status": "finished",
    "recipe": "standard",
    "options": {
        **{"data": "cifar10", "data_dir": None, "label": None, "csv_order": None},
        **{"validation": 0.1, "test": 0.2, "limit": None, "epochs": 11},
    },
    "data": "cifar10",
    "data_fingerprint": None,
    "reduction": "centre-lanczos",
    "mirror": True,
    "class_names": ["cat", "dog"],
    "unsure": {"score": "generalized entropy", "threshold": 7.5},
    "splits": {"train": 45000, "validation": 5000, "test": 10000},
    "seed": 0,
    "processor": "AMD EPYC, 2 cores",
    "precision": "float32",
    "seconds": 600.5,
    "packages": {"python": "3.11.7"},
    "commit": None,
    "temperature": 1.2,
    "validation_fingerprint": "0123456789abcdef",
}


@pytest.fixture
def written(tmp_path):
    """A function that writes a run.json and returns its path."""

    def write(content):
        file = tmp_path / "run.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    return write


def test_a_whole_description_is_read(written):
    assert description.read(written(WHOLE)) == WHOLE
    assert set(description.ENTRIES) - {f"options.{name}" for name in WHOLE["options"]} == set(WHOLE)


@pytest.mark.parametrize("name", WHOLE)
def test_an_older_run_lacks_entries_and_a_newer_one_has_more(name, written):
    info = {entry: value for entry, value in WHOLE.items() if entry != name} | {"of a newer program": [1]}
    assert description.read(written(info)) == info


def test_the_shipped_models_description_is_read():
    assert description.read(SHIPPED.with_suffix(".json"))["status"] == "finished"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", 1),
        ("recipe", ["standard"]),
        ("options", None),
        ("options", "--epochs 3"),
        ("data", {"name": "cifar10"}),
        ("mirror", "no"),
        ("class_names", "abc"),
        ("class_names", [1, 2]),
        ("class_names", {"0": "cat"}),
        ("class_names", ["cat", "cat"]),
        ("unsure", 7.5),
        ("unsure", {"score": "of statistics", "threshold": 1, "weight": 1, "mean": [1, 2], "precision": [[1, 0], [0]]}),
        ("unsure", {"score": "of statistics", "threshold": 1, "weight": 1, "mean": 1, "precision": [[1]]}),
        ("unsure", {"score": "of statistics", "threshold": 1, "mean": [1], "precision": [[1]]}),
        ("unsure", {"score": "generalized entropy"}),
        ("unsure", {"score": "generalized entropy", "threshold": "7.5"}),
        ("unsure", {"score": "generalized entropy", "threshold": float("nan")}),
        ("splits", [1, 2]),
        ("splits", {"validation": "5000"}),
        ("splits", {"validation": None}),
        ("seed", "0"),
        ("processor", None),
        ("precision", 32),
        ("seconds", "600"),
        ("packages", ["keras"]),
        ("commit", 7),
        ("temperature", "1"),
        ("temperature", 0),
        ("temperature", True),
        ("temperature", 10**400),
        ("validation_fingerprint", 12),
    ],
)
def test_an_entry_of_a_wrong_type_is_named_with_its_file(name, value, written):
    file = written(WHOLE | {name: value})
    with pytest.raises(Problem) as problem:
        description.read(file)
    message = str(problem.value)
    assert message.startswith(f"{file} is not a run's description: its entry {name} is not ") and "\n" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [("data", 5), ("data_dir", True), ("label", 1), ("validation", "0.1"), ("validation", 1), ("limit", 0.5)],
)
def test_an_option_of_a_wrong_type_is_named_too(name, value, written):
    with pytest.raises(Problem, match=f"run.json is not a run's description: its entry options.{name} is not "):
        description.read(written(WHOLE | {"options": {name: value}}))


@pytest.mark.parametrize("content", ["{", "[]", "null", "[" * 100_000, '{"seed": ' + "1" * 5000 + "}"])
def test_a_file_that_is_no_json_object_is_named(content, written):
    with pytest.raises(Problem, match="run.json is not a run's description: it is no JSON"):
        description.read(written(content))


def test_a_huge_description_is_not_read(written, monkeypatch):
    monkeypatch.setattr(description, "LARGEST", 100)
    with pytest.raises(Problem, match="run.json is not a run's description: it is larger than 100 bytes"):
        description.read(written(WHOLE))
