"""Train a small CNN under each choice of one option: what does it change?

  TFDS_DATA_DIR=… python benchmarks/study.py --vary optimizer
  python benchmarks/study.py --vary activation --seeds 5 > activation.md

The tutorial recipe, a few epochs on some of the training images; validation
accuracy of the best epoch, mean ± standard deviation over the seeds. Each
choice gets its own learning rate: with the first seed, from the optimizer's
usual one up and down by a factor of three for as long as that helps.

The table goes to standard output, the plot to docs/study-optimizer.png and so
on. An interrupted study goes on where it stopped; finished runs lie in
runs/benchmark and are shared by the studies.
"""

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.training import data_arguments, spread, trained
from classify import command, options
from classify.reporting import plots
from classify.runs import folder as runs
from train_cnn import RECIPES

STUDIES = {
    # Not adamw: it is Adam with the decoupled weight decay that every optimizer here takes, and here there is none.
    "optimizer": [name for name in options.OPTIMIZERS if name != "adamw"],
    "activation": list(options.ACTIVATIONS),
    "dropout": ["0", "0.1", "0.2", "0.3", "0.5"],
    "augment": ["no", "yes"],
    "batch-size": ["16", "32", "64", "128", "256"],
}
BASE = {"optimizer": "adam", "activation": "relu", "dropout": "0", "augment": "no", "batch-size": "32"}


def main(argv=None):
    parser = options.Parser(__doc__)
    parser.add_argument("--vary", choices=STUDIES, required=True, help="the option to study")
    parser.add_argument("--seeds", type=options.whole_number(1), default=3, metavar="N", help="default: 3")
    parser.add_argument("--epochs", type=options.whole_number(1), default=8, metavar="N", help="default: 8")
    parser.add_argument(
        "--limit", type=options.whole_number(1), default=10_000, metavar="N", help="training images. Default: 10000"
    )
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="FOLDER", help="of the plot. Default: docs")
    options.add_data(parser, help="{}. Default: cifar10")
    args = parser.parse_args(argv)
    args.data = args.data or "cifar10"
    command.start_keras()
    results = {choice: study(choice, args) for choice in STUDIES[args.vary]}
    results = dict(sorted(results.items(), key=lambda item: -statistics.mean(item[1]["accuracies"])))
    print(f"| {args.vary} | learning rate | validation accuracy | seconds |\n|---|---|---|---|")
    for choice, found in results.items():
        print(f"| {choice} | {found['rate']:g} | {spread(found['accuracies'])} | {found['seconds']:.0f} |")
    title = f"{args.vary}: tutorial recipe, {args.epochs} epochs on {args.limit:,} images of {Path(args.data).name}"
    with runs.Run(args.out) as folder:
        folder.save_figure(f"study-{args.vary}.png", plots.study(results, title))


def study(choice, args):
    """Return what one choice reaches at its best learning rate.

    That is ``rate``; ``accuracies`` on validation, one a seed; ``curves``, those by epoch; ``seconds``, the median
    of training alone; ``rates``, the accuracy with the first seed at each learning rate tried. A training that
    diverges has accuracy 0 and no curve.
    """
    from classify.training.loop import OPTIMIZERS

    chosen = BASE | {args.vary: choice}
    done = {}

    def accuracy(rate, seed=0):
        if (rate, seed) not in done:
            done[rate, seed] = train(chosen, rate, seed, args)
        return done[rate, seed]["validation"] if done[rate, seed] else 0.0

    _, factor, _ = OPTIMIZERS[chosen["optimizer"]]
    rate = climb(accuracy, factor * RECIPES["tutorial"]["learning_rate"])
    accuracies = [accuracy(rate, seed) for seed in range(args.seeds)]
    histories = [done[rate, seed]["history"] for seed in range(args.seeds) if done[rate, seed]]
    return {
        "rate": rate,
        "accuracies": accuracies,
        "curves": [[row["val_accuracy"] for row in history] for history in histories],
        "seconds": statistics.median(sum(row["seconds"] for row in history) for history in histories),
        "rates": {rate: accuracy(rate) for rate, seed in sorted(done) if seed == 0},
    }


def climb(score, rate, factor=3):
    """Return the rate, from ``rate`` in steps of ``factor`` up or down, whose neighbours both score no higher."""
    for step in (factor, 1 / factor):
        while score(following := float(f"{rate * step:.2g}")) > score(rate):
            rate = following
    return rate


def train(chosen, rate, seed, args):
    """Train with the ``chosen`` options, a dictionary, unless that is done; return ``trained``'s results."""
    values = [Path(args.data).name, args.limit, args.epochs, *chosen.values(), f"{rate:g}", seed]
    command.note(f"\n{', '.join(chosen.values())}; learning rate {rate:g}, seed {seed}")
    arguments = ["--recipe", "tutorial", "--limit", args.limit, "--epochs", args.epochs, *data_arguments(args)]
    for option, value in chosen.items():
        arguments += {"yes": ["--augment"], "no": ["--no-augment"]}.get(value, [f"--{option}", value])
    arguments += ["--learning-rate", rate, "--seed", seed]
    return trained("-".join(map(str, ["study", *values])), "train_cnn.py", *arguments)


if __name__ == "__main__":
    command.run(main)
