"""Train each CNN recipe with several seeds and print accuracy and time.

  TFDS_DATA_DIR=… python benchmarks/recipes.py
  python benchmarks/recipes.py --recipes standard --seeds 3

One training after another, nothing beside it. An interrupted benchmark goes on
where it stopped; finished runs lie in runs/benchmark.
"""

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.training import trained
from classify import command, options


def main():
    parser = options.Parser(__doc__)
    parser.add_argument("--recipes", nargs="+", default=["tutorial", "standard"], help="default: tutorial standard")
    parser.add_argument("--seeds", type=options.whole_number(1), default=3, metavar="N", help="default: 3")
    options.add_data(parser)
    args = parser.parse_args()
    common = ["--data", args.data or "cifar10", *(["--data-dir", args.data_dir] if args.data_dir else [])]
    print("recipe     validation       test             epochs  median time  processor")
    for recipe in args.recipes:
        arguments = ("--recipe", recipe, *common)
        runs = [trained(f"{recipe}-{seed}", "train_cnn.py", *arguments, "--seed", seed) for seed in range(args.seeds)]
        validation, test = (spread([run[key] for run in runs]) for key in ("validation", "accuracy"))
        seconds = statistics.median(run["seconds"] for run in runs)
        machine = f"{runs[0]['processor']}, {runs[0]['precision']}"
        print(f"{recipe:9}  {validation:15}  {test:15}  {runs[0]['epochs']:6}  {seconds:9.0f} s  {machine}", flush=True)


def spread(values):
    """Mean ± standard deviation in per cent."""
    if len(values) == 1:
        return f"{values[0]:.2%} (n=1)"
    return f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f} %"


if __name__ == "__main__":
    command.run(main)
