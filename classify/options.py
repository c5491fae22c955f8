"""The command-line options that scripts share, and how a wrong one is answered."""

import argparse
import difflib

OPTIMIZERS = ("adam", "sgd", "rmsprop", "adagrad", "adadelta", "adamw")
ACTIVATIONS = ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu")


class Parser(argparse.ArgumentParser):
    """An argument parser without abbreviations, whose errors are one line with exit status 2."""

    def __init__(self, description):
        super().__init__(
            description=description, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
        )

    def parse_args(self, args=None, namespace=None):
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(self._unknown(unknown))
        return parsed

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")

    def _unknown(self, arguments):
        option = next((a for a in arguments if a.startswith("-")), None)
        if option is None:
            return f"unexpected argument {arguments[0]}"
        name = option.split("=")[0]
        close = difflib.get_close_matches(name, self._option_string_actions, n=1)
        return f"unknown option {name}" + (f"; did you mean {close[0]}?" if close else "; see --help")


def whole_number(minimum):
    """Return an argparse type: a whole number of at least ``minimum``."""

    def parse(text):
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least {minimum}")
        return value

    return parse


def number(low, high=None, low_allowed=True):
    """Return an argparse type: a number from ``low`` (itself allowed or not) to just below ``high``."""
    words = f"{'at least' if low_allowed else 'more than'} {low}" + (f" and below {high}" if high else "")

    def parse(text):
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        inside = (value >= low if low_allowed else value > low) and value < (high or float("inf"))
        if not inside:
            raise argparse.ArgumentTypeError(f"{text} is not a number of {words}")
        return value

    return parse


def add_data(parser, help="{}. Default: cifar10, and digits where CIFAR-10 cannot be had"):
    """Add ``--data``, with its forms put into ``help``, and ``--data-dir``."""
    forms = "cifar10; digits (bundled with scikit-learn); a folder that TFDS prepared; or a cifar-10-binary.tar.gz"
    parser.add_argument("--data", metavar="DATA", help=help.format(forms))
    parser.add_argument(
        "--data-dir",
        metavar="FOLDER",
        help="where TFDS data sets are prepared. Default: TFDS_DATA_DIR or ~/tensorflow_datasets",
    )


def add_training(parser):
    """Add the options of a training run; those left out get the recipe's own value."""
    add = parser.add_argument
    add("--optimizer", choices=OPTIMIZERS, default="adam", help="default: adam")
    add(
        "--learning-rate",
        type=number(0, low_allowed=False),
        metavar="RATE",
        help="its peak. Default: one that suits the optimizer",
    )
    add("--epochs", type=whole_number(1), metavar="N", help="passes over the training images")
    add("--batch-size", type=whole_number(1), metavar="N", help="images a training step")
    add("--dropout", type=number(0, 1), metavar="RATE", help="the share of units that Dropout drops, 0 to 1")
    add("--weight-decay", type=number(0), metavar="W", help="decoupled weight decay of kernels")
    add(
        "--augment",
        action=argparse.BooleanOptionalAction,
        help="mirror and shift training images (digits are not mirrored)",
    )
    add(
        "--early-stopping",
        type=whole_number(1),
        metavar="PATIENCE",
        help="stop after so many epochs without a better validation accuracy. Default: never",
    )
    add(
        "--validation",
        type=number(0, 1),
        default=0.1,
        metavar="SHARE",
        help="share of the training images on which the best epoch is chosen. Default: 0.1. With 0 all are"
        " trained on and the last epoch is kept",
    )
    add("--limit", type=whole_number(1), metavar="N", help="train on the first N training images only")
    add("--seed", type=whole_number(0), default=0, metavar="N", help="default: 0")
    add(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="arithmetic of training. Default: bfloat16 where the processor multiplies it natively",
    )
    add("--out", metavar="FOLDER", help="the run's folder. Default: a new one under runs/")
    add("--overwrite", action="store_true", help="replace the finished run in that folder")
