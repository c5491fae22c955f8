import json

import hostile
import keras
import numpy as np
import pytest
from keras import layers

from classify.command import Problem
from classify.inference import litert, loading
from classify.inference.saving import save_keras


def sequential(*stack):
    return keras.Sequential([layers.Input((16, 16, 3)), *stack, layers.Dense(3, activation="softmax")])


def functional():
    inputs = layers.Input((16, 16, 3))
    maps = layers.Conv2D(4, 3, padding="same")(inputs)
    maps = layers.Add()([maps, layers.ReLU()(maps)])
    gate = layers.Reshape((1, 1, 4))(layers.GlobalAveragePooling2D()(maps))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(layers.Multiply()([maps, gate]))))


MODELS = {
    "recurrent": lambda: sequential(layers.Reshape((16, 48)), layers.Bidirectional(layers.LSTM(4))),
    "separable": lambda: sequential(
        layers.DepthwiseConv2D(3), layers.LayerNormalization(), layers.PReLU(), layers.GlobalAveragePooling2D()
    ),
    "regularized": lambda: sequential(layers.Flatten(), layers.Dense(4, kernel_regularizer="l2")),
    "functional": functional,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_other_built_in_layers_is_opened_with_trust(name, tmp_path, rng):
    model, path = MODELS[name](), tmp_path / "foreign.keras"
    save_keras(model, path)
    with pytest.raises(Problem, match=r"foreign.keras is refused: .* \(Other built-in layers: --trust\)$"):
        loading.load(path)
    pixels = rng.integers(0, 256, (2, 16, 16, 3), dtype="uint8")
    opened = loading.load(path, trust=True)
    np.testing.assert_array_equal(opened.predict_on_batch(pixels), model.predict_on_batch(pixels))


@pytest.mark.parametrize(
    "name", [name for name in hostile.FILES if name not in ("a layer of others", "a shared layer")]
)
def test_trust_opens_no_hostile_file(name, small_model_file, tmp_path):
    path = tmp_path / "downloaded.keras"
    hostile.make(name, small_model_file, path, tmp_path / "canary")
    try:
        loading.load_keras(path, trust=True)
    except Problem as problem:
        assert len(str(problem).splitlines()) == 1 and "--trust" not in str(problem)
    else:
        assert name == "an activation that halves"
    assert [file.name for file in tmp_path.iterdir()] == ["downloaded.keras"]


@pytest.mark.parametrize(("class_name", "units"), [("LSTM", 100_000), ("GRU", 16_000_000)])
def test_layers_whose_weights_are_not_there_are_never_made(class_name, units, tmp_path):
    path = tmp_path / "foreign.keras"
    model = sequential(layers.Reshape((16, 48)), getattr(layers, class_name)(4))
    save_keras(model, path)
    contents = hostile.members(path)
    config = json.loads(contents["config.json"])
    recurrent, dense = config["config"]["layers"][2:]
    recurrent["config"]["units"] = dense["build_config"]["input_shape"][1] = units
    contents["config.json"] = json.dumps(config)
    hostile.write(path, contents.items())
    with pytest.raises(Problem, match="implies [0-9,]+ parameters, which are not there"):
        loading.load(path, trust=True)
    keras.ops.zeros(1)  # would make the variables now, had they been kept
    keras.Sequential([layers.Input((2,)), layers.Dense(1)])


def test_a_trusted_model_has_no_light_copy(tmp_path):
    """Nobody knows the shapes of its network without Keras."""
    from classify.inference.saving import save_model

    save_model(MODELS["separable"](), tmp_path / "foreign.keras")
    assert not isinstance(loading.load(tmp_path / "foreign.keras", trust=True), litert.LiteRTModel)
