"""Train each CNN recipe with several seeds and print the README's table of accuracy and time.

  TFDS_DATA_DIR=… python benchmarks/recipes.py
  python benchmarks/recipes.py --recipes standard --seeds 3

One training after another, nothing beside it. An interrupted benchmark goes on where it stopped: finished runs,
in runs/benchmark-recipes, are read and not repeated; delete that folder to measure anew.
"""

import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from classify import command, options
from classify.runs import PROJECT

OUT = PROJECT / "runs" / "benchmark-recipes"


def main():
    parser = options.Parser(__doc__)
    parser.add_argument("--recipes", nargs="+", default=["tutorial", "standard"], help="default: tutorial standard")
    parser.add_argument("--seeds", type=options.whole_number(1), default=3, metavar="N", help="default: 3")
    args = parser.parse_args()
    print("recipe     validation      test            epochs  time of a run  processor")
    for recipe in args.recipes:
        print_row(recipe, [train(recipe, seed) for seed in range(args.seeds)])


def train(recipe, seed):
    """Return the folder of a finished run, training it if it is not there."""
    folder = OUT / f"{recipe}-{seed}"
    if not finished(folder):
        script = [sys.executable, PROJECT / "train_cnn.py", "--data", "cifar10"]
        command_line = [*script, "--recipe", recipe, "--seed", str(seed), "--out", folder, "--overwrite"]
        subprocess.run(command_line, check=True, stdout=subprocess.DEVNULL)
    return folder


def finished(folder):
    file = folder / "run.json"
    return file.is_file() and json.loads(file.read_text())["status"] == "finished"


def print_row(recipe, folders):
    runs = [json.loads((folder / "run.json").read_text()) for folder in folders]
    tests = [json.loads((folder / "metrics.json").read_text())["accuracy"] for folder in folders]
    epochs = [list(csv.DictReader((folder / "history.csv").read_text().splitlines())) for folder in folders]
    validations = [max(float(epoch["val_accuracy"]) for epoch in run) for run in epochs]
    seconds = statistics.median(run["seconds"] for run in runs)
    print(
        f"{recipe:9}  {spread(validations):14}  {spread(tests):14}  {len(epochs[0]):6}  {seconds:8.0f} s"
        f"     {runs[0]['processor']}, {runs[0]['precision']}",
        flush=True,
    )


def spread(values):
    """Mean ± standard deviation in per cent, with the number of seeds."""
    if len(values) == 1:
        return f"{values[0]:.2%} (n=1)"
    return f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f} %"


if __name__ == "__main__":
    command.run(main)
