"""How many images a second the input side makes ready: mirror and shift, at 32 pixels, without any network.

  python benchmarks/input.py

Ours is ``Batches``, read by its stream, and by as many threads as there are cores: any thread may make any batch.
Beside it stands the usual way, ``tf.data`` with Keras's augmentation layers ``RandomFlip`` and ``RandomTranslation``
on batches. The images are random numbers. Medians of several epochs, the ways by turns.
"""

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from classify import command, options
from classify.environment import cores, processor

BATCH_SIZE, CLASSES = 250, 10


def ours(batches):
    """Read an epoch through the stream that training uses."""
    from classify.training.loop import training_stream

    for _ in training_stream(batches, 0, batches.num_batches):
        pass


def in_threads(batches):
    """Make an epoch's batches with a thread a core."""
    with ThreadPoolExecutor(cores()) as threads:
        for _ in threads.map(lambda step: batches.batch(0, step), range(batches.num_batches)):
            pass


def tf_data(images, labels):
    """Return a function that reads an epoch through tf.data and Keras's augmentation layers."""
    import keras
    import tensorflow as tf

    augment = keras.Sequential(
        [keras.layers.RandomFlip("horizontal"), keras.layers.RandomTranslation(1 / 16, 1 / 16, "reflect")]
    )
    dataset = (
        tf.data.Dataset.from_tensor_slices((images, labels))
        .shuffle(len(images))
        .batch(BATCH_SIZE)
        .map(lambda pixels, label: (augment(pixels, training=True), label), num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )

    def read():
        for _ in dataset:
            pass

    return read


def main():
    parser = options.Parser(__doc__)
    parser.add_argument("--images", type=options.whole_number(BATCH_SIZE), default=50_000, metavar="N")
    parser.add_argument("--epochs", type=options.whole_number(1), default=5, metavar="N", help="of each. Default: 5")
    args = parser.parse_args()
    command.start_keras()
    from classify.data.dataset import Split
    from classify.training.batches import Batches

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (args.images, 32, 32, 3), dtype="uint8")
    split = Split(images, np.arange(args.images) % CLASSES)
    batches = Batches(split, CLASSES, BATCH_SIZE)
    ways = {
        "ours, as training reads it": lambda: ours(batches),
        "ours, a thread a core": lambda: in_threads(batches),
        "tf.data, Keras's layers": tf_data(images, np.eye(CLASSES, dtype="float32")[split.labels]),
    }
    speeds = {name: [] for name in ways}
    for _ in range(args.epochs):
        for name, read in ways.items():
            start = time.perf_counter()
            read()
            speeds[name].append(args.images / (time.perf_counter() - start))
    print(f"{processor()}\n\n| | images a second | slowest | fastest |\n|---|---|---|---|")
    for name, found in speeds.items():
        print(f"| {name} | {statistics.median(found):,.0f} | {min(found):,.0f} | {max(found):,.0f} |")


if __name__ == "__main__":
    command.run(main)
