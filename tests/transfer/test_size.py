import pytest

from classify.command import Problem
from classify.data.dataset import Source
from classify.transfer import size


@pytest.mark.parametrize(
    ("side", "pixels", "times"), [(500, 224, 1), (113, 224, 1), (112, 112, 2), (64, 64, 3), (32, 32, 7), (20, 32, 7)]
)
def test_photographs_are_seen_at_224_pixels_and_small_pictures_are_enlarged(side, pixels, times):
    source = Source("mine", "mine", "here", ("a", "b"), ("train",), None, shape=None, side=side)
    assert size.image_size(source) == pixels
    assert size.upsampling((pixels, pixels, 3)) == times


def test_images_that_are_no_squares_are_enlarged_by_their_shorter_side():
    assert size.upsampling((64, 90, 3)) == 3 and size.upsampling((300, 240, 3)) == 1
    assert size.upsampling((64, 64, 3), times=2) == 2


@pytest.mark.parametrize(
    ("shape", "times", "words"),
    [
        ((32, 32, 3), 2, "32 pixels times 2 is less than the 75"),
        ((60, 300, 3), 4, "60 pixels times 4 is more than the 1024"),
        ((2000, 1500, 3), None, "1500 pixels times 1 is more than the 1024"),
    ],
)
def test_what_the_network_cannot_take(shape, times, words):
    with pytest.raises(Problem, match=words) as problem:
        size.upsampling(shape, times)
    assert problem.value.status == 2
