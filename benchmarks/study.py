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
from itertools import zip_longest
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.training import data_arguments, spread, trained
from classify import command, options
from classify.reporting import plots
from classify.runs.folder import Run
from classify.training.optimizers import OPTIMIZERS
from train_cnn import ACTIVATIONS, RECIPES

STUDIES = {
    # Not adamw: it is Adam with the decoupled weight decay that every optimizer here takes, and here there is none.
    # Not muon: its constants are for another network.
    "optimizer": [name for name in OPTIMIZERS if name not in ("adamw", "muon")],
    "activation": list(ACTIVATIONS),
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
    for choice, result in results.items():
        seconds = f"{result['seconds']:.0f}" if result["curves"] else "diverged"
        print(f"| {choice} | {result['rate']:g} | {spread(result['accuracies'])} | {seconds} |")
    title = f"{args.vary}: tutorial recipe, {args.epochs} epochs on {args.limit:,} images of {Path(args.data).name}"
    with Run(args.out) as folder:
        folder.save_figure(f"study-{args.vary}.png", draw(results, title))


def study(choice, args):
    """Return what one choice reaches at its best learning rate.

    That is ``rate``; ``accuracies`` on validation, one a seed; ``curves``, those by epoch; ``seconds``, the median
    of training alone; ``rates``, the accuracy with the first seed at each learning rate tried. A training that
    diverges in its first epoch has accuracy 0 and no curve, one that diverges later a shorter curve. ``seconds`` is
    None if there is no curve.
    """
    chosen = BASE | {args.vary: choice}
    done = {}

    def accuracy(rate, seed=0):
        if (rate, seed) not in done:
            done[rate, seed] = train(chosen, rate, seed, args)
        return done[rate, seed]["validation"] if done[rate, seed] else 0.0

    usual = OPTIMIZERS[chosen["optimizer"]].rate * RECIPES["tutorial"]["learning_rate"]
    rate = climb(accuracy, usual)
    accuracies = [accuracy(rate, seed) for seed in range(args.seeds)]
    histories = [done[rate, seed]["history"] for seed in range(args.seeds) if done[rate, seed]]
    seconds = [sum(row["seconds"] for row in history) for history in histories]
    return {
        "rate": rate,
        "accuracies": accuracies,
        "curves": [[row["val_accuracy"] for row in history] for history in histories],
        "seconds": statistics.median(seconds) if seconds else None,
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


def draw(results, title):
    """Return a figure: accuracies a seed, learning curves, and accuracy by learning rate.

    Args:
        results: what ``study`` returns for each choice, best first.
        title: what was trained on what.
    """
    figure = Figure(figsize=(11, 3.8), layout="constrained", dpi=120)
    figure.suptitle(title)
    seeds, curves, rates = figure.subplots(1, 3)
    for i, (choice, result) in enumerate(results.items()):
        style = {"color": plots.colour(i), "label": choice}
        seeds.plot(result["accuracies"], [i] * len(result["accuracies"]), "o", alpha=0.5, **style)
        seeds.plot(np.mean(result["accuracies"]), i, "|", markersize=22, markeredgewidth=2, **style)
        mean = [np.mean([share for share in epoch if share is not None]) for epoch in zip_longest(*result["curves"])]
        curves.plot(range(1, len(mean) + 1), mean, "o-", markersize=3, **style)
        rates.plot(list(result["rates"]), list(result["rates"].values()), "o-", markersize=4, **style)
        rates.plot(result["rate"], result["rates"][result["rate"]], "o", markersize=9, **style)
    seeds.set_yticks(range(len(results)), results)
    seeds.margins(y=0.1)
    seeds.invert_yaxis()
    seeds.set_xlabel("validation accuracy: a dot a seed, their mean")
    curves.set(xlabel="epoch", ylabel="validation accuracy, mean")
    curves.xaxis.set_major_locator(MaxNLocator(integer=True))
    rates.set(xscale="log", xlabel="learning rate", ylabel="validation accuracy, one seed")
    rates.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    rates.xaxis.set_major_formatter("{x:g}")
    rates.xaxis.set_minor_locator(NullLocator())
    rates.tick_params(axis="x", rotation=45)
    for axis in (seeds.xaxis, curves.yaxis, rates.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axes in (seeds, curves, rates):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    command.run(main)
