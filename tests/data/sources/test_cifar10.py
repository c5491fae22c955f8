import base64
import hashlib
import io
import json
import shutil
import tarfile

import numpy as np
import pytest

from classify.command import Problem
from classify.data import download, sources, splits
from classify.data.sources import batches, cifar10


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No test reaches a real host: both addresses are a port on which nobody listens."""
    monkeypatch.setattr(download, "BUCKET", "http://127.0.0.1:9/bucket")
    monkeypatch.setattr(cifar10, "ARCHIVE_URL", "http://127.0.0.1:9/cifar-10-binary.tar.gz?as-long-as-the-real-one")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def write_archive(path, rng):
    """An archive in the official layout, of 2 images a training batch and 3 test images."""
    records, files = {}, {"batches.meta.txt": b"frog\nship\n\n"}
    for name, n in [*((f"data_batch_{i}.bin", 2) for i in range(1, 6)), ("test_batch.bin", 3)]:
        records[name] = rng.integers(0, 256, (n, 3073), dtype="uint8")
        records[name][:, 0] = np.arange(n) % 2
        files[name] = records[name].tobytes()
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return records


@pytest.fixture
def archive(tmp_path, rng, monkeypatch):
    path = tmp_path / "cifar-10-binary.tar.gz"
    records = write_archive(path, rng)
    monkeypatch.setattr(batches, "ARCHIVE_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path, records


def test_the_archive_is_read_in_its_layout(archive):
    path, records = archive
    source = sources.find(str(path))
    train, test = source.read("train"), source.read("test")
    assert source.name == "cifar10" and source.class_names == ("frog", "ship") and len(train) == 10
    third = records["data_batch_2.bin"][0]
    np.testing.assert_array_equal(train.images[2].transpose(2, 0, 1).ravel(), third[1:])
    np.testing.assert_array_equal(test.labels, [0, 1, 0])


def test_another_archive_is_refused(archive):
    path, _ = archive
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Problem, match="SHA-256"):
        sources.find(str(path))


def prepare_shuffled(folder, records, rng):
    """Prepare the archive's images as TFDS does: in a shuffled order, with the index in the archive as the id."""
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(32, 32, 3)),
            "label": tfds.features.ClassLabel(names=["frog", "ship"]),
        }
    )
    examples = {}
    for split, names in batches.BATCHES.items():
        rows = np.concatenate([records[f"{name}.bin"] for name in names])
        ids = [f"{split}_{i:05d}" for i in range(len(rows))]
        images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        shuffled = enumerate(rng.permutation(len(rows)))
        examples[split] = [(key, {"id": ids[i], "image": images[i], "label": rows[i, 0]}) for key, i in shuffled]
    tfds.dataset_builders.store_as_tfds_dataset(
        "cifar10", "3.0.2", features, examples, data_dir=folder, disable_shuffling=True
    )


def test_both_copies_of_cifar10_have_one_order_and_so_the_same_validation_images(archive, tmp_path, rng):
    path, records = archive
    prepare_shuffled(tmp_path / "data", records, rng)
    prepared = splits.load(sources.find("cifar10", tmp_path / "data"), validation=0.4)
    official = splits.load(sources.find(str(path)), validation=0.4)
    for part in ("train", "validation", "test"):
        ours, theirs = getattr(prepared, part), getattr(official, part)
        np.testing.assert_array_equal(ours.images, theirs.images)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        assert splits.fingerprint(ours) == splits.fingerprint(theirs)


def test_without_a_host_digits_are_taken_loudly(tmp_path, capsys):
    assert sources.find(None, tmp_path).name == "digits"
    said = capsys.readouterr().err
    assert "CIFAR-10 could not be loaded" in said and "now trains on digits" in said
    assert "--data path/to/cifar-10-binary.tar.gz" in said and "127.0.0.1:9 did not answer" in said
    assert max(map(len, said.splitlines())) <= 80


def test_the_explanation_fits_80_columns():
    reasons = "; ".join(
        f"{host} did not answer within 9 s" for host in ("storage.googleapis.com", "www.cs.toronto.edu")
    )
    assert max(map(len, cifar10.explain(reasons).splitlines())) <= 80


def test_cifar10_written_out_never_falls_back(tmp_path):
    with pytest.raises(Problem, match="(?s)CIFAR-10 could not be loaded.*--data-dir") as problem:
        sources.find("cifar10", tmp_path)
    assert problem.value.status == 1
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_folder_that_cannot_be_written_is_said_and_digits_are_taken(archive, server, tmp_path, monkeypatch, capsys):
    path, _ = archive
    (server[1] / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(cifar10, "ARCHIVE_URL", f"{server[0]}/{path.name}")
    (tmp_path / "file").touch()
    assert sources.find(None, tmp_path / "file").name == "digits"
    assert "cannot be written" in capsys.readouterr().err


def test_a_folder_that_tfds_did_not_finish_is_not_taken(prepared_cifar10, tmp_path):
    shutil.copytree(prepared_cifar10[0], tmp_path / "data")
    for name in ("3.0.10", "3.0.2.incompleteABC", "3.0.²"):
        shutil.copytree(prepared_cifar10[0] / "cifar10" / "3.0.2", tmp_path / "data" / "cifar10" / name)
    assert sources.find("cifar10", tmp_path / "data").where.endswith("3.0.10")


def test_the_archive_is_downloaded_checked_and_kept(archive, server, tmp_path, monkeypatch):
    path, _ = archive
    address, folder = server
    (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(cifar10, "ARCHIVE_URL", f"{address}/{path.name}")
    assert len(sources.find("cifar10", tmp_path / "data").read("train")) == 10
    assert [file.name for file in (tmp_path / "data" / "downloads").iterdir()] == [path.name]
    (folder / path.name).unlink()
    assert len(sources.find("cifar10", tmp_path / "data").read("train")) == 10


def test_a_damaged_download_is_not_kept(archive, server, tmp_path, monkeypatch):
    path, _ = archive
    address, folder = server
    (folder / path.name).write_bytes(path.read_bytes()[:-100])
    monkeypatch.setattr(cifar10, "ARCHIVE_URL", f"{address}/{path.name}")
    with pytest.raises(Problem, match="sent a damaged cifar-10-binary.tar.gz"):
        sources.find("cifar10", tmp_path / "data")
    assert list((tmp_path / "data" / "downloads").iterdir()) == []


def list_bucket(address, folder, files):
    """Write what Google's storage answers to a listing, for files that the same server holds."""
    items = []
    for file in files:
        (folder / file.name).write_bytes(file.read_bytes())
        digest = base64.b64encode(hashlib.md5(file.read_bytes()).digest()).decode()
        name, link = f"datasets/cifar10/3.0.2/{file.name}", f"{address}/{file.name}"
        items.append({"name": name, "size": str(file.stat().st_size), "md5Hash": digest, "mediaLink": link})
    (folder / "bucket").write_text(json.dumps({"items": items}))


def test_the_prepared_copy_is_fetched_from_the_bucket(prepared_cifar10, server, tmp_path, monkeypatch):
    root, arrays = prepared_cifar10
    list_bucket(*server, list((root / "cifar10" / "3.0.2").iterdir()))
    monkeypatch.setattr(download, "BUCKET", f"{server[0]}/bucket")
    read = sources.find(None, tmp_path / "data").read("test")
    np.testing.assert_array_equal(read.images, arrays["test"][0])
    assert [path.name for path in (tmp_path / "data" / "cifar10").iterdir()] == ["3.0.2"]


def test_a_damaged_file_of_the_bucket_is_never_used(prepared_cifar10, server, tmp_path, monkeypatch):
    list_bucket(*server, list((prepared_cifar10[0] / "cifar10" / "3.0.2").iterdir()))
    (server[1] / "features.json").write_text("{}")
    monkeypatch.setattr(download, "BUCKET", f"{server[0]}/bucket")
    with pytest.raises(Problem, match="damaged features.json"):
        sources.find("cifar10", tmp_path / "data")
    assert list((tmp_path / "data" / "cifar10").iterdir()) == []


def test_a_folder_of_the_user_is_never_replaced(prepared_cifar10, server, tmp_path, monkeypatch):
    list_bucket(*server, list((prepared_cifar10[0] / "cifar10" / "3.0.2").iterdir()))
    monkeypatch.setattr(download, "BUCKET", f"{server[0]}/bucket")
    folder = tmp_path / "data" / "cifar10" / "3.0.2"
    folder.mkdir(parents=True)
    (folder / "mine.txt").touch()
    with pytest.raises(Problem, match="cannot be written"):
        sources.find("cifar10", tmp_path / "data")
    assert [path.name for path in folder.iterdir()] == ["mine.txt"] and len(list(folder.parent.iterdir())) == 1
