"""What only the real CIFAR-10 can show; skipped where TFDS_DATA_DIR does not hold a prepared copy."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT, script
from PIL import Image

import train_inception
from classify.data import sources, splits

FOLDER = Path(os.environ.get("TFDS_DATA_DIR", "no-such-folder"))
HARDER = FOLDER / "cifar10_jpeg75" / "1.0.0"
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not list(FOLDER.glob("cifar10/*/dataset_info.json")), reason="no CIFAR-10 in TFDS_DATA_DIR"),
]
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
REAL = {"TFDS_DATA_DIR": str(FOLDER)}


@pytest.fixture(scope="module")
def cifar10():
    return splits.load(sources.find("cifar10", FOLDER))


def test_it_is_cifar10(cifar10):
    images = np.concatenate([cifar10.train.images, cifar10.validation.images])
    labels = np.concatenate([cifar10.train.labels, cifar10.validation.labels])
    assert cifar10.class_names == CLASSES
    assert images.shape == (50_000, 32, 32, 3) and (np.bincount(labels) == 5_000).all()
    assert (np.bincount(cifar10.validation.labels) == 500).all()
    # the published means of its training pixels, as shares of 255
    np.testing.assert_allclose(images.mean(axis=(0, 1, 2)) / 255, [0.4914, 0.4822, 0.4465], atol=1e-4)


def test_it_is_read_in_the_order_of_the_official_archive():
    """As known of data_batch_1: its first ten labels, and the first pixels of its frog and its lorry."""
    train = sources.find("cifar10", FOLDER).read("train")
    np.testing.assert_array_equal(train.labels[:10], [6, 9, 9, 4, 1, 1, 2, 7, 8, 3])
    np.testing.assert_array_equal(train.images[:2, 0, 0], [[59, 62, 63], [154, 177, 187]])


def test_the_main_command_trains_on_it(tmp_path):
    few = ("--limit", "2000", "--validation", "0.02", "--epochs", "2")
    arguments = (*few, "--batch-size", "64", "--learning-rate", "0.002")
    process = script("train_cnn.py", *arguments, cwd=tmp_path, env=REAL)
    assert process.returncode == 0, process.stderr
    run = json.loads((tmp_path / "runs" / "cnn" / "run.json").read_text())
    metrics = json.loads((tmp_path / "runs" / "cnn" / "metrics.json").read_text())
    assert run["data"] == metrics["data"] == "cifar10" and run["splits"]["train"] == 2_000
    assert metrics["n"] == run["splits"]["test"] and metrics["accuracy"] > 0.25


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """What evaluate.py says of the model that comes with the repository."""
    process = script("evaluate.py", "--json", cwd=tmp_path_factory.mktemp("none"), env=REAL)
    assert process.returncode == 0, process.stderr
    [model] = json.loads(process.stdout)["models"]
    return model


def test_the_shipped_model_is_as_accurate_as_its_card_says(shipped):
    card = (PROJECT / "models" / "pretrained" / "cnn.md").read_text()
    assert shipped["name"] == "shipped" and shipped["bytes"] <= 10_000_000
    if shipped["n"] == 1_000:
        assert f"{shipped['accuracy']:.1%}".replace("%", " %") in card
    assert shipped["accuracy"] > 0.88


def test_the_shipped_models_threshold_calls_few_test_images_unsure_and_noise_more_often(cifar10, rng):
    from classify.inference import loading, ood
    from classify.inference.predictor import predict
    from classify.runs import saved

    noise = rng.integers(0, 256, (200, 32, 32, 3), dtype="uint8")
    images = np.concatenate([cifar10.test.images[:1000], noise])
    rows = predict(loading.load_keras(saved.SHIPPED), images)
    unsure = np.array(ood.unsure(rows, images, saved.shipped().info["unsure"]))
    assert 0.03 < unsure[:-200].mean() < 0.08 < unsure[-200:].mean()


def test_each_test_image_as_a_png_gets_the_answer_of_evaluate(cifar10, tmp_path):
    from classify.inference import loading
    from classify.inference.predictor import predict
    from classify.runs import saved

    images = cifar10.test.images[:1000]
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i:04}.png")
    process = script("predict.py", tmp_path, "--json", cwd=tmp_path)
    answers = [json.loads(line) for line in process.stdout.splitlines()]
    expected = predict(loading.load_keras(saved.SHIPPED), images)
    assert [answer["class"] for answer in answers] == [cifar10.class_names[i] for i in expected.argmax(axis=1)]
    probabilities = [list(answer["probabilities"].values()) for answer in answers]
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)


@pytest.mark.skipif(not HARDER.is_dir(), reason="no cifar10_jpeg75 in TFDS_DATA_DIR")
def test_a_further_labelled_set_by_its_folder(shipped, tmp_path):
    process = script("evaluate.py", "--json", "--data", HARDER, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    [model] = json.loads(process.stdout)["models"]
    assert (model["data"], model["n"]) == ("cifar10_jpeg75", 10_000)
    assert 0.7 < model["accuracy"] < shipped["accuracy"]


WEIGHTS = FOLDER.parent / "weights" / "inceptionv3_notop_partial.weights.h5"


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="no InceptionV3 weights beside the data")
def test_transfer_learning_from_pretrained_features(tmp_path, monkeypatch, capsys, without_litert):
    arguments = ("--limit", "400", "--epochs", "12", "--validation", "0.02", "--augment", "--upsampling", "5")
    monkeypatch.chdir(tmp_path)
    places = ("--weights", str(WEIGHTS.resolve()), "--data-dir", str(FOLDER.resolve()))
    assert train_inception.main([*arguments, *places]) == 0
    output = capsys.readouterr()
    assert "400 mirrored train images" in output.err
    assert f"inception, weights {WEIGHTS.name}\nCIFAR-10 test, " in output.out
    metrics = json.loads((tmp_path / "runs" / "inception" / "metrics.json").read_text())
    assert metrics["accuracy"] > 0.55  # 400 images teach no CNN so much
