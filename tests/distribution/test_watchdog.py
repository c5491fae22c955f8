import threading

import pytest

from classify.distribution import watchdog
from classify.distribution.processes import Processes
from classify.distribution.watchdog import Watchdog


class Store:
    """JAX's store of keys; the other process is at step 4."""

    def __init__(self):
        self.values = {"step/1": "4"}

    def key_value_set(self, name, text, allow_overwrite):
        self.values[name] = text

    def key_value_dir_get(self, name):
        return list(self.values.items())


@pytest.fixture
def processes(monkeypatch):
    monkeypatch.setattr(watchdog, "EVERY", 0.01)
    monkeypatch.setattr(watchdog, "PATIENCE", 0.05)
    monkeypatch.setattr(watchdog, "LEAVE", 0)
    processes = Processes()
    processes.client, processes.count = Store(), 2
    yield processes
    processes.client = None


@pytest.mark.parametrize(("steps", "who"), [(3, "process 0 hangs"), (4, "all processes hang"), (5, "process 1 hangs")])
def test_the_one_that_is_behind_is_named(steps, who, processes, monkeypatch, capsys):
    ended = threading.Event()
    dog = Watchdog(processes)
    dog.steps = steps

    def end(status):
        assert status == 1
        dog.over.set()
        ended.set()

    monkeypatch.setattr("os._exit", end)
    with dog:
        assert ended.wait(5)
    assert f"no step ended in 0.05 seconds, {who}; --resume goes on" in capsys.readouterr().err


def test_one_process_needs_none():
    threads = threading.active_count()
    with Watchdog(Processes()):
        assert threading.active_count() <= threads


def test_a_broken_connection_waits_for_the_verdict(processes, monkeypatch):
    errors = []
    monkeypatch.setattr(processes, "broken", errors.append)
    with pytest.raises(ValueError), Watchdog(processes):
        raise ValueError("Gloo all-reduce failed")
    with pytest.raises(KeyboardInterrupt), Watchdog(processes):
        raise KeyboardInterrupt
    assert [str(error) for error in errors] == ["Gloo all-reduce failed"]
