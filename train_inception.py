"""Train a small head on a frozen InceptionV3, pretrained on ImageNet.

  python train_inception.py                      CIFAR-10, seven times upsampled
  python train_inception.py --weights path/to/weights.h5
  python train_inception.py --data digits --upsampling 3
  python train_inception.py --fine-tune 1        then train its last block too

The base never changes, so neither do its features of an image. They are
computed once and kept in the folder features/, 8 MB for 1,000 images, 410 MB
for CIFAR-10, twice that with --augment; delete it whenever you like. A further
run on the same images starts to train at once.

With a partly re-estimated copy of the ImageNet weights it took 5 min 56 s on
two cores (bfloat16) and reached 88.5 % on the validation images.
"""

import functools
import time

from classify import command, options
from classify.runs import folder as runs

# What training uses unless the command line says otherwise. The learning rate is Adam's.
RECIPE = {
    "epochs": 20,
    "batch_size": 256,
    "learning_rate": 1e-3,
    "schedule": "one-cycle",
    "dropout": 0.5,
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "augment": False,
    "early_stopping": 5,
}


def parse(argv=None):
    parser = options.Parser(__doc__)
    add = parser.add_argument
    add(
        "--weights",
        default="imagenet",
        metavar="FILE",
        help="a Keras weights file, imagenet, or none. Default: imagenet",
    )
    add("--upsampling", type=options.whole_number(1), default=7, metavar="N", help="times each side. Default: 7")
    add("--interpolation", choices=("nearest", "bilinear"), default="bilinear", help="default: bilinear")
    add(
        "--fine-tune",
        type=options.whole_number(1),
        metavar="N",
        help="then train the last N of the 11 inception blocks too, on the images themselves: slow. Up to 5 epochs,"
        " until one is no better",
    )
    options.add_training(parser, {"inception": RECIPE}, "train on the mirrored images' features too (not of digits)")
    options.add_data(parser)
    args = parser.parse_args(argv)
    if args.fine_tune and args.fine_tune > 10:
        parser.error("--fine-tune takes at most 10: the first block and what comes before it stay frozen")
    args.recipe = "inception"
    return args


def main(argv=None):
    started = time.perf_counter()
    args = parse(argv)
    if args.out:
        runs.check_free(args.out, args.overwrite)
    command.start_keras()
    from classify.data import sources as data
    from classify.inference import predictor as inference
    from classify.reporting import conclusion as results
    from classify.training import loop as training
    from classify.transfer import features, weights
    from classify.transfer.finetuning import fine_tune
    from models.inception import SMALLEST, build_head, build_inception, set_head

    dataset, arithmetic, reason = training.prepare(args, RECIPE)
    shape, classes = dataset.image_shape, len(dataset.class_names)
    if min(shape[:2]) * args.upsampling < SMALLEST:
        pixels = f"{min(shape[:2])} pixels times {args.upsampling}"
        raise command.Problem(f"--upsampling: {pixels} is less than the {SMALLEST} that InceptionV3 needs", status=2)

    build = functools.partial(
        build_inception,
        shape,
        classes,
        upsampling=args.upsampling,
        interpolation=args.interpolation,
        dropout=args.dropout,
    )
    model = weights.build(build, args.weights)
    head = build_head(classes, args.dropout)
    counts = f"{model.count_params():,} parameters, {head.count_params():,} of them trained"
    command.note(f"inception   {weights.title(args.weights)}\n            {counts}")

    extractor = features.Extractor(model, arithmetic)
    command.note(f"features   {arithmetic} ({reason}), in {extractor.folder}")
    train = data.Split(extractor.extract(dataset.train.images, "train"), dataset.train.labels)
    held_out = extractor.extract(dataset.validation.images, "validation")
    validation = data.Split(held_out[:], dataset.validation.labels)
    mirrored = None
    if args.augment and dataset.source.mirrored:
        mirrored = extractor.extract(dataset.train.images[:, :, ::-1], "mirrored train")

    batches = features.FeatureBatches(train, classes, args.batch_size, args.seed, mirrored)
    training.compile_model(head, args, args.epochs * batches.num_batches, args.learning_rate)
    with runs.Run(runs.folder_for(args.out, args.recipe, dataset.source.name, args.overwrite)) as run:
        outcome = training.fit(head, batches, validation, args.epochs, run, args.early_stopping)
        set_head(model, head)
        held_out = inference.predict(head, validation.images, "measuring")
        if args.fine_tune and not outcome.interrupted:
            outcome = fine_tune(model, dataset, outcome, args, run, arithmetic)
            held_out = inference.predict(model, dataset.validation.images, "measuring")
        name = f"inception, {weights.title(args.weights)}"
        results.conclude(run, model, dataset, outcome, args, arithmetic, started, held_out, name)
    return 130 if outcome.interrupted else 0


if __name__ == "__main__":
    command.run(main)
