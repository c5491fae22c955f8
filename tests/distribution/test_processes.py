import dataclasses

import pytest

from classify.command import Problem
from classify.distribution import processes
from classify.distribution.processes import Processes, start


@dataclasses.dataclass
class Told:
    """Options of a training."""

    distribute: bool = True
    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Told(coordinator="here:80"), "--coordinator, --processes and --process go together, with --distribute"),
        (Told(processes=2, process=0), "go together"),
        (Told(False, "here:80", 2, 0), "go together, with --distribute"),
        (Told(True, "here", 2, 0), "--coordinator here is not HOST:PORT"),
        (Told(True, "here:80", 2, 2), "--process 2 is not 0 to 1"),
    ],
)
def test_what_the_processes_are_must_be_told_whole(options, words):
    with pytest.raises(Problem, match=words) as raised:
        start(options)
    assert raised.value.status == 2


def test_without_jax_a_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Problem, match="jax is not installed; python -m pip install -r requirements-distributed.txt"):
        Processes().join()


@pytest.mark.parametrize(
    ("chatter", "said"),
    [
        (
            "E1121 following tasks are unhealthy (stopped sending heartbeats):\n1\nThe tasks have crashed.",
            "process 1 died, so this one ends too; --resume goes on, with any number of processes",
        ),
        ("(stopped sending heartbeats):\n1, 3\n", "process 1, 3 died"),
        ("F1121 JAX distributed service detected fatal errors. UNAVAILABLE: failed to connect", "process 0 died"),
        ("Shutdown barrier failed. JAX distributed service detected fatal errors", "another process died"),
        ("[Gloo] hello\nterminate called: std::bad_alloc\n", "aborted: terminate called: std::bad_alloc"),
        ("", "aborted: no reason is known"),
    ],
)
def test_who_died_is_named(chatter, said):
    assert processes._who_died(chatter).startswith(said)


class Store:
    """JAX's store of keys, of one process."""

    def __init__(self):
        self.values = {}

    def key_value_set(self, name, text):
        self.values[name] = text

    def blocking_key_value_get(self, name, milliseconds):
        return self.values[name]


def test_processes_with_other_options_are_refused():
    first, second = Processes(), Processes()
    first.client = second.client = Store()
    second.index = 1
    first.check_same("options", {"epochs": 3, "seed": 0})
    second.check_same("options", {"seed": 0, "epochs": 3})
    with pytest.raises(Problem, match="process 1 has other options than process 0"):
        second.check_same("options", {"epochs": 4, "seed": 0})


def test_one_that_is_alone_asks_nobody():
    Processes().check_same("options", {})
    Processes().leave()
