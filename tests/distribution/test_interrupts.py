import signal

import pytest

from classify.distribution.interrupts import AgreedInterrupts


class Processes:
    """Two processes, in one: what one tells all of them know."""

    def __init__(self):
        self.client, self.known = True, {}

    def tell(self, name, text):
        self.known.setdefault(name, text)

    def told(self, name):
        return self.known.get(f"{name}/all")


@pytest.fixture
def pair():
    processes = Processes()
    both = AgreedInterrupts(processes), AgreedInterrupts(processes)
    for interrupts in both:
        interrupts.hold()
    return both


def test_both_stop_after_the_same_step(pair):
    one, other = pair
    for interrupts in pair:
        interrupts.agree()
        interrupts.check()
    one._handle(signal.SIGTERM, None)
    one.agree()  # after its second step; the other one may have asked before
    one.check()
    for interrupts in pair[::-1]:
        if interrupts is other:
            interrupts.agree()
            interrupts.check()
        interrupts.agree()
        with pytest.raises(KeyboardInterrupt) as raised:
            interrupts.check()
        assert raised.value.args == (signal.SIGTERM,)
        interrupts.check()


def test_a_signal_after_the_last_step_ends_what_follows(pair):
    one, other = pair
    one._handle(signal.SIGINT, None)
    for interrupts in pair:
        interrupts.agree()
        with pytest.raises(KeyboardInterrupt):
            interrupts.release()
        interrupts.release()


def test_two_signals_are_one(pair):
    one, other = pair
    one._handle(signal.SIGTERM, None)
    other._handle(signal.SIGINT, None)
    for interrupts in pair * 2:
        interrupts.agree()
    assert [interrupts.waiting for interrupts in pair] == [signal.SIGTERM] * 2
