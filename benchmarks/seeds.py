"""Train each CNN recipe with several seeds; mean ± standard deviation of accuracy, plain and with --tta.

  TFDS_DATA_DIR=… python benchmarks/seeds.py
  python benchmarks/seeds.py --recipes record --seeds 5

One training after another, nothing beside it. An interrupted benchmark goes on
where it stopped; finished runs lie in runs/benchmark.
"""

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.training import accuracies, data_arguments, spread, trained
from classify import command, options
from classify.progress import duration

SPLITS = ("validation", "test")


def main():
    parser = options.Parser(__doc__)
    recipes = ["tutorial", "sprint", "standard", "record"]
    parser.add_argument("--recipes", nargs="+", default=recipes, help=f"default: {' '.join(recipes)}")
    parser.add_argument("--seeds", type=options.whole_number(1), default=3, metavar="N", help="default: 3")
    options.add_data(parser)
    args = parser.parse_args()
    made_on = ""
    print("| recipe | validation | with TTA | test | with TTA | epochs | median time |\n|---|---|---|---|---|---|---|")
    for recipe in args.recipes:
        arguments = ("--recipe", recipe, *data_arguments(args))
        runs = [trained(f"{recipe}-{seed}", "train_cnn.py", *arguments, "--seed", seed) for seed in range(args.seeds)]
        finished = [run for run in runs if run]
        if not finished:
            print(f"| {recipe} | diverged | | | | | |", flush=True)
            continue
        measured = [accuracies(run["folder"]) for run in finished]
        keys = [(split, key) for split in SPLITS for key in ("plain", "tta")]
        figures = [spread([by_split[split][key] for by_split in measured]) for split, key in keys]
        seconds = statistics.median(run["seconds"] for run in finished)
        diverged = f", {len(runs) - len(finished)} of {len(runs)} seeds diverged" if None in runs else ""
        row = f"{recipe}{diverged} | {' | '.join(figures)} | {finished[0]['epochs']} | {duration(seconds)}"
        print(f"| {row} |", flush=True)
        made_on = f", {finished[0]['processor']}, {finished[0]['precision']}"
    print(f"\n{args.seeds} seeds{made_on}")


if __name__ == "__main__":
    command.run(main)
