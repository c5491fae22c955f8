"""Where the time of a training step goes, operation by operation.

  python benchmarks/operations.py
  python benchmarks/operations.py --recipe standard --side 24

For each operation, or group of small ones: how many floating-point operations it
takes and how many bytes it reads and writes, both counted from its shapes; its
milliseconds by TensorFlow's profiler; and how much of the processor's limit it
reaches. The limit is the longer of two times: its floating-point operations at
the rate of a large product, and its bytes at the rate of a copy of 10 MB. Both
rates are measured first. Operations run one after the other here, each on
all cores; in training, small ones may run side by side.
"""

import collections
import math
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import train_cnn
from classify import command, options
from classify.environment import processor

STEPS = 5
MATRIX = 4096  # rows and columns, for the rate of matrix products
PIXELS, FILTERS = (500, 8, 8, 256), (3, 3, 256, 256)  # and of convolutions
COPY = 10_000_000  # bytes, for the rate of copies
KINDS = {  # by words in TensorFlow's names
    "BackpropFilter": "convolution, gradient of filters",
    "BackpropInput": "convolution, gradient of inputs",
    "Conv2D": "convolution",
    "MaxPool": "max pooling",
    "FusedBatchNorm": "batch normalization",
    "MatMul": "matrix product",
}


def main():
    parser = options.Parser(__doc__)
    recipes = [name for name, recipe in train_cnn.RECIPES.items() if recipe["network"] != "tutorial"]
    parser.add_argument("--recipe", choices=recipes, default="record", help="default: record")
    parser.add_argument("--side", type=options.whole_number(8), default=32, metavar="N", help="pixels. Default: 32")
    args = parser.parse_args()
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    command.start_keras()
    from classify.precision import choose

    recipe, precision = train_cnn.RECIPES[args.recipe], choose("auto")[0]
    rate, bandwidth = product_rate(precision), copy_rate()
    step, operations = training_step(recipe, args.side, precision)
    wall, milliseconds = profiled(step)
    rows = table(milliseconds, operations, recipe["optimizer"], rate, bandwidth)
    speed = f"{rate / 1e12:.2f} TFLOP/s in products, {bandwidth / 1e9:.0f} GB/s in copies"
    print(f"{processor()}, {precision}: {speed}")
    print(f"{args.recipe}, {recipe['batch_size']} images of {args.side} x {args.side} pixels: {wall:.0f} ms a step\n")
    print("| operation | GFLOP | MB | ms | of the step | of the limit |\n|---|---|---|---|---|---|")
    for name, flops, moved, spent, limit in rows:
        share = f"{limit / spent:.0%}" if limit else ""
        print(f"| {name} | {flops / 1e9:.1f} | {moved / 1e6:.0f} | {spent:.1f} | {spent / wall:.1%} | {share} |")


def product_rate(precision):
    """Return how many floating-point operations a second a large matrix product or convolution makes at best."""
    import tensorflow as tf

    matrix = tf.cast(tf.random.normal((MATRIX, MATRIX)), precision)
    pixels, filters = (tf.cast(tf.random.normal(shape), precision) for shape in (PIXELS, FILTERS))
    flops = 2 * math.prod(PIXELS[:3]) * math.prod(FILTERS)
    convolution = shortest(lambda: tf.nn.conv2d(pixels, filters, 1, "SAME"))
    return max(2 * MATRIX**3 / shortest(lambda: tf.matmul(matrix, matrix)), flops / convolution)


def copy_rate():
    """Return how many bytes a second are read and written when an array of a layer's size is negated."""
    import tensorflow as tf

    array = tf.zeros(COPY // 4)
    return 2 * COPY / shortest(lambda: tf.negative(array))


def shortest(function):
    """Return the seconds of the fastest of a few calls."""
    seconds = []
    for _ in range(2 * STEPS):
        start = time.perf_counter()
        function().numpy()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def training_step(recipe, side, precision):
    """Return a function that takes a training step, and its operations: their shapes, by name."""
    import keras
    import tensorflow as tf

    from classify.backends import backend
    from classify.training.batches import one_hot
    from classify.training.loop import dtype_policy
    from classify.training.optimizers import make_optimizer
    from models.cnn import build_cnn

    shape, dropout = (side, side, 3), recipe.get("dropout", 0.0)
    with dtype_policy(precision):
        model = build_cnn(recipe["network"], shape, 10, recipe["activation"], dropout, backend)
    rng = np.random.default_rng(0)
    images = tf.constant(rng.integers(0, 256, (recipe["batch_size"], side, side, 3), dtype="uint8"))
    labels = tf.constant(one_hot(rng.integers(0, 10, recipe["batch_size"]), 10))
    optimizer = make_optimizer(recipe["optimizer"], recipe["learning_rate"], 0.0, "linear", 1000)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(keras.losses.categorical_crossentropy(labels, model(images, training=True)))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    graph = step.get_concrete_function().graph
    return step, {operation.name: operation for operation in graph.get_operations()}


def profiled(step):
    """Return the milliseconds of a step, and of each of its operations by name: a dictionary."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    for _ in range(2):
        step().numpy()
    seconds = []
    for _ in range(STEPS):
        start = time.perf_counter()
        step().numpy()
        seconds.append(time.perf_counter() - start)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            for _ in range(STEPS):
                step().numpy()
        space = xplane_pb2.XSpace.FromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    spent = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                spent[plane.event_metadata[event.metadata_id].name] += event.duration_ps / 1e9 / STEPS
    # An operation's event is called NAME:TYPE; all others are what contains operations.
    named = {name: value for name, value in spent.items() if re.fullmatch(r"[^: ]+:\w+", name)}
    return 1000 * statistics.median(seconds), named


def table(milliseconds, operations, optimizer, rate, bandwidth):
    """Return rows of (name, floating-point operations, bytes, milliseconds, milliseconds at the limit), longest first.

    An operation that TensorFlow has put together from several others has no shapes, so it counts nothing at the limit.
    """
    rows = collections.defaultdict(lambda: np.zeros(4))
    for event, spent in milliseconds.items():
        name, kind = event.rsplit(":", 1)
        operation = operations.get(name)
        flops = work(operation) if operation else 0
        moved = sum(map(size, [*operation.inputs, *operation.outputs])) if operation else 0
        limit = 1000 * max(flops / rate, moved / bandwidth)
        rows[label(name, kind, operation, optimizer)] += flops, moved, spent, limit
    return sorted(((name, *row) for name, row in rows.items()), key=lambda row: -row[3])


def label(name, kind, operation, optimizer):
    """Return the row of the table that an operation belongs to."""
    if name.startswith(optimizer):
        return "optimizer"
    if "kernel_gradient" in name:
        return "convolution, gradient of filters, as matrix products"
    word = next((word for word in KINDS if word in kind), None)
    if word and "Conv2D" in kind:
        inputs, filters = sides(operation)
        return f"{KINDS[word]}, {filters[2]} to {filters[3]} channels, {inputs[1]} x {inputs[2]} pixels"
    return KINDS.get(word, "activations, their gradients and the rest")


def sides(convolution):
    """Return the shapes of the pixels and of the filters of a convolution or of one of its gradients."""
    first, second, *_ = (tensor.shape for tensor in convolution.inputs)
    if "BackpropFilter" in convolution.type:
        return first, convolution.outputs[0].shape
    if "BackpropInput" in convolution.type:
        return convolution.outputs[0].shape, second
    return first, second


def work(operation):
    """Return the floating-point operations of a convolution, of its gradients or of a matrix product; 0 for others."""
    if "Conv2D" in operation.type:
        pixels = operation.inputs[2] if "Backprop" in operation.type else operation.outputs[0]
        return 2 * math.prod(pixels.shape[:3]) * math.prod(sides(operation)[1])
    if operation.type == "MatMul":
        summed = operation.inputs[0].shape[0 if operation.get_attr("transpose_a") else 1]
        return 2 * math.prod(operation.outputs[0].shape) * summed
    return 0


def size(tensor):
    """Return a tensor's bytes; 0 where the shape is known only when it runs."""
    return math.prod(tensor.shape) * tensor.dtype.size if tensor.shape.is_fully_defined() else 0


if __name__ == "__main__":
    command.run(main)
