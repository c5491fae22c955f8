"""Train a CNN, on CIFAR-10 unless told otherwise, and measure it.

  python train_cnn.py                      the standard recipe on CIFAR-10
  python train_cnn.py --recipe record      Muon instead of Adam, in fewer epochs
  python train_cnn.py --recipe sprint      a small network, three epochs: 85 %
  python train_cnn.py --recipe tutorial    the plain beginner's CNN, to compare
  python train_cnn.py --data digits        a try of seconds, without network
  python train_cnn.py --data photos        your own pictures, a folder a class
  python train_cnn.py --epochs 30 --dropout 0.3 --seed 1
  python train_cnn.py --resume             go on with a run that was killed

The run's folder, runs/cnn for the first, then holds the model, its metrics and
its curves. Expect 92 % on CIFAR-10's test images after 10 to 16 minutes on two
cores that multiply bfloat16 natively. docs/how-a-cnn-works.md explains it all.
"""

import dataclasses
import functools
import time

from classify import command, options
from classify.command import note
from classify.distribution.processes import start
from classify.runs.folder import check_free
from classify.training.optimizers import OPTIMIZERS, make_optimizer
from classify.training.settings import TrainingSettings, resumed, settled

IMAGE_SIZE = 64  # pixels a side, where pictures differ in size
FEW = 5_000  # training pictures: InceptionV3, which has seen a million others, knows more than they can teach
ACTIVATIONS = ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu")

# What each recipe trains with, unless the command line says otherwise. The networks are those of models/cnn.py.
RECIPES = {
    "standard": {
        "network": "standard",
        "activation": "silu",  # GELU's shape, at a fraction of its cost
        "epochs": 11,  # 10 to 16 minutes on two cores
        "batch_size": 250,  # larger batches take more memory
        "optimizer": "adam",  # the one that every reader knows; docs/results.md has what Muon gains
        "learning_rate": 4.2e-3,  # high, as the schedule leads up to it and down again
        "schedule": "one-cycle",  # the rise lets the peak be high, the fall ends in a minimum
        "dropout": 0.2,  # eleven epochs are enough to learn images by heart
        "weight_decay": 0.05,  # times the learning rate: keeps kernels small
        "label_smoothing": 0.1,  # a network gains nothing by being ever more certain
        "augment": True,  # each epoch shows other pixels
    },
    "record": {  # after airbench94, https://github.com/KellerJordan/cifar10-airbench
        "network": "standard",  # the standard recipe's
        "activation": "silu",  # about 0.6 points more than ReLU
        "epochs": 8,  # Muon needs fewer than Adam
        "batch_size": 500,  # Muon's constants are made for it
        "optimizer": "muon",  # its steps are equally long in all directions; it brings its own weight decay
        "learning_rate": 0.12,  # how far a step moves a kernel, relative to its size
        "schedule": "linear",  # a step of Muon is never too long, so the rate need not rise first
        "label_smoothing": 0.1,  # standard's
        "augment": True,  # standard's
        "jitter": 0.13,  # of brightness and contrast; after https://github.com/hiverge/cifar10-speedrun
    },
    "sprint": {
        "network": "small",  # an eighth to a half of the filters
        "activation": "silu",  # record's
        "epochs": 3,  # three quarters of a minute on two cores
        "batch_size": 500,  # record's
        "optimizer": "muon",  # record's: it needs fewer epochs than Adam
        "learning_rate": 0.12,  # record's
        "schedule": "linear",  # record's
        "label_smoothing": 0.1,  # standard's
        "augment": True,  # record's
    },
    "tutorial": {  # every value is that of https://www.tensorflow.org/tutorials/images/cnn
        "network": "tutorial",
        "activation": "relu",
        "epochs": 10,
        "batch_size": 32,  # Keras's default
        "optimizer": "adam",
        "learning_rate": 1e-3,  # Keras's default
        "schedule": "constant",  # Keras's default
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(TrainingSettings):
    network: str
    activation: str


def parse(argv=None):
    """Return the ``Settings`` of a command line."""
    parser = options.Parser(__doc__)
    add = parser.add_argument
    add("--recipe", choices=RECIPES, default="standard", help="the network and how it is trained. Default: standard")
    add("--activation", choices=ACTIVATIONS, help="of the hidden layers. Default: silu; relu for the tutorial recipe")
    augment_help = "shift training images, mirror those that may be, and in record change brightness and contrast"
    size = f"the data's own; {IMAGE_SIZE} where pictures differ in size"
    options.add_training(parser, RECIPES, augment_help, OPTIMIZERS, size, "; more for few pictures of your own")
    options.add_data(parser)
    args = parser.parse_args(argv)
    if args.resume is not None:
        return resumed(Settings, "train_cnn.py", parser, argv, args.resume)
    return Settings(**settled(args, RECIPES[args.recipe]))


def train(settings):
    """Train a network as ``settings`` say and fill a run's folder; return the ``TrainingState`` at the end."""
    started = time.perf_counter()
    check_free(settings.out, settings.overwrite)
    start(settings)
    from classify.backends import backend
    from classify.reporting.conclusion import conclude
    from classify.training.batches import Batches
    from classify.training.loop import dtype_policy, fit, float32_copy
    from classify.training.memory import memory
    from classify.training.preparation import divided, open_run, prepare
    from classify.training.whitening import whiten
    from models.cnn import build_cnn

    data, precision, reason = prepare(settings, lambda source: IMAGE_SIZE)
    shape, classes, pictures = data.image_shape, len(data.class_names), data.source.of_pictures
    settings = divided(settings.suited(RECIPES[settings.recipe], len(data.train), min(shape[:2]), pictures))
    build = functools.partial(build_cnn, settings.network, shape, classes, settings.activation, settings.dropout)
    with dtype_policy(precision):
        model = build(made_of=backend)
    note(f"{settings.recipe}   {model.count_params():,} parameters, {precision} ({reason})")
    sees, needed = f"{shape[1]} x {shape[0]} pixels", memory(model, data, settings.batch_size)
    note(f"{'':{len(settings.recipe)}}   {sees}, {settings.batch_size} images a step, {needed}")
    if pictures and len(data.train) < FEW:
        note("train_inception.py will be more accurate: there are few pictures to learn from")
    whiten(model, data.train.images)
    batches = Batches(
        data.train,
        classes,
        settings.batch_size,
        seed=settings.seed,
        augment=settings.augment,
        mirror=data.source.mirror,
        jitter=settings.jitter,
        label_smoothing=settings.label_smoothing,
        class_weight=settings.class_weight,
    )
    steps, rate = settings.epochs * batches.num_batches, settings.learning_rate
    optimizer = make_optimizer(settings.optimizer, rate, settings.weight_decay, settings.schedule, steps)
    model.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    with open_run(settings, data, precision) as run:
        state = fit(model, batches, data.validation, settings.epochs, run, settings.early_stopping)
        conclude(run, float32_copy(model, build), data, state, settings, precision, started)
    return state


def main(argv=None):
    return train(parse(argv)).interrupted


if __name__ == "__main__":
    command.run(main)
