import pytest

import train_cnn
import train_inception


def chosen(*arguments, images=45_000, side=32, pictures=False):
    settings = train_cnn.parse(list(arguments))
    return settings.suited(train_cnn.RECIPES[settings.recipe], images, side, pictures)


def test_a_recipe_fills_in_what_was_left_out():
    tutorial = chosen("--recipe", "tutorial", "--epochs", "3")
    assert (tutorial.epochs, tutorial.batch_size, tutorial.learning_rate) == (3, 32, 1e-3)
    assert (tutorial.augment, tutorial.dropout, tutorial.schedule) == (False, 0.0, "constant")
    assert tutorial.activation == "relu" and chosen("--recipe", "record").activation == "silu"
    assert chosen("--recipe", "record", "--activation", "tanh").activation == "tanh"
    assert chosen().augment is True and chosen("--no-augment").augment is False


def test_another_optimizer_brings_its_own_learning_rate_and_decay():
    """Keras multiplies the decay by the learning rate: their product stays."""
    adam, sgd = chosen(), chosen("--optimizer", "sgd")
    assert sgd.learning_rate == pytest.approx(10 * adam.learning_rate)
    assert sgd.learning_rate * sgd.weight_decay == pytest.approx(adam.learning_rate * adam.weight_decay)
    assert chosen("--optimizer", "sgd", "--learning-rate", "0.3").learning_rate == 0.3
    assert chosen("--optimizer", "sgd", "--weight-decay", "0.3").weight_decay == 0.3
    assert chosen("--recipe", "record").learning_rate == 0.12
    assert chosen("--recipe", "record", "--optimizer", "adam").learning_rate == pytest.approx(5e-3)


def test_few_images_get_smaller_batches_unless_a_size_is_given():
    assert chosen(images=45_000).batch_size == 250
    assert chosen(images=1_280).batch_size == 64
    assert chosen(images=10).batch_size == 16
    assert chosen("--batch-size", "512", images=10, side=224).batch_size == 512


@pytest.mark.parametrize(("side", "batch_size"), [(32, 250), (48, 111), (64, 62), (96, 28), (128, 16), (224, 16)])
def test_larger_images_get_smaller_batches(side, batch_size):
    assert chosen(side=side).batch_size == batch_size


def test_a_few_large_images_get_the_smaller_one_of_both_batches():
    assert chosen(side=64, images=1_080).batch_size == 54
    assert chosen(side=96, images=1_080).batch_size == 28


@pytest.mark.parametrize(
    ("images", "epochs"), [(176, 44), (400, 36), (1_080, 28), (5_000, 19), (45_000, 11), (10**6, 11)]
)
def test_few_pictures_of_ones_own_get_more_epochs(images, epochs):
    assert chosen(images=images, pictures=True).epochs == epochs
    assert chosen("--epochs", "3", images=images, pictures=True).epochs == 3


def test_other_data_get_the_recipes_epochs_however_few_they_are():
    for name, recipe in train_cnn.RECIPES.items():
        assert chosen("--recipe", name, images=1_293, side=64).epochs == recipe["epochs"]


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        train_cnn.parse([]).epochs = 5


def test_run_json_gets_all_but_where_the_run_lies():
    options = train_cnn.parse(["--out", "here", "--overwrite", "--recipe", "record"]).options()
    expected = {"network": "standard", "learning_rate": 0.12, "jitter": 0.13, "limit": None}
    assert expected.items() <= options.items()
    assert not {"out", "overwrite"} & set(options)


def test_every_recipe_makes_settings():
    for name, recipe in train_cnn.RECIPES.items():
        settings = train_cnn.parse(["--recipe", name])
        assert {key: getattr(settings, key) for key in recipe} == recipe | {"batch_size": None, "epochs": None}
        assert chosen("--recipe", name).epochs == recipe["epochs"]
        assert chosen("--recipe", name).batch_size == recipe["batch_size"]
    settings = train_inception.parse(["--dropout", "0"])
    assert (settings.recipe, settings.dropout, settings.early_stopping, settings.upsampling) == (
        "inception",
        0,
        5,
        None,
    )


def test_what_one_asks_of_ones_own_pictures_is_recorded():
    options = train_cnn.parse([]).options()
    names = ("image_size", "test", "class_weight", "csv_order")
    assert [options[name] for name in names] == [None, 0.2, None, None]
    given = ["--image-size", "48", "--test", "0.3", "--class-weight", "balanced", "--csv-order", "rgb"]
    assert [train_inception.parse(given).options()[name] for name in names] == [48, 0.3, "balanced", "rgb"]
