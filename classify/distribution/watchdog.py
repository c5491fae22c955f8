"""A watchdog on the step: where one process hangs, all others would wait for ever."""

import os
import sys
import threading
import time
from pathlib import Path

from classify.command import note
from classify.distribution.processes import processes

PATIENCE = 300  # seconds that a step may take, its compilation included
EVERY = 2  # seconds between two looks
LEAVE = 10  # seconds that the first process waits for the others to look: without it they could only say that it died
BROKEN = ("ValueError", "JaxRuntimeError", "XlaRuntimeError")  # what a step raises where another process is gone


class Watchdog:
    """Ends this process within a ``with`` block when no step has ended for ``PATIENCE`` seconds, and says who hangs.

    A process that died is noticed sooner, by JAX. One that hangs still answers JAX. Where the connection breaks in
    the block, it waits until JAX knows who died.

    Args:
        processes: the ``Processes``.
    """

    def __init__(self, processes):
        self.processes, self.steps, self.last, self.over = processes, 0, 0.0, threading.Event()

    def __enter__(self):
        self.last = time.monotonic()
        self.over.clear()
        if self.processes.client:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, kind, error, traceback):
        self.over.set()
        if self.processes.client and type(error).__name__ in BROKEN:
            self.processes.broken(error)

    def step(self):
        """Tell that a batch is read and the next step begins."""
        self.steps, self.last = self.steps + 1, time.monotonic()

    def _watch(self):
        client, published = self.processes.client, -1
        while not self.over.wait(EVERY):
            if self.steps != published:
                published = self.steps
                client.key_value_set(f"step/{self.processes.index}", str(published), allow_overwrite=True)
            if time.monotonic() - self.last > PATIENCE:
                self._end(dict(client.key_value_dir_get("step/")))

    def _end(self, steps):
        """End this process with a line that names those whose step is the earliest."""
        steps = {int(name.rpartition("/")[2]): int(step) for name, step in steps.items()}
        behind = [str(index) for index in sorted(steps) if steps[index] == min(steps.values())]
        who = f"process {', '.join(behind)} hangs" if len(behind) < self.processes.count else "all processes hang"
        note(f"{Path(sys.argv[0]).name}: no step ended in {PATIENCE} seconds, {who}; --resume goes on")
        if not self.processes.index:
            time.sleep(LEAVE)
        os._exit(1)


watchdog = Watchdog(processes)
