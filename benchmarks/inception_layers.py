"""Where the time goes when InceptionV3's features are computed: a row a layer at first, then a row a block.

  python benchmarks/inception_layers.py
  python benchmarks/inception_layers.py --precision float32

Each layer of the folded network runs alone, a convolution with its activation, on a batch as the extraction has it. For
an image: floating-point operations, bytes read and written, milliseconds of processor time (two busy cores take half of
that), and the share of this processor's limit that is reached. The limit is the rate of multiplying 4096 x 4096
matrices, or of copying memory, whichever takes longer. Processor time is the same whatever else is running.
"""

import math
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from classify import command, options
from classify.environment import processor


def main():
    parser = options.Parser(__doc__)
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--rounds", type=options.whole_number(1), default=5, help="of each layer. Default: 5")
    args = parser.parse_args()
    command.start_keras()
    from classify import precision
    from classify.training.loop import dtype_policy
    from models.inception import build_inception, trunk

    arithmetic, _ = precision.choose(args.precision)
    with dtype_policy(arithmetic):
        network = trunk(build_inception((32, 32, 3), 10, weights=None))
    rate, bandwidth = matrix_rate(arithmetic), copy_rate()
    print(f"{processor()}, {arithmetic}; a core: {rate / 1e12:.3f} TFLOP/s, {bandwidth / 1e9:.1f} GB/s\n")
    print("                      MFLOP      MB     ms   share of the limit")
    rows = {}
    for name, *figures in measured(network, args.rounds):
        rows[name] = [a + b for a, b in zip(rows.get(name, (0, 0, 0)), figures, strict=True)]
    for name, (flops, size, seconds) in (*rows.items(), ("all", map(sum, zip(*rows.values(), strict=True)))):
        share = max(flops / rate, size / bandwidth) / seconds
        print(f"{name:20} {flops / 1e6:7.1f} {size / 1e6:7.2f} {seconds * 1e3:6.2f}   {share:5.0%}")


def measured(network, rounds):
    """Yield (the name of a layer or block, operations, bytes, seconds) of each part, for one image."""
    import keras

    [base] = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    for layer in network.layers:
        if layer is not base:
            yield layer.name, *cost([layer], rounds)
    block, before = 0, [f"conv2d{n and f'_{n}' or ''}" for n in range(5)]
    for part in chains(base):
        first = part[0].name
        pool = block == 0 and first.startswith("max_pooling")
        name = first if first in before or pool else f"mixed{block}"
        yield name, *cost(part, rounds)
        block += part[-1].name == f"mixed{block}"


def chains(base):
    """Return the layers of a base in order, a convolution in one list with the activations behind it."""
    import keras

    lists = {}
    for layer in base.layers:
        sources = keras.tree.flatten(layer.input)
        if isinstance(layer, keras.layers.Activation):
            lists[id(layer.output)] = lists.pop(id(sources[0])) + [layer]
        elif not isinstance(layer, keras.layers.InputLayer):
            lists[id(layer.output)] = [layer]
    return list(lists.values())


def cost(part, rounds):
    """Return the (operations, bytes, seconds) of a list of layers for one image."""
    import keras
    import tensorflow as tf

    from classify.transfer.features import BATCH_SIZE

    first, last = part[0], part[-1]
    sources = keras.tree.flatten(first.input)
    inputs = [tf.cast(tf.random.normal((BATCH_SIZE, *source.shape[1:])), source.dtype) for source in sources]

    @tf.function
    def run(*inputs):
        outputs = first(list(inputs) if len(inputs) > 1 else inputs[0])
        for layer in part[1:]:
            outputs = layer(outputs)
        return outputs

    seconds = processor_time(lambda: run(*inputs), rounds)
    values = [math.prod(tensor.shape[1:]) * itemsize(tensor.dtype) for tensor in (*sources, last.output)]
    weights = sum(math.prod(weight.shape) for weight in first.weights) * itemsize(first.compute_dtype)
    places = math.prod(last.output.shape[1:3]) if isinstance(first, keras.layers.Conv2D) else 0
    flops = 2 * math.prod(first.kernel.shape) * places if places else 0
    return flops, sum(values) + weights / BATCH_SIZE, seconds / BATCH_SIZE


def itemsize(dtype):
    return {"bfloat16": 2, "float32": 4, "uint8": 1}[str(dtype)]


def processor_time(run, rounds=5):
    """Return the median seconds of processor time that a call takes, after a first one."""
    run()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return statistics.median(times)


def matrix_rate(arithmetic, n=4096):
    """Return the operations a second of processor time in a product of two n x n matrices."""
    import tensorflow as tf

    matrix = tf.cast(tf.random.normal((n, n)), arithmetic)
    multiply = tf.function(tf.matmul)
    return 2 * n**3 / processor_time(lambda: multiply(matrix, matrix).numpy())


def copy_rate(size=2**28):
    """Return the bytes a second of processor time that are read and written when memory is copied."""
    import tensorflow as tf

    values = tf.zeros(size // 4)
    copy = tf.function(lambda values: values + 1)
    return 2 * size / processor_time(lambda: copy(values).numpy()[:1])


if __name__ == "__main__":
    command.run(main)
