"""What each piece of the record recipe is worth: train without it, one seed, and compare.

  TFDS_DATA_DIR=… python benchmarks/ablation.py
  python benchmarks/ablation.py --epochs 4          half as long

One training after another. An interrupted benchmark goes on where it stopped;
finished runs lie in runs/benchmark. What only makes a step faster and leaves the
result as it is (bfloat16, fused normalization) is measured in benchmarks/cnn.py.
"""

import contextlib
import functools
import sys
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import train_cnn
from benchmarks.training import accuracies, data_arguments, trained
from classify import command, options
from classify.progress import duration


def random_mirrors(batches, epoch, rows):
    """Mirror each image with probability 1/2, as is usual, in place of ``Batches.mirrored``."""
    return np.random.default_rng((batches.seed, epoch, int(rows[0]), 99)).random(len(rows)) < 0.5


def shifted(shift):
    """Augment with another largest shift."""
    from classify.training.augmentation import augment

    return patch("classify.training.batches.augment", functools.partial(augment, shift=shift))


def trainable(model, images):
    """Leave the first convolution random and let it learn, in place of ``whiten``."""
    model.get_layer("whitening").trainable = True


# The context in which each piece is missing, and what train_cnn.py is told.
PIECES = {
    "nothing": (contextlib.nullcontext, ()),
    "whitening": (lambda: patch("classify.training.whitening.whiten", trainable), ()),
    "identity start": (lambda: patch("models.cnn._start_as_identity"), ()),
    "Muon (Adam and its schedule instead)": (
        lambda: patch.dict("train_cnn.RECIPES", record=train_cnn.RECIPES["record"] | {"schedule": "one-cycle"}),
        ("--optimizer", "adam"),
    ),
    "fast shifts of normalization": (lambda: patch.dict("classify.training.optimizers.muon.RATES", beta=0.06), ()),
    "SiLU (ReLU instead)": (contextlib.nullcontext, ("--activation", "relu")),
    "alternating mirrors (random instead)": (
        lambda: patch("classify.training.batches.Batches.mirrored", random_mirrors),
        (),
    ),
    "shifts": (lambda: shifted(0), ()),
    "jitter": (lambda: patch.dict(train_cnn.RECIPES["record"], jitter=0.0), ()),
    "label smoothing": (lambda: patch.dict(train_cnn.RECIPES["record"], label_smoothing=0.0), ()),
}


def main():
    if "--without" in sys.argv:  # one run, in a process of its own
        command.start_keras()  # what takes a piece away imports Keras
        place = sys.argv.index("--without")
        missing, arguments = PIECES[sys.argv[place + 1]]
        with missing():
            return train_cnn.main([*sys.argv[1:place], *sys.argv[place + 2 :], *arguments])
    parser = options.Parser(__doc__)
    epochs = train_cnn.RECIPES["record"]["epochs"]
    parser.add_argument(
        "--epochs", type=options.whole_number(1), default=epochs, metavar="N", help=f"of each run. Default: {epochs}"
    )
    options.add_data(parser)
    args = parser.parse_args()
    common = ["--recipe", "record", "--epochs", args.epochs, *data_arguments(args)]
    print("| without | validation | with TTA | time |\n|---|---|---|---|")
    for piece in PIECES:
        name = f"ablation-{args.epochs}-{''.join(c if c.isalnum() else '-' for c in piece)}"
        run = trained(name, "benchmarks/ablation.py", "--without", piece, *common)
        if run is None:
            print(f"| {piece} | diverged | | |", flush=True)
            continue
        validation = accuracies(run["folder"])["validation"]
        figures = f"{validation['plain']:.2%} | {validation['tta']:.2%}"
        print(f"| {piece} | {figures} | {duration(run['seconds'])} |", flush=True)


if __name__ == "__main__":
    command.run(main)
