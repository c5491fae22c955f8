"""The run of a process that is not the first: it trains with it and writes nothing."""

from classify.runs.checkpoint import Checkpoints
from classify.runs.folder import Run


class ReadCheckpoints(Checkpoints):
    """``Checkpoints`` that the first process writes."""

    def begin(self, **entries):
        """Do nothing."""

    def save(self, description, arrays):
        """Do nothing."""

    def remove(self):
        """Do nothing."""


class FollowingRun(Run):
    """A ``Run`` whose folder another process fills."""

    leads = False

    def __init__(self, folder, interrupts):
        super().__init__(folder, interrupts)
        self.checkpoints = ReadCheckpoints(self.folder)

    def _open(self):
        """Leave the folder as it is."""

    def _close(self):
        """Leave the folder as it is."""

    def save_history(self, epochs):
        """Do nothing."""
