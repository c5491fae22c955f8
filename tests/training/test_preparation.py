import numpy as np
import pytest

import train_cnn
from classify.data import sources
from classify.data.dataset import Source, Split
from classify.training.preparation import prepare


@pytest.fixture
def asked(monkeypatch):
    """A function that prepares a source of a shape, with a command line; it returns the sizes that were read."""

    def prepare_with(shape, *arguments):
        def read(split, size):
            sizes.append(size)
            side = size or 40
            return Split(np.zeros((60, side, side, 3), "uint8"), np.arange(60) % 2)

        sizes = []
        source = Source("mine", "mine", "here", ("a", "b"), ("train",), read, shape=shape, side=40)
        monkeypatch.setattr(sources, "find", lambda *found: looked_for.append(found) or source)
        data = prepare(train_cnn.parse(list(arguments)), lambda source: 2 * source.side)[0]
        return set(sizes), data

    looked_for = []
    prepare_with.looked_for = looked_for
    return prepare_with


@pytest.mark.parametrize(
    ("shape", "arguments", "size"),
    [
        ((40, 40), [], None),
        ((40, 40), ["--image-size", "48"], 48),
        (None, [], 80),
        (None, ["--image-size", "48"], 48),
    ],
)
def test_images_of_one_shape_keep_it_and_others_get_the_size_that_suits_them(shape, arguments, size, asked):
    sizes, data = asked(shape, *arguments)
    assert sizes == {size} and data.image_shape == (size or 40, size or 40, 3)


def test_the_shares_and_the_form_of_the_data_are_passed_on(asked):
    options = ("--validation", "0.25", "--test", "0.5", "--limit", "9", "--data", "x.csv", "--csv-order", "rgb")
    _, data = asked((40, 40), *options)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [9, 8, 30]
    assert asked.looked_for == [("x.csv", None, None, "rgb")]
