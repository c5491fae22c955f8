import errno
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import PROJECT

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
    with pytest.raises(TimeoutError, match="no answer"), files.whole(tmp_path / "x") as beside:
        beside.touch()
        raise TimeoutError(errno.ETIMEDOUT, "no answer")
    assert not os.listdir(tmp_path)


def test_a_folder_that_vanished_is_one_line(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(Problem) as problem, files.whole(tmp_path / "run" / "metrics.json") as beside:
        beside.write_text("half of")
        shutil.rmtree(tmp_path / "run")
    reason = "metrics.json cannot be written: no such file or directory; was its folder removed?"
    assert reason in str(problem.value) and "\n" not in str(problem.value)


def test_a_file_where_a_folder_should_be_is_one_line(tmp_path):
    (tmp_path / "runs").touch()
    for use in (files.make_folder, files.lock, lambda path: files.write_json(path, {})):
        with pytest.raises(Problem, match="a file is where a folder should be; move it away$"):
            use(tmp_path / "runs" / "cnn")


@pytest.fixture
def mounted(tmp_path):
    """A function that mounts an empty file system of a megabyte; where the machine lets nobody do so the test skips."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options):
        command = ["mount", *options, "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
        if os.name != "posix" or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("this machine lets a test mount nothing")
        return folder

    yield mount
    subprocess.run(["umount", folder], capture_output=True)


def test_on_a_disk_that_is_really_full_the_former_file_stays(mounted):
    disk = mounted()
    files.write_text(disk / "metrics.json", "the former one")
    with pytest.raises(files.DiskFull, match=r"metrics.json cannot be written, the disk is full: 1\.0 MB are free"):
        files.write_text(disk / "metrics.json", "x" * 2_000_000)
    assert os.listdir(disk) == ["metrics.json"] and (disk / "metrics.json").read_text() == "the former one"


def test_a_disk_that_is_really_read_only_is_one_line(mounted):
    disk = mounted("--read-only")
    for use in (files.make_folder, files.lock, lambda path: files.write_json(path, {})):
        with pytest.raises(Problem, match="cannot be written: read-only file system; work in another folder"):
            use(disk / "cnn")


def test_a_folder_without_the_right_to_write_simulated(tmp_path, monkeypatch):
    """Simulated, since root may write anywhere."""

    def refuse(*args, **options):
        raise PermissionError(errno.EACCES, "Permission denied", "x")

    monkeypatch.setattr(pathlib.Path, "mkdir", refuse)
    with pytest.raises(Problem, match="runs cannot be written: permission denied; work in another folder, or name one"):
        files.make_folder(tmp_path / "runs")


def test_a_lock_is_held_by_one_and_leaves_no_file(tmp_path):
    held = files.lock(tmp_path / "lock")
    assert held and files.lock(tmp_path / "lock") is None
    files.unlock(held)
    again = files.lock(tmp_path / "lock")
    files.unlock(again)
    assert os.listdir(tmp_path) == []


def test_the_work_of_others_is_waited_for_at_the_end(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    order = []
    with ThreadPoolExecutor(1) as other:  # a lock belongs to a thread
        others = other.submit(files.lock, paths[0]).result()
        for path in files.each_locked(paths):
            assert other.submit(files.lock, path).result() is None  # it is ours now
            order.append(path.name)
            if path.name == "c":
                other.submit(lambda: time.sleep(0.05) or others.release())
    assert order == ["b", "c", "a"] and os.listdir(tmp_path) == []


def test_a_lock_of_a_process_that_died_holds_nobody_up(tmp_path):
    code = "import os, sys; from pathlib import Path; from classify import files; "
    code += "held = files.lock(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, tmp_path / "lock"], cwd=PROJECT)
    assert (tmp_path / "lock").exists()
    files.unlock(files.lock(tmp_path / "lock"))
