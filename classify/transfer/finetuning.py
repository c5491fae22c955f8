"""The second stage of transfer learning: the last blocks of the base train too, slowly."""

import dataclasses
import math

import keras
from keras import layers

from classify.command import note
from classify.training import loop as training
from classify.training.batches import Batches
from models.inception import build_head, front, set_head, split

EPOCHS = 5
BATCH_SIZE = 64  # at the most; at 224 pixels more would take gigabytes
PATIENCE = 1  # an epoch takes minutes
SLOWER = 100  # times smaller than the head's learning rate, so that what ImageNet taught is refined, not lost


def fine_tune(model, dataset, outcome, args, run, precision):
    """Train the last ``args.fine_tune`` inception blocks of ``model`` and its head, whose training ``outcome`` tells.

    The best epoch of both stages is kept. The blocks before them run folded and in ``precision`` on each batch anew:
    their answers to all images would fill gigabytes. Returns the ``Outcome`` of both stages together.
    """
    try:
        network, copy = _network(model, dataset, args, precision)
    except KeyboardInterrupt:
        return dataclasses.replace(outcome, interrupted=True)
    batches = Batches(
        dataset.train,
        len(dataset.class_names),
        min(args.batch_size, BATCH_SIZE),
        seed=args.seed,
        augment=args.augment,
        mirror=dataset.source.mirrored,
    )
    training.compile_model(network, args, EPOCHS * batches.num_batches, args.learning_rate / SLOWER)
    count = sum(math.prod(weight.shape) for weight in network.trainable_weights)
    note(f"\nfine-tuning, last inception blocks: {args.fine_tune}, parameters that train: {count:,}")
    outcome = training.fit(network, batches, dataset.validation, EPOCHS, run, PATIENCE, after=outcome)
    model.layers[2].set_weights(copy.get_weights())
    set_head(model, network)
    return outcome


def _network(model, dataset, args, precision):
    """Return the network that trains, and the copy of the base that shares its layers."""
    _, upsampling, base, *_ = model.layers
    with training.dtype_policy(precision):
        copy, lower, upper = split(base, args.fine_tune)
        network = keras.Sequential(
            [
                *front(dataset.image_shape, upsampling.size, upsampling.interpolation),
                lower,
                upper,
                layers.GlobalAveragePooling2D(dtype="float32"),
                *build_head(len(dataset.class_names), args.dropout).layers,
            ]
        )
    set_head(network, model)
    return network, copy
