import keras
import numpy as np
import pytest
from keras import layers

from classify.command import Problem
from classify.inference.gradcam import Explainer
from classify.inference.loading import load_keras
from models.cnn import build_cnn
from models.inception import build_inception

IMAGE = np.zeros((1, 4, 4, 3), "uint8")
IMAGE[0, 0, 0] = (200, 0, 0)  # red at the top left
IMAGE[0, 3, 2] = (0, 100, 0)  # green at the bottom


def network(*end, weights):
    """A network whose features are the red and the green of each place."""
    model = keras.Sequential(
        [
            layers.Input((4, 4, 3)),
            layers.Conv2D(2, 1, use_bias=False),
            *end,
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.layers[0].set_weights([np.eye(3, 2, dtype="float32")[None, None]])
    model.layers[-1].set_weights([np.array(weights, "float32"), np.ones(2, "float32")])
    return model


def test_a_network_whose_map_is_known_exactly():
    """Class 0 is 2 red - 1 green, class 1 is 3 green, each averaged over 16 places."""
    explainer = Explainer(network(layers.GlobalAveragePooling2D(), weights=[[2, 0], [-1, 3]]))
    red, green = explainer.maps(np.concatenate([IMAGE, IMAGE]), [0, 1])
    expected = np.zeros((2, 4, 4))
    expected[0, 0, 0] = 200 * 2 / 16  # the green speaks against it, and is left out
    expected[1, 3, 2] = 100 * 3 / 16
    np.testing.assert_allclose([red, green], expected, rtol=1e-6)


def test_a_certain_answer_is_explained_too():
    """Its probability is exactly 1, the gradient of which is 0."""
    model = network(layers.GlobalAveragePooling2D(), weights=[[100, 0], [0, 0]])
    assert model.predict_on_batch(IMAGE)[0, 0] == 1
    assert Explainer(model).maps(IMAGE, [0])[0, 0, 0] == pytest.approx(200 * 100 / 16)


def test_weights_by_place_count_with_their_mean():
    weights = np.zeros((4, 4, 2, 2))
    weights[:2, :, 0, 0] = 4  # of red in the upper half only: a mean of 2 over all places
    explainer = Explainer(network(layers.Flatten(), weights=weights.reshape(32, 2)))
    assert explainer.maps(IMAGE, [0])[0, 0, 0] == pytest.approx(2 * 200)
    assert not explainer.maps(IMAGE, [1]).any()


def test_the_map_is_of_the_weights_and_not_of_the_image_alone():
    """The same with the two classes' weights exchanged: Adebayo et al. (2018), Sanity Checks for Saliency Maps."""
    explain = Explainer(network(layers.GlobalMaxPooling2D(), weights=[[2, 0], [-1, 3]])).maps
    exchanged = Explainer(network(layers.GlobalMaxPooling2D(), weights=[[0, 2], [3, -1]])).maps
    np.testing.assert_array_equal(explain(IMAGE, [0]), exchanged(IMAGE, [1]))
    assert explain(IMAGE, [0]).any() and not np.array_equal(explain(IMAGE, [0]), exchanged(IMAGE, [0]))


@pytest.mark.parametrize(("recipe", "places"), [("standard", 3), ("tutorial", 4)])
def test_the_places_of_the_cnns(recipe, places, rng):
    model = build_cnn(recipe, (32, 32, 3), 10, dropout=0.5)
    images = rng.integers(0, 256, (3, 32, 32, 3), dtype="uint8")
    assert Explainer(model).maps(images, [0, 4, 9]).shape == (3, places, places)


def test_inception_as_its_head_says_by_hand(rng):
    """From its pooled features p to the logit: relu(p A + a) B + b, of which the gradient is worked out here."""
    keras.utils.set_random_seed(3)  # one whose features speak for class 7 somewhere
    model = build_inception((32, 32, 3), 10, weights=None, upsampling=5)
    image = rng.integers(0, 256, (1, 32, 32, 3), dtype="uint8")
    features = np.array(keras.Sequential(model.layers[:3])(image))
    hidden, last = model.layers[-3], model.layers[-1]
    first, bias = map(np.array, hidden.weights)
    active = features.mean(axis=(1, 2)) @ first + bias > 0
    channels = first @ (active[0] * np.array(last.kernel)[:, 7]) / 9
    expected = np.maximum(features @ channels, 0)
    assert expected.shape == (1, 3, 3) and expected.max() > 0
    np.testing.assert_allclose(Explainer(model).maps(image, [7]), expected, rtol=1e-3, atol=1e-3 * expected.max())


def functional(end):
    """The features of ``network``, made by an Add of two layers; ``end`` returns what a Dense layer without bias gets.

    Class 0 is 2 red - 1 green, class 1 is 3 green.
    """
    inputs = layers.Input((4, 4, 3))
    halves = [layers.Conv2D(2, 1, use_bias=False)(inputs) for _ in range(2)]
    model = keras.Model(inputs, layers.Dense(2, "softmax", use_bias=False)(end(layers.Add()(halves), inputs)))
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            layer.set_weights([np.eye(3, 2, dtype="float32")[None, None] / 2])
    model.layers[-1].set_weights([np.array([[2, 0], [-1, 3]], "float32")])
    return model


def pooled(features, inputs):
    return layers.GlobalAveragePooling2D()(features)


def squeezed_and_pooled(features, inputs):
    """Channels scaled by 1, which a pooling of them says, as squeeze-and-excitation does."""
    scale = layers.Dense(2, "sigmoid", kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(99))
    scales = layers.Reshape((1, 1, 2))(scale(layers.GlobalAveragePooling2D()(features)))
    return pooled(layers.Multiply()([features, scales]), inputs)


@pytest.mark.parametrize("end", [pooled, squeezed_and_pooled])
def test_a_functional_model_with_branches_and_a_dense_layer_without_bias(end, tmp_path):
    functional(end).save(tmp_path / "model.keras")
    red, green = Explainer(load_keras(tmp_path / "model.keras", trust=True)).maps(
        np.concatenate([IMAGE, IMAGE]), [0, 1]
    )
    assert red[0, 0] == pytest.approx(200 * 2 / 16) and red.sum() == red[0, 0]
    assert green[3, 2] == pytest.approx(100 * 3 / 16) and green.sum() == green[3, 2]


def pooled_at_two_depths(features, inputs):
    return layers.Average()([pooled(features, inputs), pooled(layers.Conv2D(2, 1, use_bias=False)(inputs), inputs)])


def test_models_that_cannot_be_explained():
    no_dense = keras.Sequential([layers.Input((4, 4, 3)), layers.GlobalMaxPooling2D(), layers.Softmax()])
    no_place = keras.Sequential([layers.Input((8,)), layers.Dense(2, "softmax")])
    for model in (no_dense, no_place):
        with pytest.raises(Problem, match="ends in Dense with softmax"):
            Explainer(model)
    with pytest.raises(Problem, match="last layer uses features of several layers"):
        Explainer(functional(pooled_at_two_depths))
