"""Ways to make a picture small, compared on photographs."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import reduction
from classify.command import Problem


def test_a_square_of_the_picture_is_made_small():
    image = Image.new("RGB", (120, 60), "blue")
    image.paste("red", (30, 0, 90, 60))
    assert (np.asarray(reduction.reduced(image, 10, "box")) == (255, 0, 0)).all()
    assert (np.asarray(reduction.reduced(image, 10, "box", 0.5, (0, 0))) == (0, 0, 255)).all()
    left, right = (np.asarray(reduction.reduced(image, 4, "box", 1, (x, 0)))[0, :, 0] for x in (0, 1))
    assert left.tolist() == [0, 0, 255, 255] and right.tolist() == [255, 255, 0, 0]


def test_each_way_gives_pictures_of_the_networks_size(rng):
    image = Image.fromarray(rng.integers(0, 256, (64, 80, 3), dtype="uint8"))
    counts = {name: len(way(image, 16)) for name, way in reduction.ways().items()}
    assert {view.size for way in reduction.ways().values() for view in way(image, 16)} == {(16, 16)}
    assert counts["bilinear"] == counts["box, blurred"] == 1 and counts["lanczos, mean of five parts"] == 5
    sharp, plain, soft = (
        np.asarray(reduction.ways()[name](image, 16)[0], float) for name in ("box, sharpened", "box", "box, blurred")
    )
    assert sharp.std() > plain.std() > soft.std()


def test_the_second_half_of_each_class_is_kept_for_the_report(tmp_path):
    for name, count in (("cat", 4), ("dog", 3), ("unknown", 2)):
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.new("RGB", (9, 9)).save(tmp_path / name / f"{i}.png")
    files, labels, second = reduction.find(tmp_path, ("cat", "dog", "ship"))
    assert [file.name for file in files] == ["0.png", "1.png", "2.png", "3.png", "0.png", "1.png", "2.png"]
    assert labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert second.tolist() == [False, False, True, True, False, True, True]
    with pytest.raises(Problem, match="no folder with photographs of ship"):
        reduction.find(tmp_path, ("ship",))


class Brightness:
    """A network of two classes, dark and bright."""

    input_shape, output_shape = (None, 8, 8, 3), (None, 2)

    def predict_on_batch(self, images):
        bright = images.mean(axis=(1, 2, 3)) / 255 * 0.98 + 0.01
        return np.stack([1 - bright, bright], axis=1)


def test_several_views_are_one_answer():
    image = Image.new("L", (80, 80), 255).convert("RGB")
    image.paste("black", (0, 0, 80, 30))
    ways = reduction.ways()
    assert reduction.answers(Brightness(), [image], ways["bilinear"]).tolist() == [1]
    image.paste("black", (0, 0, 80, 55))
    assert reduction.answers(Brightness(), [image, image], ways["bilinear, mean of five parts"]).tolist() == [0, 0]
