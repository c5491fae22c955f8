"""The rules of the house: who may import whom, and how large a room and a module may be."""

import subprocess
import sys

import pytest
from conftest import PROJECT

ROOMS = [folder for folder in (PROJECT / "classify").rglob("*") if folder.is_dir() and list(folder.glob("*.py"))]


def modules(folder):
    return [file for file in folder.glob("*.py") if file.name != "__init__.py"]


def test_nothing_imports_upward():
    """The floors are in pyproject.toml."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    process = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout


@pytest.mark.parametrize("room", [PROJECT / "classify", *ROOMS], ids=lambda room: room.name)
def test_a_room_has_at_most_nine_modules_of_250_lines(room):
    assert len(modules(room)) <= 9
    for module in modules(room):
        assert len(module.read_text(encoding="utf-8").splitlines()) <= 250, module


@pytest.mark.parametrize("name", ["train_cnn", "train_inception", "evaluate", "predict", "export", "demo"])
def test_a_script_is_read_in_one_sitting(name):
    assert len((PROJECT / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 155


def test_the_readme_is_short():
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


def test_what_must_start_at_once_imports_neither_tensorflow_nor_keras():
    names = "evaluation.metrics reporting.plots reporting.terminal reporting.html reporting.charts reporting.answers"
    names += " reporting.sorting data.pictures runs.folder runs.saved inference.predictor inference.reading"
    names += " evaluation.subject training.settings"
    code = f"import sys, {', '.join(f'classify.{name}' for name in names.split())}; "
    code += "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0
