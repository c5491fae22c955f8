"""What a training run is told: a recipe, and what the command line changes in it."""

import argparse
import dataclasses
from pathlib import Path

from classify.command import Problem, printable
from classify.runs import unfinished
from classify.training.optimizers import OPTIMIZERS

IMAGES, SIDE = 45_000, 32  # the training images of CIFAR-10 and their pixels a side: what the recipes are made for
SMALLEST_BATCH = 16
WHERE = ("out", "overwrite", "resume", "coordinator", "processes", "process")  # no part of what a run is
MAY_DIFFER = {"data", "data_dir", "resume", "coordinator", "processes", "process"}  # where its data and processes are
STEPS = 20  # of an epoch, at least: an epoch of a few steps would teach little


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """All that decides how a run goes; run.json records it. The options' help says what each entry means."""

    recipe: str
    optimizer: str
    learning_rate: float
    schedule: str
    epochs: int | None = None  # this and the next one are None until the images are known
    batch_size: int | None = None
    dropout: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    augment: bool = False
    jitter: float = 0.0
    early_stopping: int | None = None
    class_weight: str | None = None
    mirror: bool | None = None  # as suits the data
    data: str | None = None
    data_dir: str | None = None
    label: str | None = None
    csv_order: str | None = None
    image_size: int | None = None  # as suits the data
    validation: float = 0.1
    test: float = 0.2
    calibrate: bool = True
    limit: int | None = None
    seed: int = 0
    precision: str = "auto"
    out: str | None = None
    overwrite: bool = False
    resume: Path | None = None  # the folder of a run to go on with
    distribute: bool = False
    coordinator: str | None = None  # this and the next two are about this process alone
    processes: int | None = None
    process: int | None = None

    @property
    def script(self):
        """The name of the script that trains so."""
        return "train_inception.py" if self.recipe == "inception" else "train_cnn.py"

    def suited(self, recipe, images, side=SIDE, pictures=False):
        """Return these settings with the epochs and the batch size that were asked for, else with what suits the data.

        A batch has as many pixels as the recipe's, so larger images get smaller batches, and so does a small data
        set. The free memory plays no part: a command does the same on every machine.

        Args:
            recipe: the recipe's options, a dictionary.
            images: how many there are to train on.
            side: their pixels a side.
            pictures: ``Source.of_pictures``. Of such data sixteen times fewer images than CIFAR-10's get twice as many
                epochs: each of these takes less time, and has fewer steps.
        """
        batch_size = min(round(recipe["batch_size"] * (SIDE / side) ** 2), images // STEPS)
        times = max(1, IMAGES / images) ** 0.25 if pictures else 1
        given = {"epochs": self.epochs, "batch_size": self.batch_size}
        fitting = {"epochs": round(recipe["epochs"] * times), "batch_size": max(SMALLEST_BATCH, batch_size)}
        return dataclasses.replace(self, **{name: given[name] or fitting[name] for name in given})

    def options(self):
        """Return what run.json records: all but where the run lies and which processes train."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in WHERE}


def settled(args, recipe):
    """Return the entries of a ``TrainingSettings`` as a dictionary: the command line's, and the recipe's for the rest.

    Where another optimizer than the recipe's is asked for, learning rate and weight decay change with it.

    Args:
        args: the parsed command line; None stands for an option that was left out.
        recipe: a dictionary of options.
    """
    given = {option: value for option, value in vars(args).items() if value is not None}
    defaults = {option: value for option, value in recipe.items() if option not in ("epochs", "batch_size")}
    times = OPTIMIZERS[given.get("optimizer", recipe["optimizer"])].rate / OPTIMIZERS[recipe["optimizer"]].rate
    defaults["learning_rate"] = recipe["learning_rate"] * times
    # Keras multiplies the decay by the learning rate: their product is what the recipe means.
    defaults["weight_decay"] = recipe.get("weight_decay", 0.0) / times
    return defaults | given


def resumed(kind, script, parser, argv, run):
    """Return the settings of the run that ``--resume`` names, whose data may lie elsewhere now.

    Args:
        kind: the script's class of settings.
        script: its name.
        parser: the ``Parser`` of its command line.
        argv: the command line.
        run: what follows ``--resume``.

    Raises:
        Problem: there is no such run, or the command line has an option that differs from the run's.
    """
    found = unfinished.find(run, script)
    # Options that are in the namespace keep their values, unless the command line has others.
    given = vars(parser.parse_args(argv, argparse.Namespace(**found.options)))
    begun = {"out": None, "overwrite": False, **found.options}
    wrong = [
        f"--{name.replace('_', '-')}" for name in given if name not in MAY_DIFFER and given[name] != begun.get(name)
    ]
    if wrong:
        folder = printable(found.folder)
        raise Problem(
            f"{folder} was begun with another {' and '.join(wrong)}: leave it out, or begin a new run", status=2
        )
    settings = given | {"precision": found.begun["precision"], "resume": found.folder}
    fields = {field.name: field.type for field in dataclasses.fields(kind)}
    if settings.keys() != fields.keys() or not all(isinstance(settings[name], fields[name]) for name in fields):
        raise Problem(f"{printable(found.folder)} was begun by another version of {script}: begin a new run")
    return kind(**settings)
