"""What every command does at its edges: a quiet start, one line for a problem, the exit status."""

import contextlib
import importlib.util
import logging
import os
import signal
import sys
import tempfile
import threading
import unicodedata
from pathlib import Path

BACKENDS = ("tensorflow", "jax")  # of Keras; each has its module in classify/backends/
UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode's control and format characters, half characters, line breaks
JOINERS = "\u200c\u200d"  # some scripts and emoji need these format characters
OURS = ("classify", "models", "benchmarks")  # this project's packages


class Problem(Exception):
    """Something in what the user gave that cannot be used.

    The message is one line that says what is wrong and what to do (or, for missing data, a short
    paragraph). ``status`` is the exit status: 1 for data, models and images, 2 for the command line.
    """

    def __init__(self, message, status=1):
        super().__init__(message)
        self.status = status


def note(message):
    """Print progress or a notice to standard error, which leaves standard output to the results."""
    print(message, file=sys.stderr, flush=True)


def printable(name):
    """Return the name of a file, class, model or data set as one line of text that can do nothing to a terminal.

    Control characters, line breaks, and characters that turn the direction of text become their escapes, since a name
    with them could forge lines. JSON does not need this: it escapes all but ASCII.
    """
    return "".join(
        character.encode("unicode_escape").decode() if _is_unprintable(character) else character
        for character in str(name)
    )


def _is_unprintable(character):
    return unicodedata.category(character) in UNPRINTABLE and character not in JOINERS


def each(items, use):
    """Return ([use(item) …], whether any failed); an item that raises ``Problem`` is named and left out."""
    results, failed = [], False
    for item in items:
        try:
            results.append(use(item))
        except Problem as problem:
            note(str(problem))
            failed = True
    return results, failed


def run(main):
    """Run ``main()`` and exit with the status it returns; problems become a line instead of a traceback."""
    closed = _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # A file name of any script must be printable, also into a pipe on Windows.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        if "stdout" in closed:
            raise Problem("standard output is closed, so there is nowhere to print results")
        status = main() or 0
        sys.stdout.flush()
    except Problem as problem:
        note(f"{Path(sys.argv[0]).name}: {problem}")
        status = problem.status
    except KeyboardInterrupt as error:
        note("\ninterrupted")
        status = interrupted_status(error)
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted; the interpreter's last flush must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except ModuleNotFoundError as error:
        if not error.name or error.name.split(".")[0] in OURS:
            raise
        note(f"{Path(sys.argv[0]).name}: {error.name} is not installed; python -m pip install -r requirements.txt")
        status = 1
    except OSError as error:
        note(f"{Path(sys.argv[0]).name}: {describe(error)}")
        status = 1
    end(status)


end = sys.exit  # several processes that train together have another way


def _open_closed_streams():
    """Open the null device in place of standard streams that are closed (`<&-`, `>&-`); return the names of these.

    Else the next file to be opened would get such a stream's number, and what a library prints would end in that file.
    """
    closed = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in closed:  # in this order, as the lowest free number is taken first
        setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
    return closed


def some(names, most=10):
    """Return names as one line of text, separated by commas; ", …" stands for those after the first ``most``."""
    return printable(", ".join(names[:most])) + (", …" if len(names) > most else "")


def describe(error):
    """Return an ``OSError`` as one line that names the file, if there is one: 'x.png: no such file or directory'."""
    reason = (error.strerror or str(error) or type(error).__name__).splitlines()[0]
    reason = reason[0].lower() + reason[1:]
    return f"{printable(error.filename)}: {reason}" if error.filename else reason


class Interrupts:
    """Ctrl-C and SIGTERM within a ``with`` block: one raises ``KeyboardInterrupt`` with its number, or waits.

    SIGTERM is what Slurm, Kubernetes and ``kill`` send. After the first of them a further one waits until it is
    released. So a user who presses Ctrl-C twice loses nothing that must still be saved.

    Attributes:
        waiting: the number of the signal that waits, or None.
        signals: how many came.
    """

    def __init__(self):
        self.holding, self.waiting, self.signals, self.before = False, None, 0, {}

    def __enter__(self):
        # A job in the background of a shell ignores Ctrl-C, and only the main thread may say what a signal does.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self.before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def hold(self):
        """Let every signal wait from now on."""
        self.holding = True

    def release(self):
        """Raise ``KeyboardInterrupt`` at the next signal, and at once if one waits."""
        self.holding = False
        self.check()

    def agree(self):
        """Do nothing. Where several processes train together, all of them call this after each step."""

    def check(self):
        """Raise ``KeyboardInterrupt`` if a signal waits; a further one waits then."""
        if self.waiting:
            number, self.holding, self.waiting = self.waiting, True, None
            raise KeyboardInterrupt(number)

    def _handle(self, number, frame):
        self.waiting, self.signals = number, self.signals + 1
        if not self.holding:
            self.check()


def interrupted_status(error):
    """Return the exit status after a ``KeyboardInterrupt``: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (error.args[0] if error.args else signal.SIGINT)


def start_keras():
    """Import Keras, which takes about three seconds, without TensorFlow's start-up lines.

    Some of those lines ignore ``TF_CPP_MIN_LOG_LEVEL`` and are written by C++ straight to file descriptor 2
    during the import and the first operation, so that descriptor points elsewhere meanwhile. What was
    written is shown if the import fails.

    Raises:
        Problem: the user asked, by KERAS_BACKEND, for a backend that does not work here, or is not installed.
    """
    name = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if name not in BACKENDS:
        raise Problem(f"KERAS_BACKEND={name} does not work here; unset it or set it to {' or '.join(BACKENDS)}")
    if name == "jax" and importlib.util.find_spec("jax") is None:
        raise Problem("KERAS_BACKEND=jax: jax is not installed; python -m pip install -r requirements-distributed.txt")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns when several models predict in turn
    with standard_error_kept():
        import keras

        keras.ops.zeros(1)
        from classify.backends import backend

        backend.start()


@contextlib.contextmanager
def standard_error_kept():
    """Keep off the terminal what is written to standard error, by C++ too; show it if the block fails."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except Exception:
            kept.seek(0)
            os.write(terminal, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
