"""The command-line options that scripts share, and how a wrong one is answered."""

import argparse
import difflib
import sys

from classify.command import printable


class Parser(argparse.ArgumentParser):
    """An argument parser without abbreviations, whose errors are one line with exit status 2."""

    def __init__(self, description):
        super().__init__(
            description=description, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
        )

    def parse_args(self, args=None, namespace=None):
        args = sys.argv[1:] if args is None else args
        # What follows -- is no option; argparse forgets that where options may come between other arguments.
        parse = self.parse_known_args if "--" in args else self.parse_known_intermixed_args
        parsed, unknown = parse(args, namespace)
        if unknown:
            self.error(self._unknown(unknown))
        return parsed

    def error(self, message):
        self.exit(2, f"{self.prog}: {printable(message)}\n")

    def _unknown(self, arguments):
        option = next((a for a in arguments if a.startswith("-")), None)
        if option is None:
            return f"unexpected argument {arguments[0]}"
        name = option.split("=")[0]
        close = difflib.get_close_matches(name, self._option_string_actions, n=1)
        return f"unknown option {name}" + (f"; did you mean {close[0]}?" if close else "; see --help")


def whole_number(minimum, maximum=float("inf")):
    """Return an argparse type: a whole number from ``minimum`` to ``maximum``."""
    words = f"at least {minimum}" + (f" and at most {maximum}" if maximum < float("inf") else "")

    def parse(text):
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number of {words}")
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


def shard(text):
    """An argparse type: I/N, the I-th of N parts, as a slice that takes every N-th item."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text} is not I/N, such as 1/4 for the first of four parts")
    return slice(int(number) - 1, None, int(count))


def path(text):
    """An argparse type: the name of a file or folder, which cannot be empty."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name")
    return text


def add_data(parser, help="{}. Default: cifar10, and digits where CIFAR-10 cannot be had"):
    """Add ``--data``, with its forms put into ``help``, ``--data-dir``, ``--label`` and ``--csv-order``."""
    forms = (
        "cifar10; digits (bundled with scikit-learn); the name of an image classification data set of TFDS; or the path"
        " of a folder of pictures with one folder a class, a folder that TFDS prepared, or CIFAR-10 as an archive, its"
        " unpacked folder, .csv, .npz, or trainLabels.csv beside its pictures"
    )
    parser.add_argument("--data", type=path, metavar="DATA", help=help.format(forms))
    parser.add_argument("--label", metavar="NAME", help="which label of a TFDS data set that has several")
    parser.add_argument(
        "--data-dir",
        type=path,
        metavar="FOLDER",
        help="where TFDS data sets are prepared. Default: TFDS_DATA_DIR or ~/tensorflow_datasets",
    )
    parser.add_argument(
        "--csv-order",
        choices=("cifar", "rgb"),
        help="how the values of an image stand in a CSV file: cifar, all red ones, then all green, all blue; or rgb,"
        " pixel by pixel. Default: cifar",
    )


def add_trust(parser):
    """Add the option to open models from elsewhere."""
    help = "open a model with built-in layers that none of this project has, if you trust where it comes from"
    parser.add_argument("--trust", action="store_true", help=help)


def add_training(parser, recipes, augment, optimizers, image_size, more_epochs=""):
    """Add the options of a training run; those left out get the recipe's own value.

    Args:
        parser: the ``Parser``.
        recipes: a dictionary of option values for each recipe, for the help text.
        augment: what ``--augment`` does.
        optimizers: the names to choose from.
        image_size: the default of ``--image-size``.
        more_epochs: when there are more epochs than the recipe's, if ever.
    """

    def default(option, none=""):
        values = {name: recipe.get(option, none) for name, recipe in recipes.items()}
        if len(set(values.values())) == 1:
            return f"Default: {next(iter(values.values()))}"
        return "Default: " + ", ".join(f"{value} ({name})" for name, value in values.items())

    add = parser.add_argument
    add(
        "--optimizer",
        choices=optimizers,
        metavar="NAME",
        help=f"{', '.join(optimizers)}. {default('optimizer')}",
    )
    add(
        "--learning-rate",
        type=number(0, low_allowed=False),
        metavar="RATE",
        help=f"its peak. {default('learning_rate')}; with another optimizer the default changes",
    )
    add(
        "--image-size",
        type=whole_number(32),
        metavar="N",
        help=f"pixels a side of the images that the network sees. Default: {image_size}",
    )
    add(
        "--epochs",
        type=whole_number(1),
        metavar="N",
        help=f"passes over the training images. {default('epochs')}{more_epochs}",
    )
    add(
        "--batch-size",
        type=whole_number(1),
        metavar="N",
        help=f"images a training step. {default('batch_size')}; fewer where images are few or, for the CNN, large",
    )
    add(
        "--dropout",
        type=number(0, 1),
        metavar="RATE",
        help=f"the share of units that Dropout drops, 0 to 1. {default('dropout', 0.0)}",
    )
    add(
        "--weight-decay",
        type=number(0),
        metavar="W",
        help=f"decoupled weight decay of kernels. {default('weight_decay', 0.0)}",
    )
    add("--augment", action=argparse.BooleanOptionalAction, help=f"{augment}. {default('augment', False)}")
    add(
        "--mirror",
        action=argparse.BooleanOptionalAction,
        help="whether the data's images may be mirrored. Default: yes, but not where they show characters",
    )
    add(
        "--early-stopping",
        type=whole_number(1),
        metavar="PATIENCE",
        help=f"stop after so many epochs without a better validation accuracy. {default('early_stopping', 'never')}",
    )
    add(
        "--validation",
        type=number(0, 1),
        default=0.1,
        metavar="SHARE",
        help="share of the training images on which the best epoch is chosen. Default: 0.1. With 0 all are"
        " trained on and the last epoch is kept",
    )
    add(
        "--test",
        type=number(0, 1, low_allowed=False),
        default=0.2,
        metavar="SHARE",
        help="share of the training images that become the test split of data without one. Default: 0.2",
    )
    add(
        "--class-weight",
        choices=("balanced",),
        help="balanced: images of rare classes count more, so that all classes count alike",
    )
    add(
        "--calibrate",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether to fit a temperature on the validation images and build it into the model, so that its"
        " percentages mean what they say. Default: yes, where there are validation images",
    )
    add("--limit", type=whole_number(1), metavar="N", help="train on the first N training images only")
    add("--seed", type=whole_number(0, 2**32 - 1), default=0, metavar="N", help="default: 0")
    add(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="arithmetic of training. Default: bfloat16 where the processor multiplies it natively",
    )
    add("--out", type=path, metavar="FOLDER", help="the run's folder. Default: a new one under runs/")
    add("--overwrite", action="store_true", help="replace the run in that folder, finished or not")
    add(
        "--resume",
        nargs="?",
        const="",
        metavar="RUN",
        help="go on with an unfinished run, with its own options. Default: the newest one",
    )
    add(
        "--distribute",
        action="store_true",
        help="train on all devices of this machine, and of all processes that are started together, with JAX",
    )
    add("--coordinator", metavar="HOST:PORT", help="where the first of several processes is; Slurm and Kubernetes know")
    add("--processes", type=whole_number(1), metavar="N", help="how many processes train together")
    add("--process", type=whole_number(0), metavar="I", help="the number of this one, from 0")
