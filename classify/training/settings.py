"""What a training run is told: a recipe, and what the command line changes in it."""

import dataclasses

from classify.training.optimizers import OPTIMIZERS

SMALLEST_BATCH = 16
STEPS = 20  # of an epoch, at least: an epoch of a few steps would teach little


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """All that decides how a run goes; run.json records it. The options' help says what each entry means."""

    recipe: str
    optimizer: str
    learning_rate: float
    schedule: str
    epochs: int
    batch_size: int | None = None  # None until the number of images is known
    dropout: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    augment: bool = False
    early_stopping: int | None = None
    mirror: bool | None = None  # as suits the data
    data: str | None = None
    data_dir: str | None = None
    label: str | None = None
    validation: float = 0.1
    limit: int | None = None
    seed: int = 0
    precision: str = "auto"
    out: str | None = None
    overwrite: bool = False

    def with_batch_size(self, images, most):
        """Return these settings with a batch size; if none was asked for, one that suits the number of images.

        ``most`` is the recipe's. A small data set gets smaller batches.
        """
        if self.batch_size is not None:
            return self
        return dataclasses.replace(self, batch_size=min(most, max(SMALLEST_BATCH, images // STEPS)))

    def options(self):
        """Return what run.json records: all but where the run lies."""
        options = dataclasses.asdict(self)
        del options["out"], options["overwrite"]
        return options


def settled(args, recipe):
    """Return the entries of a ``TrainingSettings`` as a dictionary: the command line's, and the recipe's for the rest.

    Where another optimizer than the recipe's is asked for, learning rate and weight decay change with it.

    Args:
        args: the parsed command line; None stands for an option that was left out.
        recipe: a dictionary of options.
    """
    given = {option: value for option, value in vars(args).items() if value is not None}
    defaults = {option: value for option, value in recipe.items() if option != "batch_size"}
    times = OPTIMIZERS[given.get("optimizer", recipe["optimizer"])].rate / OPTIMIZERS[recipe["optimizer"]].rate
    defaults["learning_rate"] = recipe["learning_rate"] * times
    # Keras multiplies the decay by the learning rate: their product is what the recipe means.
    defaults["weight_decay"] = recipe.get("weight_decay", 0.0) / times
    return defaults | given
