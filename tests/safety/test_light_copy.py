import shutil
import zipfile

import hostile
import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder
from keras import layers

from classify.command import Problem
from classify.inference import litert, loading
from classify.inference.saving import save_model


def network(seed):
    keras.utils.set_random_seed(seed)
    stack = [layers.Input((16, 16, 3)), layers.Rescaling(1 / 255), layers.UpSampling2D(interpolation="bilinear")]
    stack += [layers.Conv2D(4, 3, activation="relu")]
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(4, activation="softmax")]
    return keras.Sequential(stack)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two saved models of the same shapes, with their light copies."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("one", "another")):
        save_model(network(seed), folder / f"{name}.keras")
    return folder


@pytest.fixture
def pair(models, tmp_path):
    """A model and its light copy, to be damaged."""
    for suffix in (".keras", ".tflite"):
        shutil.copy(models / f"one{suffix}", tmp_path / f"model{suffix}")
    assert isinstance(loading.load(tmp_path / "model.keras"), litert.LiteRTModel)
    return tmp_path / "model.keras"


def network_alone(copy):
    """Return the bytes of a light copy without its mark."""
    with zipfile.ZipFile(copy) as archive:
        return copy.read_bytes()[: archive.infolist()[0].header_offset]


def forged(path, content):
    """Write a light copy with a mark that says it is whole, and made from this file."""
    copy = path.with_suffix(".tflite")
    copy.write_bytes(content)
    litert.mark(copy, litert.fingerprint(path))


def assert_keras_answers(path):
    """What answers is the network of the .keras file, whatever lies beside it."""
    model, pixels = loading.load(path), np.zeros((1, 16, 16, 3), "uint8")
    assert isinstance(model, keras.Model)
    np.testing.assert_array_equal(
        model.predict_on_batch(pixels), keras.saving.load_model(path).predict_on_batch(pixels)
    )


def edited(content, change):
    """Return a FlatBuffer's bytes after ``change`` of its object."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    change(model)
    builder = Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_copy_that_is_only_written_anew_is_used(pair):
    """Else the tests of edited copies would show nothing."""
    forged(pair, edited(network_alone(pair.with_suffix(".tflite")), lambda model: None))
    assert isinstance(loading.load(pair), litert.LiteRTModel)


def test_another_networks_copy_with_a_forged_mark_is_not_used(pair, models, small_model_file):
    for other in (models / "another.keras", small_model_file):  # of the same shapes, of other shapes
        forged(pair, network_alone(other.with_suffix(".tflite")))
        assert_keras_answers(pair)


@pytest.mark.parametrize("position", [0, 4, 100, 1000, -1, -30, -250])
def test_a_flipped_byte_is_noticed(position, pair):
    copy = pair.with_suffix(".tflite")
    data = bytearray(copy.read_bytes())
    data[position] ^= 0x55
    copy.write_bytes(data)
    assert_keras_answers(pair)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x18\x00\x00\x00TFL3", b"\xff" * 5000])
def test_no_network_with_a_forged_mark(content, pair):
    forged(pair, content)
    assert_keras_answers(pair)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_a_cut_network_with_a_forged_mark(kept, pair):
    content = network_alone(pair.with_suffix(".tflite"))
    forged(pair, content[: int(kept * len(content))])
    assert_keras_answers(pair)


def options(model, code):
    """Return the settings of the first operator of a kind."""
    codes = [entry.builtinCode for entry in model.operatorCodes]
    return next(op.builtinOptions for op in model.subgraphs[0].operators if codes[op.opcodeIndex] == code)


def a_huge_window(model):
    options(model, schema.BuiltinOperator.CONV_2D).dilationHFactor = 2**24


def a_huge_resize(model):
    """The image grows to 16 million pixels a side: its size is a constant of the graph."""
    graph = model.subgraphs[0]
    constants = [tensor.buffer for tensor in graph.tensors if list(tensor.shape) == [2] and tensor.type == 2]
    model.buffers[constants[0]].data = np.frombuffer(np.array([2**24, 16], "<i4").tobytes(), "u1")


def nothing_in_it(model):
    model.subgraphs[0].operators = None


def a_loop(model):
    """An operator takes what comes later."""
    operators = model.subgraphs[0].operators
    operators[0].inputs = np.array([operators[-1].outputs[0], operators[0].inputs[1]], "int32")


def sparse(model):
    model.subgraphs[0].tensors[1].sparsity = schema.SparsityParametersT()


def changing(model):
    model.subgraphs[0].tensors[1].isVariable = True


def another_operator(model):
    code = model.operatorCodes[0]
    code.builtinCode, code.deprecatedBuiltinCode = schema.BuiltinOperator.EXP, schema.BuiltinOperator.EXP


def an_operator_of_ones_own(model):
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "FlexReadFile"


def a_huge_tensor(model):
    model.subgraphs[0].tensors[3].shape = np.array([1, 60_000, 60_000, 3], "int32")


def a_tensor_that_is_not_there(model):
    model.subgraphs[0].operators[0].inputs = np.array([10_000, 1], "int32")


def texts(model):
    model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].type = schema.TensorType.STRING


def two_inputs(model):
    model.subgraphs[0].inputs = np.array([*model.subgraphs[0].inputs, 1], "int32")


def without_softmax(model):
    subgraph = model.subgraphs[0]
    subgraph.outputs = np.array([subgraph.operators.pop().inputs[0]], "int32")


def other_weights(model):
    """The last layer's weights change by one bit each: their sizes stay."""
    dense = next(op for op in reversed(model.subgraphs[0].operators) if len(op.inputs) == 3)
    buffer = model.buffers[model.subgraphs[0].tensors[dense.inputs[1]].buffer]
    buffer.data = np.array(buffer.data) ^ 1


@pytest.mark.parametrize(
    "change",
    [
        a_huge_window,
        a_huge_resize,
        nothing_in_it,
        a_loop,
        sparse,
        changing,
        another_operator,
        an_operator_of_ones_own,
        a_huge_tensor,
        a_tensor_that_is_not_there,
        texts,
        two_inputs,
        without_softmax,
        other_weights,
    ],
    ids=lambda change: change.__name__,
)
def test_an_edited_copy_with_a_forged_mark_is_not_used(change, pair):
    forged(pair, edited(network_alone(pair.with_suffix(".tflite")), change))
    assert_keras_answers(pair)


def test_a_copy_of_a_refused_model_does_not_answer(pair, models, tmp_path):
    """What the .keras file may not do, the copy beside it may not do for it."""
    hostile.make("code in a layer", models / "one.keras", pair, tmp_path / "canary")
    forged(pair, network_alone(pair.with_suffix(".tflite")))
    with pytest.raises(Problem, match="a Lambda layer, which is code"):
        loading.load(pair)


def test_the_copies_of_our_own_networks_are_used(small_model_file, tmp_path):
    """Every activation, bilinear upsampling, a model within, flattening; and rescaled, repeated pixels."""
    assert isinstance(loading.load(small_model_file), litert.LiteRTModel)
    keras.utils.set_random_seed(0)
    stack = [layers.Input((16, 16, 3)), layers.Rescaling(1 / 127.5, offset=-1)]
    stack += [layers.UpSampling2D(3, interpolation="nearest"), layers.Conv2D(4, 3), layers.BatchNormalization()]
    stack += [layers.AveragePooling2D(3, 1, padding="same"), layers.MaxPooling2D(), layers.Flatten()]
    save_model(keras.Sequential([*stack, layers.Dense(3, activation="softmax")]), tmp_path / "model.keras")
    assert isinstance(loading.load(tmp_path / "model.keras"), litert.LiteRTModel)
