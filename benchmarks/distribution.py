"""Two processes of one core each against one of one core: the efficiency of --distribute, and the bytes it sends.

  python benchmarks/distribution.py
  python benchmarks/distribution.py --recipe standard --batch-size 500

`train_cnn.py --data digits` trains with one process, then with two over loopback, each bound to one core. What counts
is the median time of an epoch after the first, which compiles. The bytes that a step communicates are those of all
sums over the devices in the step that XLA compiled, as it dumps it. Needs requirements-distributed.txt, and Linux.
"""

import math
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from classify import command, options  # noqa: E402
from classify.environment import processor  # noqa: E402
from classify.runs.history import read  # noqa: E402

EPOCHS = 5
SIZES = {"f32": 4, "bf16": 2, "s32": 4, "u32": 4, "f16": 2, "pred": 1}


def seconds_of_an_epoch(folder, count, given):
    """Train with so many processes and return the median seconds of an epoch but the first."""
    arguments = [sys.executable, PROJECT / "train_cnn.py", "--data", "digits", "--epochs", str(EPOCHS + 1), *given]
    arguments += ["--validation", "0", "--precision", "float32", "--distribute", "--out", f"run-{count}"]
    if count > 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        arguments += ["--coordinator", address, "--processes", str(count), "--process"]
    processes = []
    for index, core in zip(range(count), sorted(os.sched_getaffinity(0)), strict=False):
        dump = f"--xla_dump_to={folder / f'dump-{count}-{index}'} --xla_dump_hlo_as_text"
        processes.append(
            subprocess.Popen(
                ["taskset", "-c", str(core), *arguments, *([str(index)] if count > 1 else [])],
                cwd=folder,
                env={**os.environ, "XLA_FLAGS": dump},
                stdout=subprocess.DEVNULL,
                stderr=open(folder / f"log-{count}-{index}", "w"),  # noqa: SIM115
            )
        )
    history = folder / f"run-{count}" / "history.csv"
    try:
        while not (history.is_file() and len(read(history)) > EPOCHS):
            if processes[0].poll():
                raise command.Problem((folder / f"log-{count}-0").read_text()[-300:])
            time.sleep(0.2)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return statistics.median(epoch["seconds"] for epoch in read(history)[1:])


def bytes_of_a_step(folder):
    """Return how many sums over the devices a training step has, and the bytes of all of them."""
    programs = [file.read_text() for file in folder.glob("*after_optimizations.txt")]
    text = max(programs, key=len)  # the training step is by far the largest program
    sums = re.findall(r"= (.*?) all-reduce(?:-start)?\(", text)
    shapes = [shape for found in sums for shape in re.findall(r"(\w+)\[([\d,]*)\]", found)]
    sizes = [SIZES[kind] * math.prod(int(n) for n in shape.split(",") if n) for kind, shape in shapes]
    return len(sums), sum(sizes)


def main():
    parser = options.Parser(__doc__)
    parser.add_argument("--recipe", choices=("sprint", "standard", "tutorial"), default="sprint")
    parser.add_argument("--batch-size", default="200", metavar="N")
    args = parser.parse_args()
    given = ["--recipe", args.recipe, "--batch-size", args.batch_size]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one, two = (seconds_of_an_epoch(folder, count, given) for count in (1, 2))
        count, size = bytes_of_a_step(folder / "dump-2-0")
    print(f"{processor()}; {args.recipe}, {args.batch_size} images a step")
    print(f"one process {one:.2f} s an epoch, two {two:.2f} s: efficiency {one / two / 2:.0%}")
    print(f"a step sums {size:,} bytes over the processes in {count} operations")


if __name__ == "__main__":
    command.run(main)
