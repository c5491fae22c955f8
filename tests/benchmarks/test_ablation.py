"""The benchmarks start Keras without TensorFlow's chatter; `benchmarks/ablation.py` does so in each of its runs."""

import contextlib
import subprocess
import sys

from conftest import PROJECT

from benchmarks import ablation


def test_no_benchmark_starts_keras_by_its_imports():
    names = [file.stem for file in (PROJECT / "benchmarks").glob("*.py") if file.stem != "airbench_torch"]
    code = f"import sys, {', '.join(f'benchmarks.{name}' for name in names)}; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


def test_keras_starts_quietly_before_a_piece_is_taken_away(monkeypatch):
    done = []

    @contextlib.contextmanager
    def missing():
        done.append("without it")
        yield

    monkeypatch.setattr(ablation.command, "start_keras", lambda: done.append("a quiet start"))
    monkeypatch.setattr(ablation.train_cnn, "main", lambda arguments: done.append(arguments))
    monkeypatch.setitem(ablation.PIECES, "it", (missing, ("--more",)))
    monkeypatch.setattr(sys, "argv", ["ablation.py", "--without", "it", "--seed", "0"])
    ablation.main()
    assert done == ["a quiet start", "without it", ["--seed", "0", "--more"]]


def test_a_piece_without_which_the_training_diverges_is_named(monkeypatch, capsys):
    monkeypatch.setattr(ablation, "trained", lambda *arguments: None)
    monkeypatch.setattr(sys, "argv", ["ablation.py"])
    ablation.main()
    assert "| whitening | diverged | | |" in capsys.readouterr().out.splitlines()
