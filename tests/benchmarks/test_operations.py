import pytest
import tensorflow as tf

from benchmarks import operations


@pytest.fixture(scope="module")
def graph():
    """A convolution of 5 images of 8 x 6 pixels, 3 to 4 channels; its gradients; a product of 7 x 2 and 2 x 9."""

    @tf.function
    def step(images, filters, left, right):
        with tf.GradientTape() as tape:
            tape.watch((images, filters))
            pixels = tf.nn.conv2d(images, filters, 1, "VALID", name="seen")
        return tape.gradient(pixels, (images, filters)), tf.matmul(left, right, transpose_a=True, name="product")

    shapes = (5, 8, 6, 3), (3, 3, 3, 4), (2, 7), (2, 9)
    found = step.get_concrete_function(*(tf.TensorSpec(shape) for shape in shapes)).graph.get_operations()
    return {operation.type: operation for operation in found}


def test_floating_point_operations_are_those_of_the_shapes(graph):
    convolution = 2 * (5 * 6 * 4) * (3 * 3 * 3 * 4)  # without a border, 6 x 4 pixels come out
    for kind in ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"):
        assert operations.work(graph[kind]) == convolution
        assert operations.sides(graph[kind]) == ((5, 8, 6, 3), (3, 3, 3, 4))
    assert operations.work(graph["MatMul"]) == 2 * 7 * 2 * 9
    assert operations.work(graph["Placeholder"]) == 0


def test_a_row_has_the_work_the_time_and_the_limit_of_its_operations(graph):
    names = {operation.name: operation for operation in graph.values()}
    events = {f"{graph['Conv2D'].name}:_MklNativeConv2D": 3.0, f"{graph['MatMul'].name}:_MklMatMul": 0.5}
    events |= {"muon/mul:Mul": 0.25, "muon/sum:Sum": 0.25, "joined/by/TensorFlow:Mul": 1.0}
    rows = operations.table(events, names, "muon", rate=1e6, bandwidth=1e9)
    assert [row[0] for row in rows] == [
        "convolution, 3 to 4 channels, 8 x 6 pixels",
        "activations, their gradients and the rest",
        "matrix product",
        "optimizer",
    ]
    _, flops, moved, spent, limit = rows[0]
    assert (flops, spent) == (25920, 3.0)
    assert moved == 4 * (5 * 8 * 6 * 3 + 3 * 3 * 3 * 4 + 5 * 6 * 4 * 4)
    assert limit == pytest.approx(25.92)  # milliseconds of 25,920 operations at a million a second
    assert rows[1][1:] == (0, 0, 1.0, 0) and rows[3][3] == 0.5
    assert operations.label("kernel_gradient_1/MatMul_3", "_MklMatMul", None, "muon").endswith("as matrix products")
    slow = operations.table(events, names, "muon", rate=1e12, bandwidth=1e6)
    assert slow[0][4] == pytest.approx(moved / 1000)
