"""The second stage of transfer learning: the last blocks of the base train too, slowly."""

import math

import keras
from keras import layers

from classify.command import note
from classify.training.loop import dtype_policy, fit
from models.inception import build_head, front, front_of, set_head, split

EPOCHS = 5
BATCH_SIZE = 64  # at the most; at 224 pixels more would take gigabytes
PATIENCE = 1  # an epoch takes minutes
SLOWER = 100  # times smaller than the head's learning rate, so that what ImageNet taught is refined, not lost


def fine_tune(model, blocks, batches, validation, optimizer, run, precision, after):
    """Train the last inception blocks of ``model`` and its head; return the ``TrainingState`` at the end.

    The best epoch of both stages is kept. The blocks before run folded and in ``precision`` on each batch anew:
    their answers to all images would fill gigabytes.

    Args:
        model: from ``build_inception``, with its trained head.
        blocks: how many blocks train, 1 to 10.
        batches: the ``Batches`` of training images.
        validation: the ``Split`` that the epoch is chosen on.
        optimizer: a Keras optimizer for ``EPOCHS`` epochs of these batches.
        run: the open ``Run``.
        precision: ``"float32"`` or ``"bfloat16"``.
        after: the ``TrainingState`` at the end of the head's training.
    """
    keras.utils.set_random_seed(batches.seed)  # dropout's, whether the head was trained just now or before a resume
    network, copy = _network(model, blocks, precision)
    network.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    count = sum(math.prod(weight.shape) for weight in network.trainable_weights)
    note(f"\nfine-tuning, last inception blocks: {blocks}, parameters that train: {count:,}")
    state = fit(network, batches, validation, EPOCHS, run, PATIENCE, "fine-tuning", after)
    model.get_layer("inception_v3").set_weights(copy.get_weights())
    set_head(model, network)
    return state


def _network(model, blocks, precision):
    """Return the network that trains, and the copy of the base that shares its layers."""
    base = model.get_layer("inception_v3")
    with dtype_policy(precision):
        copy, lower, upper = split(base, blocks)
        network = keras.Sequential(
            [
                *front(*front_of(model)),
                lower,
                upper,
                layers.GlobalAveragePooling2D(dtype="float32"),
                *build_head(model.output_shape[-1], model.get_layer("dropout").rate).layers,
            ]
        )
    set_head(network, model)
    return network, copy
