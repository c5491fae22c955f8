import json
import os

import pytest
from conftest import script

from benchmarks import crash


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the benchmark makes its trainings by fork")
def test_killed_stores_and_trainings_end_the_same_to_the_bit(tmp_path):
    """The benchmark itself, for a few kills: real processes, real signals."""
    process = script("benchmarks/crash.py", "--kills", "2", "--out", tmp_path, "--stages", "store", "CNN", cwd=tmp_path)
    assert process.returncode == 0, process.stdout + process.stderr
    trials = crash.records(tmp_path / "trials.jsonl")
    assert sum(len(trial["kills"]) for trial in trials) >= 2
    assert all(trial["result"] == "the same to the bit" for trial in trials)
    assert process.stdout.splitlines()[-1].startswith("| all | ")


def test_a_file_that_is_not_whole_is_found(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "metrics.json").write_text('{"n": 1')
    (tmp_path / "checkpoints" / "1.json").write_text(json.dumps({"sha256": "0", "content": {}}))
    (tmp_path / "key-00000000.npy").write_bytes(b"cut")
    (tmp_path / "model.keras").write_bytes(b"PK")
    (tmp_path / ".12-run.json").write_text("{")  # beside its final name
    (tmp_path / "run.json").write_text("{}")
    named = sorted(text.split(" ")[0] for text in crash.partial_files(tmp_path))
    assert named == ["checkpoints/1.json", "key-00000000.npy", "metrics.json", "model.keras"]


def test_the_table_counts_kills_by_stage():
    trials = [
        {"stage": "CNN", "kills": ["kill -9", "kill -15"], "result": "the same to the bit"},
        {"stage": "head", "kills": ["kill -9"], "result": "other weights"},
        {"stage": "head", "kills": [], "result": "the same to the bit"},
    ]
    rows = crash.table(trials).splitlines()
    assert "| CNN | 1 | 1 | 1 | 1 | 1 |" in rows and "| head | 1 | 1 | 0 | 0 | 0 |" in rows
    assert rows[-1] == "| all | 2 | 2 | 1 | 1 | 1 |"


def test_a_run_that_has_finished_is_not_gone_on_with(tmp_path):
    assert not crash.finished(tmp_path)
    for status, expected in (("interrupted", False), ("finished", True)):
        (tmp_path / "run.json").write_text(json.dumps({"status": status}))
        assert crash.finished(tmp_path) is expected


def test_a_cut_last_line_is_no_trial(tmp_path):
    (tmp_path / "trials.jsonl").write_text('{"stage": "CNN"}\n{"stage": "he')
    assert crash.records(tmp_path / "trials.jsonl") == [{"stage": "CNN"}]
    assert crash.records(tmp_path / "none") == []
