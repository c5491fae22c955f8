"""The benchmark `benchmarks/seeds.py`: its table."""

import sys

from benchmarks import seeds


def test_a_seed_that_diverges_costs_no_other_its_row(monkeypatch, capsys):
    def trained(name, script, *arguments):
        recipe, seed = name.split("-")
        run = {"folder": int(seed), "epochs": 4, "seconds": 60, "processor": "a CPU", "precision": "float32"}
        return None if recipe == "sprint" or name == "tutorial-1" else run

    measured = {split: {"plain": 0.5, "tta": 0.6} for split in seeds.SPLITS}
    monkeypatch.setattr(seeds, "trained", trained)
    monkeypatch.setattr(seeds, "accuracies", lambda folder: measured)
    monkeypatch.setattr(sys, "argv", ["seeds.py", "--recipes", "tutorial", "sprint", "record"])
    seeds.main()
    figures = "50.00 ± 0.00 % | 60.00 ± 0.00 % | 50.00 ± 0.00 % | 60.00 ± 0.00 % | 4 | 1 min 00 s |"
    assert capsys.readouterr().out.splitlines()[2:] == [
        f"| tutorial, 1 of 3 seeds diverged | {figures}",
        "| sprint | diverged | | | | | |",
        f"| record | {figures}",
        "",
        "3 seeds, a CPU, float32",
    ]
