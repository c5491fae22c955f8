"""Measure train_inception.py against the same network trained the usual way.

  TFDS_DATA_DIR=… python benchmarks/inception.py --weights path/to/weights.h5

Extraction: images a second of our folded network, in the precision that train_inception.py picks here, and of
`model.predict` on the plain network in float32, in alternate runs; the floating-point operations that this achieves
beside this processor's own rate of multiplying matrices.

Whole run: `train_inception.py --epochs 10` from an empty cache, timed from start to end, and the usual way, `fit` on
the full frozen network in float32, timed over --steps steps and multiplied to 10 epochs. Ratios of medians.

Then a further head, `train_inception.py` with the same features, and `evaluate.py --tta`, beside the seven predictions
of all test images by the plain network that it would take without kept features and bfloat16.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from classify import command, options
from classify.environment import PROJECT, processor

EPOCHS = 10
BATCH_SIZE = 32  # of the usual way: Keras's own default


def main():
    parser = options.Parser(__doc__)
    options.add_data(parser)
    parser.add_argument("--weights", default="imagenet", help="as in train_inception.py. Default: imagenet")
    parser.add_argument("--images", type=options.whole_number(50), default=500, help="for extraction. Default: 500")
    parser.add_argument("--steps", type=options.whole_number(2), default=20, help="of the usual way. Default: 20")
    parser.add_argument("--rounds", type=options.whole_number(1), default=5, help="alternate runs. Default: 5")
    args = parser.parse_args()
    command.start_keras()
    import keras

    from classify import precision
    from classify.data import sources, splits
    from classify.transfer import weights
    from models.inception import build_inception

    dataset = splits.load(sources.find(args.data or "cifar10", args.data_dir, args.label))
    arithmetic, _ = precision.choose("auto")
    file = weights.find(args.weights)
    with weights.checked(file):
        model = build_inception(dataset.image_shape, len(dataset.class_names), file)
    print(f"{processor()}; {dataset.source.title}, 7x upsampled\n", flush=True)

    images = dataset.train.images[np.arange(min(args.images, len(dataset.train)))]
    ours, plain = extraction(model, images, arithmetic, args.rounds)
    print(f"extraction   {arithmetic}, folded   {ours:6.1f} images/s")
    print(f"             float32, predict    {plain:6.1f} images/s")
    print(f"             ratio of medians    {ours / plain:6.2f}")
    flops = operations(model) * ours
    rate = matrix_rate(arithmetic)
    print(f"             {flops / 1e12:.2f} TFLOP/s; matrices of 4096 in {arithmetic}: {rate / 1e12:.2f} TFLOP/s\n")

    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    usual = usual_way(model, dataset.train, args.steps) * len(dataset.train) * EPOCHS
    del model
    keras.backend.clear_session()
    whole, further, measuring = our_runs(args)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"whole run    train_inception.py --epochs {EPOCHS}, measured   {whole:8.0f} s")
    print(f"             fit, float32, extrapolated from {args.steps} steps {usual:8.0f} s")
    print(f"             ratio {usual / whole:.1f}; peak memory of our runs {peak:.2f} GB\n")
    print(f"further head train_inception.py, measured               {further:8.0f} s\n")
    views = (1 + 6 if dataset.source.mirror else 1 + 3) * len(dataset.test) / plain
    print(f"measuring    evaluate.py --tta, {len(dataset.test):,} images, measured {measuring:8.0f} s")
    print(f"             predict, float32, of all views            {views:8.0f} s")
    print(f"             ratio {views / measuring:.1f}")


def extraction(model, images, arithmetic, rounds):
    """Return the median images a second of (our extraction, the plain network's `predict`)."""
    import keras

    from classify.transfer.features import Extractor

    names = ("rescaling", "upsampling", "inception_v3", "pooling")
    trunk = keras.Sequential([keras.layers.Input(model.input_shape[1:]), *map(model.get_layer, names)])
    extractor = Extractor(model, arithmetic)

    def ours(images):
        with tempfile.TemporaryDirectory() as cache:
            extractor.folder = Path(cache) / "features"
            extractor.extract(images, "benchmark")

    def plain(images):
        trunk.predict(images, verbose=0)

    rates = {ours: [], plain: []}
    for way in rates:
        way(images[:50])  # compiles
    for _ in range(rounds):
        for way, speeds in rates.items():
            speeds.append(rate_of(lambda way=way: way(images), len(images)))
    return tuple(map(statistics.median, rates.values()))


def rate_of(function, n):
    start = time.perf_counter()
    function()
    return n / (time.perf_counter() - start)


def operations(model):
    """Floating-point operations of the base for one image: two a weight of a convolution and place of its output."""
    import math

    import keras

    convolutions = [layer for layer in model.get_layer("inception_v3").layers if isinstance(layer, keras.layers.Conv2D)]
    return sum(2 * math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:3]) for layer in convolutions)


def matrix_rate(arithmetic, n=4096, rounds=5):
    """Return the operations a second of a product of two n x n matrices."""
    import tensorflow as tf

    matrix = tf.cast(tf.random.normal((n, n)), arithmetic)
    multiply = tf.function(tf.matmul)
    multiply(matrix, matrix)
    return statistics.median(rate_of(lambda: multiply(matrix, matrix).numpy(), 2 * n**3) for _ in range(rounds))


def usual_way(model, train, steps):
    """Return the median seconds an image takes in `fit` on the whole frozen network."""
    from classify.training.callbacks import Timer

    timer = Timer()
    rows = np.arange(min(BATCH_SIZE * (steps + 1), len(train)))
    model.fit(train.images[rows], train.labels[rows], batch_size=BATCH_SIZE, verbose=0, callbacks=[timer])
    return statistics.median(timer.seconds[1:]) / BATCH_SIZE


def our_runs(args):
    """Return the seconds of a whole run in an empty folder, of one with another head, and of measuring it."""
    data_dir = args.data_dir or os.environ.get("TFDS_DATA_DIR")
    paths = {
        "--data": args.data or "cifar10",
        "--weights": args.weights,
        **({"--data-dir": data_dir} if data_dir else {}),
    }
    train = [sys.executable, PROJECT / "train_inception.py", *(["--label", args.label] if args.label else [])]
    for option, value in paths.items():
        train += [option, Path(value).resolve() if Path(value).exists() else value]
    with tempfile.TemporaryDirectory() as folder:
        return (
            seconds_of([*train, "--epochs", str(EPOCHS), "--out", "first"], folder),
            seconds_of([*train, "--out", "further"], folder),
            seconds_of([sys.executable, PROJECT / "evaluate.py", "further", "--tta"], folder),
        )


def seconds_of(script, folder):
    start = time.perf_counter()
    subprocess.run(script, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    command.run(main)
