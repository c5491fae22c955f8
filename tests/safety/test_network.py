import keras
import pytest
from keras import layers

from classify.safety import config, network
from classify.safety.refusal import Refused
from models.cnn import NETWORKS, build_cnn


def described(model):
    return config.parse(model.to_json())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("side", "classes"), [(32, 10), (45, 3)])
def test_the_shapes_of_our_networks_follow_from_their_config(name, side, classes):
    model = build_cnn(name, (side, side, 3), classes)
    implied = network.implied(described(model))
    assert implied.input_shape == (side, side, 3) and implied.output_shape == (classes,)
    assert sorted(implied.weights.values()) == sorted(tuple(weight.shape) for weight in model.weights)


def test_the_shapes_of_a_model_within_a_model(small_model):
    implied = network.implied(described(small_model))
    assert sorted(implied.weights.values()) == sorted(tuple(weight.shape) for weight in small_model.weights)
    assert implied.weights["layers/functional/layers/conv2d_1/vars/0"] == (3, 3, 3, 4)
    assert implied.weights["layers/dense/vars/0"] == (24, 5)


def test_the_work_of_an_image_is_counted_by_hand():
    stack = [layers.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5)]
    assert network.implied(described(keras.Sequential(stack))).work == 6 * 6 * 3 * 3 * 3 * 4 + 144 * 5


@pytest.mark.parametrize("options", [{"strides": 2}, {"padding": "same", "strides": 3}, {"dilation_rate": 2}, {}])
def test_what_a_window_sees(options):
    model = keras.Sequential([layers.Input((17, 12, 3)), layers.Conv2D(2, (3, 2), **options), layers.Flatten()])
    assert network.implied(described(model)).output_shape == model.output_shape[1:]


def test_an_image_that_would_take_hours_is_refused(monkeypatch):
    monkeypatch.setattr(network, "WORK", 1000)
    with pytest.raises(Refused, match="one image would take it more than 1e[+]03 multiplications"):
        network.implied(described(build_cnn("small", (32, 32, 3), 10)))


def test_none_of_our_objects_needs_trust(small_model):
    for model in (small_model, build_cnn("standard", (32, 32, 3), 10)):
        config.check(described(model), trust=False)
