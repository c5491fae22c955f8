import numpy as np
import pytest
from PIL import Image

from classify.command import Problem
from classify.inference import predictor as inference
from classify.inference import tta as views


class Fake:
    """A model of two classes whose second probability is the image's mean brightness."""

    def __init__(self, side):
        self.input_shape = (None, side, side, 3)

    def predict_on_batch(self, pixels):
        assert pixels.shape[1:] == self.input_shape[1:]
        bright = pixels.reshape(len(pixels), -1).mean(axis=1) / 255
        return np.stack([1 - bright, bright], axis=1)


def test_answers_come_in_order_with_problems_in_their_place(tmp_path):
    n = 2 * inference.BATCH_SIZE + 3
    paths = [tmp_path / f"{i:03}.png" for i in range(n)]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((8, 8, 3), i, "uint8")).save(path)
    paths[1].write_text("no image")
    batches = list(inference.answers(paths, [Fake(8), Fake(4)]))
    assert [len(batch) for batch in batches] == [inference.BATCH_SIZE, inference.BATCH_SIZE, 3]
    found = [item for batch in batches for item in batch]
    assert [path for path, _ in found] == paths
    for i, (_, answer) in enumerate(found):
        if i == 1:
            assert isinstance(answer, Problem)
        else:
            np.testing.assert_allclose([one.probabilities for one in answer], [[1 - i / 255, i / 255]] * 2)
            assert [one.pixels.shape for one in answer] == [(8, 8, 3), (4, 4, 3)] and (answer[0].pixels == i).all()
            assert [one.averaged for one in answer] == [None, None]


def test_no_more_than_two_batches_are_read_ahead(tmp_path, monkeypatch):
    read = []
    pixels = np.zeros((4, 4, 3), "uint8")
    monkeypatch.setattr(inference.images, "load_image", lambda path, *size: read.append(path) or pixels)
    stream = inference.answers(list(range(10 * inference.BATCH_SIZE)), [Fake(4)])
    for step in range(3):
        next(stream)
        assert len(read) <= (step + 2) * inference.BATCH_SIZE
    stream.close()
    assert len(read) <= 5 * inference.BATCH_SIZE


class Corner(Fake):
    """Its second probability is the brightness at the top left, so that every view gives another answer."""

    def predict_on_batch(self, pixels):
        bright = 0.1 + 0.8 * pixels[:, 0, 0, 0] / 255
        return np.stack([1 - bright, bright], axis=1)


def test_test_time_augmentation_is_that_of_views_and_mirrors_where_it_may(tmp_path, rng):
    pixels = rng.integers(0, 256, (3, 8, 8, 3), dtype="uint8")
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    (tmp_path / "broken.png").touch()
    model = Corner(8)
    [batch] = inference.answers([paths[0], tmp_path / "broken.png", *paths[1:]], [model, model], [True, False])
    assert isinstance(batch.pop(1)[1], Problem)
    for number, mirror in enumerate((True, False)):
        found = [answer[number] for _, answer in batch]
        np.testing.assert_array_equal([one.pixels for one in found], pixels)
        np.testing.assert_allclose([one.probabilities for one in found], model.predict_on_batch(pixels))
        expected = views.average(model.predict_on_batch, pixels, mirror)
        np.testing.assert_allclose([one.averaged for one in found], expected)
    assert not np.allclose(batch[0][1][0].averaged, batch[0][1][1].averaged)


def test_no_image_at_all_gets_no_row():
    model = Fake(4)
    model.output_shape = (None, 2)
    assert inference.predict(model, np.zeros((0, 4, 4, 3), "uint8")).shape == (0, 2)


def test_a_batch_without_any_readable_image(tmp_path):
    [[(path, answer)]] = inference.answers([tmp_path / "missing.png"], [Fake(4)])
    assert isinstance(answer, Problem) and "missing.png" in str(answer)


def test_rows_that_are_no_probabilities_are_refused(tmp_path):
    class Logits(Fake):
        def predict_on_batch(self, pixels):
            return np.ones((len(pixels), 2))

    Image.new("RGB", (4, 4)).save(tmp_path / "x.png")
    with pytest.raises(Problem, match="do not sum to 1"):
        list(inference.answers([tmp_path / "x.png"], [Logits(4)]))
