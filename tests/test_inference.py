import numpy as np
import pytest
from PIL import Image

from classify import inference
from classify.command import Problem


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
            np.testing.assert_allclose(answer, [[1 - i / 255, i / 255]] * 2)


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
