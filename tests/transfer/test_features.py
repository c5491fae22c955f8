import io
import shutil
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from classify.data.dataset import Split
from classify.data.store import Shards
from classify.runs.folder import Run
from classify.training import loop
from classify.training.batches import Batches, one_hot
from classify.training.optimizers import make_optimizer
from classify.transfer import features
from classify.transfer.features import Extractor, FeatureBatches, Mirrored
from models.inception import build_head, build_inception, set_head


def build(upsampling=5, interpolation="nearest", dropout=0.5):
    keras.utils.set_random_seed(3)
    return build_inception((16, 16, 3), 4, None, upsampling, interpolation, dropout)


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (25, 16, 16, 3), dtype="uint8")


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(features, "SHARD", 10)
    monkeypatch.setattr(features, "BATCH_SIZE", 4)


def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def everything(features):
    return features[np.arange(len(features))]


def shards(extractor):
    return {path.name: path.read_bytes() for path in extractor.folder.iterdir()}


def forbid_computing(extractor, monkeypatch):
    monkeypatch.setattr(extractor.network, "predict_on_batch", lambda images: pytest.fail("computed again"))


def test_the_composed_models_probabilities_are_the_heads_on_the_features(model, images, tmp_path):
    features = everything(Extractor(model, "float32", tmp_path).extract(images, "test"))
    head = build_head(4)
    set_head(model, head)
    np.testing.assert_allclose(model.predict(images, verbose=0), head.predict(features, verbose=0), atol=1e-4)


def test_training_the_head_on_features_is_training_the_whole_frozen_model(images, tmp_path):
    """The identity that this all rests on: same batches, same start, no dropout, same result.

    With SGD, because Adam divides by a gradient's size and so makes steps of the rounding where that is near 0.
    """
    model, head = build(dropout=0.0), build_head(4, dropout=0.0)
    set_head(head, model)
    start = head.get_weights()
    labels = np.arange(len(images)) % 4
    features = Extractor(model, "float32", tmp_path).extract(images, "train")
    for network, batches in (
        (model, Batches(Split(images, labels), 4, batch_size=8, augment=False)),
        (head, FeatureBatches(Split(features, labels), 4, batch_size=8)),
    ):
        optimizer = make_optimizer("sgd", 1.0)
        network.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
        with Run(tmp_path / network.name) as run:
            loop.fit(network, batches, Split(images, labels).take([]), 3, run)
    trained = [weight for name in ("hidden", "probabilities") for weight in model.get_layer(name).get_weights()]
    for whole, alone, before in zip(trained, head.get_weights(), start, strict=True):
        assert np.abs(whole - before).max() > 1e-3
        np.testing.assert_allclose(alone, whole, atol=1e-5)
    answers = head.predict(everything(features), verbose=0)
    np.testing.assert_allclose(answers, model.predict(images, verbose=0), atol=1e-5)


def test_bfloat16_features_are_close(model, images, tmp_path):
    exact = everything(Extractor(model, "float32", tmp_path).extract(images, "test"))
    rough = everything(Extractor(model, "bfloat16", tmp_path).extract(images, "test"))
    assert rough.dtype == np.float32
    assert 0 < np.linalg.norm(rough - exact) < 0.05 * np.linalg.norm(exact)


def test_a_second_extraction_computes_nothing(model, images, tmp_path, monkeypatch):
    first = Extractor(model, "float32", tmp_path).extract(images, "test")
    again = Extractor(model, "float32", tmp_path)
    forbid_computing(again, monkeypatch)
    np.testing.assert_array_equal(everything(again.extract(images, "test")), everything(first))
    assert len(again.extract(images[:20], "fewer")) == 20


def test_a_killed_extraction_loses_one_shard_and_ends_the_same_to_the_bit(model, images, tmp_path, monkeypatch):
    whole = Extractor(model, "float32", tmp_path / "whole")
    whole.extract(images, "test")
    killed = Extractor(model, "float32", tmp_path / "killed")
    compute, calls = killed.network.predict_on_batch, []

    def die(batch):
        calls.append(len(batch))
        if sum(calls) > 14:
            raise SystemExit
        return compute(batch)

    monkeypatch.setattr(killed.network, "predict_on_batch", die)
    with pytest.raises(SystemExit):
        killed.extract(images, "test")
    assert len(shards(killed)) == 1
    calls.clear()
    monkeypatch.setattr(killed.network, "predict_on_batch", lambda batch: calls.append(len(batch)) or compute(batch))
    killed.extract(images, "test")
    assert sum(calls) == 15 and shards(killed) == shards(whole)


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "of another shape", "of objects"])
def test_a_damaged_shard_is_named_and_computed_again(damage, model, images, tmp_path, capsys):
    extractor = Extractor(model, "float32", tmp_path)
    expected = everything(extractor.extract(images, "test"))
    before = shards(extractor)
    path = extractor.folder / sorted(before)[0]
    content = before[path.name]
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    wrong = {"cut": content[:-9], "changed": changed, "empty": b"", "of another shape": saved(np.zeros((5, 2048)))}
    wrong["of objects"] = saved(np.array([{}] * 10))
    path.write_bytes(wrong[damage])
    if damage.startswith("of"):  # from elsewhere, with a checksum that is right
        path = path.rename(path.with_name(f"{path.name[:-12]}{zlib.crc32(wrong[damage]):08x}.npy"))
    np.testing.assert_array_equal(everything(extractor.extract(images, "test")), expected)
    assert shards(extractor) == before
    assert f"{path} is damaged" in capsys.readouterr().err


def test_a_file_holds_what_numpy_reads(model, images, tmp_path):
    extractor = Extractor(model, "float32", tmp_path)
    features = extractor.extract(images, "test")
    rows = np.array([13, 2, 13, 24])
    np.testing.assert_array_equal(features[rows], everything(features)[rows])
    blocks = [np.load(kept.file.name, allow_pickle=False) for kept in features.parts]
    np.testing.assert_array_equal(np.concatenate(blocks), everything(features))


def test_whatever_changes_the_features_changes_the_folder(model, tmp_path):
    other = build()
    kernel = other.get_layer("inception_v3").layers[1].kernel
    kernel.assign_add(kernel * 0.01)
    brighter = build()
    brighter.get_layer("rescaling").offset = 0
    variants = [
        (model, "float32"),
        (model, "bfloat16"),
        (build(upsampling=6), "float32"),
        (build(interpolation="bilinear"), "float32"),
        (other, "float32"),
        (brighter, "float32"),
    ]
    folders = [Extractor(*variant, tmp_path).folder for variant in variants]
    assert len(set(folders)) == len(folders)
    assert Extractor(build(), "float32", tmp_path).folder == folders[0]


def test_images_of_a_store_are_read_by_rows_a_batch_at_a_time(model, images, tmp_path):
    """An array of all images would not fit into memory; their features are those of the same images in an array."""

    class Watched(Shards):
        def __getitem__(self, rows):
            most.append(len(rows))
            return super().__getitem__(rows)

    most, extractor = [], Extractor(model, "float32", tmp_path)
    features = extractor.extract(Watched([images[:7], images[7:]]), "train")
    assert max(most) == 4 and len(features) == 25
    again = everything(extractor.extract(images, "train"))
    np.testing.assert_array_equal(everything(features), again)
    assert len(extractor.extract(images[:0], "validation")) == 0


def test_features_can_be_read_while_their_folder_is_deleted(model, images, tmp_path):
    features = Extractor(model, "float32", tmp_path).extract(images, "train")
    before = features[np.arange(len(images))]
    shutil.rmtree(tmp_path)
    np.testing.assert_array_equal(features[np.arange(len(images))], before)


def test_photographs_are_seen_as_they_are(rng, tmp_path):
    """With no upsampling there is no such layer, in the model nor in what computes the features."""
    keras.utils.set_random_seed(3)
    model = build_inception((80, 80, 3), 4, None, upsampling=1)
    images = rng.integers(0, 256, (3, 80, 80, 3), dtype="uint8")
    extractor = Extractor(model, "float32", tmp_path)
    assert not any("upsampling" in layer.name for layer in (*model.layers, *extractor.network.layers))
    head = build_head(4)
    set_head(model, head)
    features = everything(extractor.extract(images, "test"))
    np.testing.assert_allclose(model.predict(images, verbose=0), head.predict(features, verbose=0), atol=1e-4)


def test_half_of_a_batch_may_be_mirrored(rng):
    plain, labels = Shards([np.zeros((400, 2), "float32")]), np.arange(400) % 2
    mirrored = Shards([np.ones((400, 2), "float32")])
    batches = FeatureBatches(Split(plain, labels), 2, batch_size=400, mirrored=mirrored)
    features, answers = batches.batch(0, 0)
    assert 0.4 < features.mean() < 0.6 and (features[:, 0] == features[:, 1]).all()
    np.testing.assert_array_equal(answers, one_hot(labels[batches.rows(0, 0)], 2))
    assert FeatureBatches(Split(plain, labels), 2, batch_size=400).batch(0, 0)[0].max() == 0


def test_features_of_rare_classes_weigh_more():
    split = Split(Shards([np.zeros((4, 2), "float32")]), np.array([0, 0, 0, 1]))
    _, answers, weights = FeatureBatches(split, 2, batch_size=4, class_weight="balanced").batch(0, 0)
    np.testing.assert_allclose(weights, np.where(answers[:, 1] == 1, 2, 2 / 3), rtol=1e-6)


def test_mirrored_images(images):
    rows = np.array([3, 1])
    np.testing.assert_array_equal(Mirrored(images)[rows], images[rows][:, :, ::-1])
    assert len(Mirrored(images)) == 25


def test_the_parts_of_a_batch_of_features_are_those_of_the_whole(rng):
    features, mirrored = rng.normal(size=(2, 40, 5)).astype("float32")
    batches = FeatureBatches(Split(features, np.arange(40) % 4), 4, 16, seed=3, mirrored=mirrored)
    parts = [batches.batch(1, 1, part)[0] for part in (slice(0, 7), slice(7, None))]
    np.testing.assert_array_equal(batches.batch(1, 1)[0], np.concatenate(parts))


def test_two_processes_share_the_shards_and_have_the_same_features(model, images, tmp_path, monkeypatch):
    """In place of processes two threads, whose locks keep each other out as well."""
    whole = Extractor(model, "float32", tmp_path / "whole")
    whole.extract(images, "test")
    pair = [Extractor(model, "float32", tmp_path / "shared") for _ in range(2)]
    both, computed = threading.Barrier(2), [[], []]
    for extractor, batches in zip(pair, computed, strict=True):

        def compute(batch, compute=extractor.network.predict_on_batch, batches=batches):
            if not batches:
                both.wait(60)  # each is in the middle of a shard
            batches.append(len(batch))
            return compute(batch)

        monkeypatch.setattr(extractor.network, "predict_on_batch", compute)
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(lambda extractor: everything(extractor.extract(images, "test")), pair)
    np.testing.assert_array_equal(one, other)
    assert sum(computed[0]) + sum(computed[1]) == len(images) and min(map(sum, computed)) >= 5
    assert {name: content for name, content in shards(pair[0]).items() if "lock" not in name} == shards(whole)
