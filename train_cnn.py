"""Train a CNN, on CIFAR-10 unless told otherwise, and measure it.

  python train_cnn.py                      the standard recipe on CIFAR-10
  python train_cnn.py --recipe record      Muon instead of Adam, in fewer epochs
  python train_cnn.py --recipe sprint      a small network, two epochs: 85 %
  python train_cnn.py --recipe tutorial    the plain beginner's CNN, to compare
  python train_cnn.py --data digits        a try of seconds, without network
  python train_cnn.py --epochs 30 --dropout 0.3 --seed 1

The run's folder, runs/cnn for the first, then holds the model, its metrics and
its curves. Expect 92 % on CIFAR-10's test images after ten minutes or so on two
cores that multiply bfloat16 natively, and several times that on others; 71 %
with the tutorial recipe.
"""

import functools
import time

from classify import command, options
from classify.runs import folder as runs

# What a recipe trains with unless the command line says otherwise. The learning rate is Adam's.
RECIPES = {
    "standard": {
        "activation": "silu",
        "epochs": 11,
        "batch_size": 250,
        "learning_rate": 4.2e-3,
        "schedule": "one-cycle",
        "dropout": 0.2,
        "weight_decay": 0.05,
        "label_smoothing": 0.1,
        "augment": True,
    },
    "record": {
        "activation": "silu",
        "epochs": 8,
        "batch_size": 500,
        "optimizer": "muon",
        "learning_rate": 5e-3,
        "schedule": "linear",
        "dropout": 0.0,
        "weight_decay": 0.0,
        "label_smoothing": 0.2,
        "augment": True,
    },
    "sprint": {
        "activation": "silu",
        "epochs": 2,
        "batch_size": 250,
        "optimizer": "muon",
        "learning_rate": 5e-3,
        "schedule": "linear",
        "dropout": 0.0,
        "weight_decay": 0.0,
        "label_smoothing": 0.1,
        "augment": True,
    },
    "tutorial": {
        "activation": "relu",
        "epochs": 10,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "dropout": 0.0,
        "weight_decay": 0.0,
        "label_smoothing": 0.0,
        "augment": False,
    },
}


def parse(argv=None):
    parser = options.Parser(__doc__)
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        default="standard",
        help="the network and how it is trained. Default: standard",
    )
    parser.add_argument(
        "--activation",
        choices=options.ACTIVATIONS,
        metavar="NAME",
        help=f"hidden: {', '.join(options.ACTIVATIONS)}. Default: silu; relu for the tutorial recipe",
    )
    augment = "mirror and shift training images (digits are only shifted)"
    options.add_training(parser, RECIPES, augment, (*options.OPTIMIZERS, "muon"))
    options.add_data(parser)
    return parser.parse_args(argv)


def main(argv=None):
    started = time.perf_counter()
    args = parse(argv)
    if args.out:
        runs.check_free(args.out, args.overwrite)
    command.start_keras()
    from classify.backends.tensorflow import FusedBatchNormalization
    from classify.inference import predictor as inference
    from classify.reporting import conclusion as results
    from classify.training import batches
    from classify.training import loop as training
    from classify.training.whitening import whiten
    from models.cnn import build_cnn

    dataset, arithmetic, reason = training.prepare(args, RECIPES[args.recipe])
    shape, classes = dataset.image_shape, len(dataset.class_names)
    build = functools.partial(build_cnn, args.recipe, shape, classes, args.activation, args.dropout)
    try:
        with training.dtype_policy(arithmetic):
            model = build(normalization=FusedBatchNormalization)
    except ValueError as error:
        raise command.Problem(f"images of {shape[0]}x{shape[1]} pixels are too small for this network") from error
    if args.recipe != "tutorial":
        whiten(model, dataset.train.images)
    command.note(f"{args.recipe}   {model.count_params():,} parameters, {arithmetic} ({reason})")

    train = batches.Batches(
        dataset.train,
        classes,
        args.batch_size,
        seed=args.seed,
        augment=args.augment,
        mirror=dataset.source.mirrored,
        label_smoothing=args.label_smoothing,
    )
    training.compile_model(model, args, args.epochs * train.num_batches, args.learning_rate)

    with runs.Run(runs.folder_for(args.out, args.recipe, dataset.source.name, args.overwrite)) as run:
        outcome = training.fit(model, train, dataset.validation, args.epochs, run, args.early_stopping)
        final = training.float32_copy(model, build)
        held_out = inference.predict(final, dataset.validation.images, "measuring")
        results.conclude(run, final, dataset, outcome, args, arithmetic, started, held_out)
    return 130 if outcome.interrupted else 0


if __name__ == "__main__":
    command.run(main)
