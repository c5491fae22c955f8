"""Ctrl-C and SIGTERM where several processes train together: all of them stop after the same step."""

from classify.command import Interrupts


class AgreedInterrupts(Interrupts):
    """``Interrupts`` that wait, while the processes train, until all of them know of a signal that one got.

    Args:
        processes: the ``Processes``.
    """

    def __init__(self, processes):
        super().__init__()
        self.processes, self.steps, self.told = processes, 0, None

    def agree(self):
        """Let the signal wait that any process got, at the same call in all of them. All call this after each step.

        Whoever got it tells it with the number of its next call: before that comes a step, which no process can take
        without the others.
        """
        if not self.processes.client:
            return
        self.steps += 1
        number, self.waiting = self.waiting, None
        if number:
            self.processes.tell("interrupt/all", f"{number} {self.steps + 1}")
        told = self.processes.told("interrupt")
        if told:
            number, step = map(int, told.split())
            if self.steps < step:
                self.told = number
            else:
                self.waiting, self.told = number, None

    def release(self):
        self.waiting, self.told = self.waiting or self.told, None  # told after the last step
        super().release()
