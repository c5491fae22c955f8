import json
import shutil

import numpy as np
import pytest

from classify.command import Problem
from classify.inference.litert import LiteRTModel
from classify.inference.ood import SCORE, generalized_entropy
from classify.inference.predictor import BATCH_SIZE, Prediction, Predictor, predict
from classify.inference.tta import average
from classify.runs import saved


class Brightness:
    """A model of two classes whose second probability is the image's mean brightness."""

    input_shape, output_shape = (None, 4, 4, 3), (None, 2)

    def __init__(self):
        self.batches = []

    def predict_on_batch(self, images):
        self.batches.append(len(images))
        bright = images.reshape(len(images), -1).mean(axis=1, dtype="float32") / 255
        return np.stack([1 - bright, bright], axis=1)


class Rows:
    """Images that can be read by arrays of consecutive rows alone, as a store's."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        assert isinstance(rows, np.ndarray) and rows.dtype.kind == "i" and (np.diff(rows) == 1).all()
        return self.images[rows]


@pytest.mark.parametrize("doing", ["predicting", None])
def test_images_are_asked_for_in_batches_of_rows(doing, rng):
    images = rng.integers(0, 256, (2 * BATCH_SIZE + 3, 4, 4, 3), dtype="uint8")
    model = Brightness()
    probabilities = predict(model, Rows(images), doing)
    assert model.batches == [BATCH_SIZE, BATCH_SIZE, 3] and probabilities.dtype == "float32"
    np.testing.assert_allclose(probabilities[:, 1], images.mean(axis=(1, 2, 3)) / 255, rtol=1e-5)


def test_no_image_at_all_gets_no_row():
    assert predict(Brightness(), np.zeros((0, 4, 4, 3), "uint8")).shape == (0, 2)


def test_rows_that_are_no_probabilities_are_refused():
    class Logits(Brightness):
        def predict_on_batch(self, images):
            return np.ones((len(images), 2))

    with pytest.raises(Problem, match="do not sum to 1"):
        predict(Logits(), np.zeros((1, 4, 4, 3), "uint8"))


@pytest.fixture
def run(small_model_file, tmp_path):
    """A function that makes a run of the small model with these entries in its run.json."""

    def make(**info):
        folder = shutil.copytree(small_model_file.parent, tmp_path / "a-run")
        (folder / "run.json").write_text(json.dumps({"class_names": list("abcde"), **info}))
        return saved.find(folder)

    return make


def test_a_predictor_knows_what_its_predictions_need(run):
    predictor = Predictor(run(mirror=True, unsure={"score": SCORE, "threshold": 1}))
    assert isinstance(predictor.model, LiteRTModel)
    assert predictor.name == "a-run" and predictor.class_names == tuple("abcde") and predictor.input_size == (8, 8)
    assert predictor.reduction == "centre-lanczos"
    assert predictor.mirror is True and predictor.rule == {"score": SCORE, "threshold": 1}


def test_a_prediction_holds_all_that_a_model_says_of_an_image(run, rng):
    images = rng.integers(0, 256, (6, 8, 8, 3), dtype="uint8")
    predictor = Predictor(run())
    expected = predict(predictor.model, images)
    predictions = predictor.predict(images)
    for image, probabilities, prediction in zip(images, expected, predictions, strict=True):
        np.testing.assert_array_equal(prediction.pixels, image)
        np.testing.assert_array_equal(prediction.probabilities, probabilities)
        assert prediction.model == "a-run" and prediction.class_names == tuple("abcde")
        assert prediction.best == "abcde"[probabilities.argmax()] and prediction.probability == probabilities.max()
        assert prediction.averaged is None and prediction.unsure is None


def test_a_prediction_is_unsure_above_the_threshold(run, rng):
    images = rng.integers(0, 256, (6, 8, 8, 3), dtype="uint8")
    predictor = Predictor(run())
    scores = generalized_entropy(predict(predictor.model, images))
    predictor.rule = {"score": SCORE, "threshold": float(np.median(scores))}
    assert [prediction.unsure for prediction in predictor.predict(images)] == (scores > np.median(scores)).tolist()


@pytest.mark.parametrize("mirror", [True, False])
def test_test_time_augmentation_mirrors_where_the_data_may_be(mirror, run, rng):
    images = rng.integers(0, 256, (6, 8, 8, 3), dtype="uint8")
    predictor = Predictor(run(mirror=mirror))
    averaged = [prediction.averaged for prediction in predictor.predict(images, tta=True)]
    np.testing.assert_array_equal(averaged, average(predictor.model.predict_on_batch, images, mirror))
    assert not np.array_equal(averaged, average(predictor.model.predict_on_batch, images, not mirror))


def test_a_model_with_another_number_of_classes_than_its_run_names_is_refused(run):
    with pytest.raises(Problem, match="has 5 classes, but its run.json names 2"):
        Predictor(run(class_names=["a", "b"]))


def test_a_run_that_reduced_pictures_in_an_unknown_way_is_refused(run):
    with pytest.raises(
        Problem, match="model.keras reduced pictures in a way that is unknown here, whole\\\\n; use"
    ) as problem:
        Predictor(run(reduction="whole\n"))
    assert len(str(problem.value).splitlines()) == 1


def test_the_entries_of_a_prediction_for_json():
    probabilities = np.array([0.25, 0.75], "float32")
    plain = {"class": "b", "probability": 0.75, "probabilities": {"a": 0.25, "b": 0.75}, "unsure": False}
    entries = Prediction("m", ("a", "b"), probabilities, None, unsure=False).entries()
    assert entries == plain and json.dumps(entries)
    tta = {"class": "a", "probability": 0.5, "probabilities": {"a": 0.5, "b": 0.5}}
    entries = Prediction("m", ("a", "b"), probabilities, None, False, np.array([0.5, 0.5])).entries()
    assert entries == plain | {"tta": tta}
