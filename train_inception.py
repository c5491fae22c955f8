"""Train a small head on a frozen InceptionV3, pretrained on ImageNet.

  python train_inception.py                      CIFAR-10, seven times upsampled
  python train_inception.py --weights path/to/weights.h5
  python train_inception.py --data digits --upsampling 3
  python train_inception.py --data photos        your own, a folder a class
  python train_inception.py --fine-tune 1        then train its last block too
  python train_inception.py --resume             go on with a killed run

The base never changes, so neither do its features of an image. They are
computed once and kept in the folder features/, 8 MB for 1,000 images, 410 MB
for CIFAR-10, twice that with --augment; delete it whenever you like. A further
run on the same images starts to train at once. docs/transfer-learning.md tells
more.

With a partly re-estimated copy of the ImageNet weights it took 5 min 56 s on
two cores (bfloat16) and reached 88.5 % on the validation images.
"""

import dataclasses
import functools
import time

from classify import command, options
from classify.command import note
from classify.data.dataset import Split
from classify.distribution.processes import start
from classify.runs.folder import check_free
from classify.training.optimizers import OPTIMIZERS, make_optimizer
from classify.training.settings import TrainingSettings, resumed, settled

# What training uses, unless the command line says otherwise.
RECIPE = {
    "epochs": 20,  # of seconds each
    "batch_size": 256,
    "optimizer": "adam",
    "learning_rate": 1e-3,  # Keras's default
    "schedule": "one-cycle",
    "dropout": 0.5,  # the head has half a million parameters
    "early_stopping": 5,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(TrainingSettings):
    weights: str
    upsampling: int | None = None  # until the images are known
    interpolation: str
    fine_tune: int | None = None


def parse(argv=None):
    """Return the ``Settings`` of a command line."""
    parser = options.Parser(__doc__)
    add = parser.add_argument
    weights_help = "a Keras weights file, imagenet, or none. Default: imagenet"
    add("--weights", default="imagenet", metavar="FILE", help=weights_help)
    upsampling_help = "times each side. Default: 224 divided by the side, rounded down; 7 for 32 pixels"
    add("--upsampling", type=options.whole_number(1), metavar="N", help=upsampling_help)
    add("--interpolation", choices=("nearest", "bilinear"), default="bilinear", help="default: bilinear")
    fine_tune_help = (
        "then train the last N of the 11 inception blocks too, on the images themselves: slow. Up to 5 epochs,"
        " until one is no better"
    )
    add("--fine-tune", type=options.whole_number(1), metavar="N", help=fine_tune_help)
    augment_help = "train on mirrored images' features too, of images that may be"
    optimizers = [name for name in OPTIMIZERS if name != "muon"]  # which is for convolutions
    size_help = "the data's own; where pictures differ in size 224, or their typical size if that is up to 112"
    options.add_training(parser, {"inception": RECIPE}, augment_help, optimizers, size_help)
    options.add_data(parser)
    args = parser.parse_args(argv)
    if args.resume is not None:
        return resumed(Settings, "train_inception.py", parser, argv, args.resume)
    if args.fine_tune and args.fine_tune > 10:
        parser.error("--fine-tune takes at most 10: the first block and what comes before it stay frozen")
    return Settings(recipe="inception", **settled(args, RECIPE))


def train(settings):
    """Train a head as ``settings`` say and fill a run's folder; return the ``TrainingState`` at the end."""
    started = time.perf_counter()
    check_free(settings.out, settings.overwrite)
    start(settings)
    from classify.inference.predictor import predict
    from classify.reporting.conclusion import conclude
    from classify.training.batches import Batches
    from classify.training.loop import fit
    from classify.training.memory import memory
    from classify.training.preparation import divided, open_run, prepare
    from classify.transfer import finetuning, weights
    from classify.transfer.features import Extractor, FeatureBatches, Mirrored
    from classify.transfer.finetuning import fine_tune
    from classify.transfer.shortcut import Shortcut
    from classify.transfer.size import image_size, upsampling
    from models.inception import build_head, build_inception, set_head

    data, precision, reason = prepare(settings, image_size)
    shape, classes = data.image_shape, len(data.class_names)
    times = upsampling(shape, settings.upsampling)
    settings = dataclasses.replace(divided(settings.suited(RECIPE, len(data.train))), upsampling=times)
    file = weights.find(settings.weights)
    with weights.checked(file):
        model = build_inception(shape, classes, file, times, settings.interpolation, settings.dropout)
    head = build_head(classes, settings.dropout)
    counts = f"{model.count_params():,} parameters, {head.count_params():,} of them trained"
    note(f"inception   {weights.title(settings.weights)}\n            {counts}")
    note(f"            sees {shape[1] * times} x {shape[0] * times} pixels, {memory(model, data)}")

    def optimizer(slower, steps):
        rate = settings.learning_rate / slower
        return make_optimizer(settings.optimizer, rate, settings.weight_decay, settings.schedule, steps)

    with open_run(settings, data, precision) as run:
        extractor = Extractor(model, precision, pause=run.interrupts.check)
        note(f"features   {precision} ({reason}), in {extractor.folder}")
        features = Split(extractor.extract(data.train.images, "train"), data.train.labels)
        validation = Split(extractor.extract(data.validation.images, "validation"), data.validation.labels)
        mirrored = None
        if settings.augment and data.source.mirror:
            mirrored = extractor.extract(Mirrored(data.train.images), "mirrored train")
        weighted = settings.class_weight
        batches = FeatureBatches(features, classes, settings.batch_size, settings.seed, mirrored, weighted)
        head_optimizer = optimizer(1, settings.epochs * batches.num_batches)
        head.compile(head_optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
        state = fit(head, batches, validation, settings.epochs, run, settings.early_stopping, "head")
        set_head(model, head)
        del extractor  # and its network: memory that the conversion of the model needs
        shortcut, validate = Shortcut(model), functools.partial(predict, head, validation.images, "calibrating")
        if settings.fine_tune and not state.interrupted:
            size = min(settings.batch_size, finetuning.BATCH_SIZE)
            batches = Batches(
                data.train, classes, size, settings.seed, settings.augment, data.source.mirror, class_weight=weighted
            )
            slow = optimizer(finetuning.SLOWER, finetuning.EPOCHS * batches.num_batches)
            blocks = settings.fine_tune
            state = fine_tune(model, blocks, batches, data.validation, slow, run, precision, after=state)
            # The base is another one now. The network that was trained is folded, and so quicker than the saved one.
            shortcut, validate = None, functools.partial(predict, state.model, data.validation.images, "calibrating")
        name = f"inception, {weights.title(settings.weights)}"
        conclude(run, model, data, state, settings, precision, started, name, validate, shortcut)
    return state


def main(argv=None):
    return train(parse(argv)).interrupted


if __name__ == "__main__":
    command.run(main)
