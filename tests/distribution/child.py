"""A training whose weights the tests want: python child.py FILE SCRIPT OPTIONS... It saves no copy for LiteRT.

EVERY is how many seconds lie between checkpoints. HANG names the process that stops to read batches at the fifth, and
how many seconds the watchdog waits.
"""

import importlib
import os
import sys
import time

import numpy as np

from classify import command
from classify.distribution import watchdog

_, file, script, *options = sys.argv
sys.argv = [f"{script}.py", *options]


def main():
    module = importlib.import_module(script)
    settings = module.parse()
    if "HANG" in os.environ:
        index, watchdog.PATIENCE = map(int, os.environ["HANG"].split())
        step = watchdog.watchdog.step

        def hang():
            if settings.process == index and watchdog.watchdog.steps == 5:
                time.sleep(1000)
            step()

        watchdog.watchdog.step = hang
    if "EVERY" in os.environ:
        from classify.training import callbacks

        callbacks.EVERY = callbacks.WITHIN = callbacks.PATIENCE = int(os.environ["EVERY"])
    state = module.train(settings)
    np.savez(file, *state.model.get_weights())
    return state.interrupted


def without_copy(*args):
    raise command.Problem("left out by a test")


import classify.inference.export  # noqa: E402

classify.inference.export.export = without_copy
command.run(main)
