"""Time from the call to all of CIFAR-10 in memory: train, validation and test, read and decoded.

TFDS_DATA_DIR=… python benchmarks/data.py
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from classify import command, options
from classify.data import sources, splits


def main():
    parser = options.Parser(__doc__)
    options.add_data(parser)
    args = parser.parse_args()
    command.start_keras()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        loaded = splits.load(sources.find(args.data or "cifar10", args.data_dir, args.label))
        seconds.append(time.perf_counter() - start)
    first, median = seconds[0], statistics.median(seconds)
    print(f"{loaded}\nfirst {first:.2f} s, median of {len(seconds)} {median:.2f} s")


if __name__ == "__main__":
    command.run(main)
