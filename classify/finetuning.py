"""The second stage of transfer learning: the last blocks of the base train too, slowly."""

import math

import keras
from keras import layers

from classify import training
from classify.batches import Batches
from classify.command import note
from models.inception import build_head, set_head, split

EPOCHS = 5
PATIENCE = 1  # an epoch takes minutes
SLOWER = 100  # times smaller than the head's learning rate, so that what ImageNet taught is refined, not lost


def fine_tune(model, dataset, outcome, args, run, precision):
    """Train the last ``args.fine_tune`` inception blocks of ``model`` and its head, whose training ``outcome`` tells.

    The best epoch of both stages is kept. The blocks before them run folded and in ``precision`` on each batch anew:
    their answers to all images would fill gigabytes. Returns the ``Outcome`` of both stages together.
    """
    _, upsampling, base, *_ = model.layers
    with training.dtype_policy(precision):
        copy, lower, upper = split(base, args.fine_tune)
        head = build_head(len(dataset.class_names), args.dropout)
        network = keras.Sequential(
            [
                layers.Input(dataset.image_shape),
                layers.Rescaling(1 / 127.5, offset=-1),
                layers.UpSampling2D(upsampling.size, interpolation=upsampling.interpolation),
                lower,
                upper,
                layers.GlobalAveragePooling2D(dtype="float32"),
                *head.layers,
            ]
        )
    set_head(network, model)
    batches = Batches(
        dataset.train,
        len(dataset.class_names),
        args.batch_size,
        seed=args.seed,
        augment=args.augment,
        mirror=dataset.source.mirrored,
    )
    training.compile_model(network, args, EPOCHS * batches.num_batches, args.learning_rate / SLOWER)
    count = sum(math.prod(weight.shape) for weight in network.trainable_weights)
    note(f"\nfine-tuning the last {args.fine_tune} inception blocks: {count:,} parameters train")
    outcome = training.fit(network, batches, dataset.validation, EPOCHS, run, PATIENCE, after=outcome)
    base.set_weights(copy.get_weights())
    set_head(model, network)
    return outcome
