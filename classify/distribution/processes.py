"""The processes that train together: which one this is, what it tells the others, and what is said when one dies."""

import ctypes
import importlib.util
import json
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

from classify import command
from classify.command import Problem, note, printable, start_keras

JOIN = 300  # seconds to wait for all processes
HEARTBEAT = 30  # seconds without a sign of life after which a process counts as dead
WAIT = 3600  # seconds to wait for the first process, which may be reading data that this one has read already
LEAVE = 20  # seconds to wait for the others at the end


class Processes:
    """This process among those that train together; alone until it has joined others.

    Attributes:
        index: its number, from 0. The first one writes the run's folder.
        count: how many there are.
    """

    def __init__(self):
        self.index, self.count, self.client = 0, 1, None

    def join(self, coordinator=None, count=None, index=None):
        """Join the others, before JAX computes anything. Where Slurm or Kubernetes runs them it knows all of this.

        Args:
            coordinator: ``HOST:PORT`` of the first process.
            count: how many processes there are.
            index: the number of this one.

        Raises:
            Problem: JAX is not installed, or the others do not come.
        """
        if importlib.util.find_spec("jax") is None:
            raise Problem("--distribute: jax is not installed; python -m pip install -r requirements-distributed.txt")
        import jax
        from jax._src import distributed  # no public name leads to the client

        jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
        if coordinator:
            note(f"process {index} of {count}; waiting for all of them at {coordinator}")
        _say_who_died()
        try:
            jax.distributed.initialize(
                coordinator,
                count,
                index,
                initialization_timeout=JOIN,
                heartbeat_timeout_seconds=HEARTBEAT,
                shutdown_timeout_seconds=LEAVE,
            )
        except ValueError as error:
            if "coordinator_address should be defined" not in str(error):
                raise
            return  # neither Slurm nor Kubernetes: this process is the only one
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0][:200]
            raise Problem(f"the processes did not come together in {JOIN} seconds: {reason}") from error
        _meet()
        state = distributed.global_state
        self.index, self.count, self.client = state.process_id, state.num_processes, state.client
        command.end = self.end

    def leave(self):
        """Part from the others, once all of them have done what they do together."""
        if self.client:
            import jax

            self.client = None
            jax.distributed.shutdown()

    def end(self, status):
        """Exit. Where the others still count on this process, JAX would wait for them to exit too."""
        if self.client:
            sys.stdout.flush()
            os._exit(status)
        sys.exit(status)

    def tell(self, name, text):
        """Let all processes know something, unless another one has told it already."""
        try:
            self.client.key_value_set(name, text)
        except RuntimeError as error:
            if "ALREADY_EXISTS" not in str(error):
                raise

    def told(self, name):
        """Return what was told under a name, or None."""
        return next((text for _, text in self.client.key_value_dir_get(f"{name}/")), None)

    def check_same(self, what, value):
        """Raise ``Problem`` unless the first process has the same value, of what JSON takes."""
        if self.client:
            text = json.dumps(value, sort_keys=True, default=str)
            if not self.index:
                self.client.key_value_set(f"same/{what}", text)
            elif self._of_the_first(f"same/{what}") != text:
                raise Problem(f"process {self.index} has other {what} than process 0")

    def _of_the_first(self, name):
        """Wait until the first process has told something, and return it."""
        try:
            return self.client.blocking_key_value_get(name, 1000 * WAIT)
        except RuntimeError as error:
            self.broken(error)

    def broken(self, error):
        """Wait for JAX to notice which process died, and to end this one; raise ``Problem`` if it does not."""
        time.sleep(HEARTBEAT + 15)
        reason = str(error).strip().splitlines()[0][:200]
        raise Problem(f"the processes lost each other: {reason}") from error


processes = Processes()


def start(settings):
    """Start Keras: with ``--distribute`` on JAX, and together with the other processes if there are any.

    Args:
        settings: the ``TrainingSettings``.

    Raises:
        Problem: the options do not say who the processes are, or they do not come together.
    """
    who = settings.coordinator, settings.processes, settings.process
    if who != (None, None, None):
        if None in who or not settings.distribute:
            raise Problem("--coordinator, --processes and --process go together, with --distribute", status=2)
        if not re.fullmatch(r".+:\d+", settings.coordinator):
            raise Problem(f"--coordinator {printable(settings.coordinator)} is not HOST:PORT", status=2)
        if settings.process >= settings.processes:
            raise Problem(f"--process {settings.process} is not 0 to {settings.processes - 1}", status=2)
    if settings.distribute:
        os.environ["KERAS_BACKEND"] = "jax"
        processes.join(*who)
    start_keras()


def _meet():
    """Wait for all processes to compute something together. Gloo prints a line on standard output the first time."""
    from jax.experimental import multihost_utils

    sys.stdout.flush()
    output = os.dup(1)
    os.dup2(2, 1)
    try:
        multihost_utils.sync_global_devices("joined")
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(output, 1)
        os.close(output)


def _say_who_died():
    """Say in one line which process died, where JAX writes a dozen and aborts.

    What C++ writes goes to a file, where JAX names the process. An abort cannot be caught in Python: the thread that
    calls for it is JAX's own.
    """
    chatter, terminal = tempfile.TemporaryFile("w+"), os.dup(2)  # noqa: SIM115
    sys.stderr.flush()
    os.dup2(chatter.fileno(), 2)
    sys.stderr = open(terminal, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
    program = Path(sys.argv[0]).name

    def aborted(number):
        chatter.seek(0)
        print(f"{program}: {_who_died(chatter.read())}", file=sys.stderr, flush=True)
        os._exit(1)

    Processes.handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(aborted)  # kept, as C keeps nothing alive
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = (ctypes.c_int, type(Processes.handler)), ctypes.c_void_p
    libc.signal(signal.SIGABRT, Processes.handler)


def _who_died(chatter):
    """Return a line that names the process that died, from what JAX wrote."""
    named = re.search(r"stopped sending heartbeats\):\s*([\d, ]+)", chatter)
    if not named and "JAX distributed service detected fatal errors" not in chatter:
        return f"aborted: {(chatter.strip().splitlines() or ['no reason is known'])[-1][:300]}"
    other = "another process" if "arrier" in chatter else "process 0"  # which the others ask: it does not answer
    who = f"process {named[1].strip()}" if named else other
    return f"{who} died, so this one ends too; --resume goes on, with any number of processes"
