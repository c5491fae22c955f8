"""What models are measured on: whose splits are read, in which sizes and classes, and when that must not be."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classify.command import Problem
from classify.data import sources, splits, store
from classify.evaluation import subject
from classify.runs.saved import SavedModel

CLASSES = ("ants", "bees")


@pytest.fixture(autouse=True)
def stores(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "ROOT", tmp_path / "stores")


def fill(root, classes=CLASSES, n=10):
    """Make ``n`` pictures in each class folder, no two alike, and return the root."""
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(n):
            Image.new("RGB", (40, 30), (20 * i, 20 * number, 0)).save(root / name / f"{number}-{i}.png")
    return root


@pytest.fixture
def photos(tmp_path):
    return fill(tmp_path / "photos")


def trained(photos, name="cnn-photos", class_names=CLASSES, **options):
    """A ``SavedModel`` that was trained on a folder as it is now."""
    info = {"data": photos.name, "data_fingerprint": sources.find(str(photos)).fingerprint()}
    info |= {"class_names": list(class_names), "options": {"data": str(photos), **options}}
    return SavedModel(name, Path("model.keras"), info)


def files(found, size=32):
    return list(found.sized(size, size).files)


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_a_runs_own_folder_is_cut_as_in_its_training(name, photos, tmp_path):
    model = trained(photos, test=0.3, validation=0.25, limit=8)
    data = splits.load(sources.find(str(photos)), validation=0.25, limit=8, test=0.3, size=48)
    expected = {"train": data.train, "validation": data.validation, "test": data.test}[name]
    moved = shutil.copytree(photos, tmp_path / "elsewhere" / "photos")
    for split in (
        subject.find([model], name).sized(48, 48),
        subject.find([model], name, str(photos)).sized(48, 48),  # named, but the same
        subject.find([model], name, str(moved)).sized(48, 48),  # the same names and contents
    ):
        assert list(split.files) == list(expected.files) and split.images[np.arange(1)].shape == (1, 48, 48, 3)
        np.testing.assert_array_equal(split.labels, expected.labels)
        assert (split.name, split.validation, split.test) == (name, 0.25, 0.3)
        assert split.fingerprint == (None if name == "test" else splits.fingerprint(data.validation))


def test_every_size_has_the_same_pictures(photos):
    found = subject.find([trained(photos)], "test")
    assert files(found, 32) == files(found, 64) and len(files(found)) == 4
    assert found.sized(32, 32) is found.sized(32, 32) and found.largest is found.sized(64, 64)


def test_a_folder_that_has_changed_since_the_training_is_refused(photos, capsys):
    model = trained(photos)
    (photos / "bees" / "1-3.png").unlink()
    with pytest.raises(
        Problem, match="^photos has changed since cnn-photos was trained on it, so its test images may be"
    ):
        subject.find([model], "test")
    with pytest.raises(Problem, match="; train again, or pass --data with other pictures$"):
        subject.find([model], "validation")
    with pytest.raises(Problem, match="its test images may be among those that were learnt"):
        subject.find([model], "test", str(photos))
    assert capsys.readouterr().err == ""


def test_of_another_folder_the_test_folder_or_all_pictures_are_measured(photos, tmp_path, capsys):
    model = trained(photos)
    flat = subject.find([model], "test", str(fill(tmp_path / "flat", n=3)))
    assert sorted(files(flat)) == [f"{name}/{number}-{i}.png" for number, name in enumerate(CLASSES) for i in range(3)]
    np.testing.assert_array_equal(flat.sized(32, 32).labels, [0, 0, 0, 1, 1, 1])
    for split, n in (("train", 4), ("val", 2)):
        fill(tmp_path / "parts" / split, n=n)
    assert len(files(subject.find([model], "test", str(tmp_path / "parts")))) == 12
    fill(tmp_path / "parts" / "test", n=1)
    capsys.readouterr()
    found = subject.find([model], "test", str(tmp_path / "parts"))
    assert files(found) == ["test/ants/0-0.png", "test/bees/1-0.png"]
    assert "parts: no model says that it was trained on it, so its test split is measured" in capsys.readouterr().err


def test_classes_are_matched_by_name_in_any_order(photos, tmp_path, capsys):
    other = fill(tmp_path / "other", ("bees", "wasps"), n=2)
    model = trained(photos, class_names=("wasps", "ants", "bees"))
    found = subject.find([model], "test", str(other))
    assert found.source.class_names == ("wasps", "ants", "bees") and found.found.class_names == ("bees", "wasps")
    np.testing.assert_array_equal(found.sized(32, 32).labels, [2, 2, 0, 0])
    assert "other has no images of ants\n" in capsys.readouterr().err
    with pytest.raises(Problem, match="^other has classes that cnn-photos does not know: wasps$"):
        subject.find([trained(photos)], "test", str(other))
    both = subject.find([trained(photos), model], "test", str(other))  # the second knows them
    assert both.source.class_names == ("wasps", "ants", "bees")


def test_the_order_of_classes_changes_no_cut(photos):
    """Another model, named first, has the classes in another order; the test split stays what the owner left out."""
    owner, stranger = trained(photos, test=0.3), SavedModel("x", Path("x.keras"), {"class_names": ["bees", "ants"]})
    [expected, found] = [subject.find(models, "test", str(photos)) for models in ([owner], [stranger, owner])]
    assert files(found) == files(expected) and found.source.class_names == ("bees", "ants")
    np.testing.assert_array_equal(found.sized(32, 32).labels, 1 - expected.sized(32, 32).labels)


def test_the_split_is_the_first_models_own_unless_other_data_are_named():
    options = {"data": "digits", "validation": 0.2}
    model, bare = (SavedModel("m", None, info) for info in ({"data": "digits", "options": options}, {}))
    split = subject.find([bare, model], "validation").sized(32, 32)
    assert (split.source.name, split.name, split.validation, len(split)) == ("digits", "validation", 0.2, 288)
    assert len(subject.find([bare], "validation", "digits").sized(32, 32)) == 144
    assert len(subject.find([model], "validation", "digits").sized(16, 16)) == 288


def of(data, fingerprint=None, name="m", option=None):
    return SavedModel(name, None, {"data": data, "data_fingerprint": fingerprint, "options": {"data": option or data}})


def test_models_are_grouped_by_their_data():
    digits, mnist, bare = of("digits"), of("mnist"), SavedModel("bare", None, {})
    assert subject.by_data([mnist, digits, mnist], None, named=False) == [[digits], [mnist, mnist]]
    with pytest.raises(Problem, match="share their data; these are of digits and mnist$") as problem:
        subject.by_data([digits, mnist], None, named=True)
    assert problem.value.status == 2
    assert subject.by_data([digits, mnist], "digits", named=True) == [[digits, mnist]]
    assert subject.by_data([digits, bare], None, named=True) == [[digits, bare]]
    with pytest.raises(Problem, match="does not say what it was trained on; pass --data"):
        subject.by_data([SavedModel("bare", Path("bare.keras"), {})], None, named=True)


def test_two_folders_of_one_name_are_not_the_same_data():
    one, two = of("photos", "1" * 32, "one", "/a/photos"), of("photos", "2" * 32, "two", "/b/photos")
    again = of("photos", "1" * 32, "again", "/moved/photos")
    class2, class10 = of("class2", "3" * 32), of("class10", "4" * 32)
    groups = subject.by_data([two, class10, one, class2, again], None, named=False)
    assert groups == [[class2], [class10], [one, again], [two]]
    assert subject.by_data([one, again], None, named=True) == [[one, again]]
    with pytest.raises(Problem, match=r"these are of photos \(/a/photos\) and photos \(/b/photos\)$"):
        subject.by_data([two, one], None, named=True)
