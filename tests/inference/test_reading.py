import numpy as np
import pytest
from PIL import Image

from classify.command import Problem
from classify.data import decoding
from classify.inference import reading
from classify.inference.predictor import BATCH_SIZE, Prediction


class Brightness:
    """A predictor whose second probability is the image's mean brightness."""

    reduction = "centre-lanczos"

    def __init__(self, side):
        self.input_size = (side, side)

    def predict(self, pixels, tta=False):
        assert pixels.shape[1:] == (*self.input_size, 3)
        bright = pixels.mean(axis=(1, 2, 3)) / 255
        return [
            Prediction("m", ("dark", "bright"), np.array([1 - b, b]), p, averaged=tta)
            for p, b in zip(pixels, bright, strict=True)
        ]


def test_predictions_come_in_order_with_problems_in_their_place(tmp_path):
    paths = [tmp_path / f"{i:03}.png" for i in range(2 * BATCH_SIZE + 3)]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((8, 8, 3), i, "uint8")).save(path)
    paths[1].write_text("no image")
    batches = list(reading.predict_files(paths, [Brightness(8), Brightness(4)]))
    assert [len(batch) for batch in batches] == [BATCH_SIZE, BATCH_SIZE, 3]
    results = [result for batch in batches for result in batch]
    assert [path for path, _ in results] == paths
    for i, (_, predictions) in enumerate(results):
        if i == 1:
            assert isinstance(predictions, Problem)
        else:
            large, small = predictions
            assert large.pixels.shape == (8, 8, 3) and small.pixels.shape == (4, 4, 3)
            for prediction in predictions:
                assert (prediction.pixels == i).all()
                np.testing.assert_allclose(prediction.probabilities, [1 - i / 255, i / 255])


def test_each_predictor_gets_pictures_reduced_in_its_own_way(monkeypatch, tmp_path):
    monkeypatch.setitem(decoding.REDUCTIONS, "nearest", Image.Resampling.NEAREST)
    stripes = np.zeros((8, 8), "uint8")
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "x.png")
    predictors = [Brightness(4), Brightness(4)]
    predictors[1].reduction = "nearest"
    [[(_, (smooth, nearest))]] = reading.predict_files([tmp_path / "x.png"], predictors)
    assert smooth.pixels.min() > 100 and smooth.pixels.max() < 155
    assert set(nearest.pixels.ravel()) <= {0, 255}


@pytest.mark.parametrize("tta", [True, False])
def test_each_predictor_is_told_of_test_time_augmentation(tta, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    [[(_, predictions)]] = reading.predict_files([tmp_path / "x.png"], [Brightness(8), Brightness(8)], tta)
    assert [prediction.averaged for prediction in predictions] == [tta, tta]


def test_no_more_than_two_batches_are_read_ahead(monkeypatch):
    read = []
    pixels = np.zeros((4, 4, 3), "uint8")
    monkeypatch.setattr(reading.pictures, "load", lambda path, *size: read.append(path) or pixels)
    batches = reading.predict_files(list(range(10 * BATCH_SIZE)), [Brightness(4)])
    for step in range(3):
        next(batches)
        assert len(read) <= (step + 2) * BATCH_SIZE
    batches.close()
    assert len(read) <= 5 * BATCH_SIZE


def test_a_batch_without_any_readable_image(tmp_path):
    [[(path, problem)]] = reading.predict_files([tmp_path / "missing.png"], [Brightness(4)])
    assert path == tmp_path / "missing.png" and isinstance(problem, Problem) and "missing.png" in str(problem)
