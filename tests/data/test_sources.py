import functools
import hashlib
import http.server
import io
import json
import socket
import tarfile
import threading

import numpy as np
import pytest

from classify.command import Problem
from classify.data import download
from classify.data import sources as data


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No test reaches a real host: both addresses are a port on which nobody listens."""
    monkeypatch.setattr(download, "BUCKET", "http://127.0.0.1:9/bucket")
    monkeypatch.setattr(data, "ARCHIVE_URL", "http://127.0.0.1:9/cifar-10-binary.tar.gz?as-long-as-the-real-one")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A small CIFAR-10 look-alike that TFDS prepared, and its arrays by split."""
    import tensorflow_datasets as tfds

    rng = np.random.default_rng(1)
    arrays = {
        split: (rng.integers(0, 256, (n, 8, 8, 3), dtype="uint8"), rng.integers(0, 3, n))
        for split, n in (("train", 60), ("test", 21))
    }
    examples = {
        split: [(i, {"image": image, "label": int(label)}) for i, (image, label) in enumerate(zip(*pair, strict=True))]
        for split, pair in arrays.items()
    }
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(8, 8, 3)),
            "label": tfds.features.ClassLabel(names=["frog", "ship", "horse"]),
        }
    )
    root = tmp_path_factory.mktemp("tfds")
    tfds.dataset_builders.store_as_tfds_dataset(
        "cifar10", "3.0.2", features, split_datasets=examples, data_dir=root, disable_shuffling=True
    )
    return root, arrays


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
    monkeypatch.setattr(data, "ARCHIVE_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path, records


@pytest.fixture
def server(tmp_path):
    """A web server over an empty folder; returns its address and the folder."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", folder
        server.shutdown()


# Digits


def test_digits_are_scikit_learns_scaled_to_255():
    source = data.find("digits")
    test = source.read("test")
    assert source.class_names == tuple("0123456789") and not source.mirrored
    assert (len(source.read("train")), len(test)) == (1437, 360)
    assert test.images.shape == (360, 32, 32, 3) and test.images.dtype == np.uint8
    assert test.images.min() == 0 and test.images.max() == 255
    assert (test.images[..., 0] == test.images[..., 2]).all()
    np.testing.assert_allclose(np.bincount(test.labels), 36, atol=1)


# Splits


def test_validation_is_stratified_disjoint_and_the_same_each_time():
    source = data.find("digits")
    one, other = data.load(source, validation=0.2), data.load(source, validation=0.2)
    assert (len(one.train), len(one.validation), len(one.test)) == (1149, 288, 360)
    np.testing.assert_allclose(np.bincount(one.validation.labels), 28.8, atol=1)
    np.testing.assert_array_equal(one.validation.images, other.validation.images)
    together = np.concatenate([one.train.images, one.validation.images]).reshape(1437, -1)
    whole = source.read("train").images.reshape(1437, -1)
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(whole, axis=0))


def test_limit_takes_the_first_of_the_same_training_images():
    source = data.find("digits")
    whole, limited = data.load(source), data.load(source, limit=50)
    np.testing.assert_array_equal(limited.train.images, whole.train.images[:50])
    np.testing.assert_array_equal(limited.validation.images, whole.validation.images)
    assert len(limited.test) == 360


def test_no_validation_trains_on_everything():
    digits = data.load(data.find("digits"), validation=0)
    assert len(digits.train) == 1437 and len(digits.validation) == 0


def test_a_share_that_cannot_be_cut_is_a_problem():
    with pytest.raises(Problem, match="--validation 0.001"):
        data.load(data.find("digits"), validation=0.001)


def test_read_split_gives_the_splits_of_load():
    source = data.find("digits")
    loaded = data.load(source, validation=0.2)
    for name in ("train", "validation", "test"):
        read = data.read_split(source, name, validation=0.2)
        np.testing.assert_array_equal(read.images, getattr(loaded, name).images)
    with pytest.raises(Problem, match="no more split"):
        data.read_split(source, "more")


# A folder that TFDS prepared


@pytest.mark.parametrize("option", ["cifar10", "folder"])
def test_a_prepared_folder_is_read_to_the_byte_and_in_order(prepared, option):
    root, arrays = prepared
    source = data.find("cifar10", root) if option == "cifar10" else data.find(str(root / "cifar10" / "3.0.2"))
    assert source.name == "cifar10" and source.class_names == ("frog", "ship", "horse") and source.mirrored
    for split, (images, labels) in arrays.items():
        read = source.read(split)
        np.testing.assert_array_equal(read.images, images)
        np.testing.assert_array_equal(read.labels, labels)
        assert read.labels.dtype == np.int64


def test_the_environment_says_where_data_sets_are_prepared(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared[0]))
    assert len(data.find().read("test")) == 21


def test_a_damaged_record_is_a_problem_that_names_the_folder(prepared, tmp_path):
    import shutil

    folder = shutil.copytree(prepared[0] / "cifar10" / "3.0.2", tmp_path / "copy")
    records = next(folder.glob("*test.tfrecord*"))
    content = bytearray(records.read_bytes())
    content[len(content) // 2] ^= 255
    records.write_bytes(content)
    with pytest.raises(Problem, match="copy.*test split cannot be read"):
        data.find(str(folder)).read("test")
    records.unlink()
    with pytest.raises(Problem, match="copy"):
        data.find(str(folder)).read("test")


@pytest.mark.parametrize("content", [None, "{", "{}", "[]"])
def test_a_folder_that_tfds_did_not_prepare_is_a_problem(content, tmp_path):
    if content is not None:
        (tmp_path / "dataset_info.json").write_text(content)
    with pytest.raises(Problem, match="TFDS prepared"):
        data.find(str(tmp_path))


# The archive


def test_the_archive_is_read_in_its_layout(archive):
    path, records = archive
    source = data.find(str(path))
    train, test = source.read("train"), source.read("test")
    assert source.name == "cifar10" and source.class_names == ("frog", "ship") and len(train) == 10
    third = records["data_batch_2.bin"][0]
    np.testing.assert_array_equal(train.images[2].transpose(2, 0, 1).ravel(), third[1:])
    np.testing.assert_array_equal(test.labels, [0, 1, 0])


def test_another_archive_is_refused(archive):
    path, _ = archive
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Problem, match="SHA-256"):
        data.find(str(path))


@pytest.mark.parametrize("name", ["nowhere", "notes.txt", "mnist"])
def test_what_is_no_data_set_is_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(Problem, match=name):
        data.find(name)


# Where CIFAR-10 comes from


def test_without_a_host_digits_are_taken_loudly(tmp_path, capsys):
    assert data.find(None, tmp_path).name == "digits"
    said = capsys.readouterr().err
    assert "CIFAR-10 could not be loaded" in said and "now trains on digits" in said
    assert "--data path/to/cifar-10-binary.tar.gz" in said and "127.0.0.1:9 did not answer" in said
    assert max(map(len, said.splitlines())) <= 80


def test_the_explanation_fits_80_columns():
    reasons = "; ".join(
        f"{host} did not answer within 9 s" for host in ("storage.googleapis.com", "www.cs.toronto.edu")
    )
    assert max(map(len, data._explain(reasons).splitlines())) <= 80


def test_cifar10_written_out_never_falls_back(tmp_path):
    with pytest.raises(Problem, match="(?s)CIFAR-10 could not be loaded.*--data-dir") as problem:
        data.find("cifar10", tmp_path)
    assert problem.value.status == 1
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_folder_that_cannot_be_written_is_said_and_digits_are_taken(archive, server, tmp_path, monkeypatch, capsys):
    path, _ = archive
    (server[1] / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(data, "ARCHIVE_URL", f"{server[0]}/{path.name}")
    (tmp_path / "file").touch()
    assert data.find(None, tmp_path / "file").name == "digits"
    assert "cannot be written" in capsys.readouterr().err


def test_a_folder_that_tfds_did_not_finish_is_not_taken(prepared, tmp_path):
    import shutil

    shutil.copytree(prepared[0], tmp_path / "data")
    for name in ("3.0.10", "3.0.2.incompleteABC"):
        shutil.copytree(prepared[0] / "cifar10" / "3.0.2", tmp_path / "data" / "cifar10" / name)
    assert data.find("cifar10", tmp_path / "data").where.endswith("3.0.10")


def test_a_host_that_never_answers_is_given_up(tmp_path, monkeypatch):
    assert 2 * download.PATIENCE < 20
    monkeypatch.setattr(download, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(download.Unreachable, match="did not answer within 0.3 s"):
            download.fetch_file(f"{address}/archive", tmp_path / "archive", "CIFAR-10", hashlib.sha256(), "")


def test_the_archive_is_downloaded_checked_and_kept(archive, server, tmp_path, monkeypatch):
    path, _ = archive
    address, folder = server
    (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(data, "ARCHIVE_URL", f"{address}/{path.name}")
    assert len(data.find("cifar10", tmp_path / "data").read("train")) == 10
    assert [file.name for file in (tmp_path / "data" / "downloads").iterdir()] == [path.name]
    (folder / path.name).unlink()
    assert len(data.find("cifar10", tmp_path / "data").read("train")) == 10


def test_a_damaged_download_is_not_kept(archive, server, tmp_path, monkeypatch):
    path, _ = archive
    address, folder = server
    (folder / path.name).write_bytes(path.read_bytes()[:-100])
    monkeypatch.setattr(data, "ARCHIVE_URL", f"{address}/{path.name}")
    with pytest.raises(Problem, match="sent a damaged cifar-10-binary.tar.gz"):
        data.find("cifar10", tmp_path / "data")
    assert list((tmp_path / "data" / "downloads").iterdir()) == []


def list_bucket(address, folder, files):
    """Write what Google's storage answers to a listing, for files that the same server holds."""
    import base64

    items = []
    for file in files:
        (folder / file.name).write_bytes(file.read_bytes())
        digest = base64.b64encode(hashlib.md5(file.read_bytes()).digest()).decode()
        name, link = f"datasets/cifar10/3.0.2/{file.name}", f"{address}/{file.name}"
        items.append({"name": name, "size": str(file.stat().st_size), "md5Hash": digest, "mediaLink": link})
    (folder / "bucket").write_text(json.dumps({"items": items}))


def test_the_prepared_copy_is_fetched_from_the_bucket(prepared, server, tmp_path, monkeypatch):
    root, arrays = prepared
    list_bucket(*server, list((root / "cifar10" / "3.0.2").iterdir()))
    monkeypatch.setattr(download, "BUCKET", f"{server[0]}/bucket")
    read = data.find(None, tmp_path / "data").read("test")
    np.testing.assert_array_equal(read.images, arrays["test"][0])
    assert [path.name for path in (tmp_path / "data" / "cifar10").iterdir()] == ["3.0.2"]


def test_a_damaged_file_of_the_bucket_is_never_used(prepared, server, tmp_path, monkeypatch):
    list_bucket(*server, list((prepared[0] / "cifar10" / "3.0.2").iterdir()))
    (server[1] / "features.json").write_text("{}")
    monkeypatch.setattr(download, "BUCKET", f"{server[0]}/bucket")
    with pytest.raises(Problem, match="damaged features.json"):
        data.find("cifar10", tmp_path / "data")
    assert list((tmp_path / "data" / "cifar10").iterdir()) == []


def test_a_bucket_that_answers_something_else_is_unreachable(server, tmp_path, monkeypatch):
    (server[1] / "bucket").write_text("<html>please log in</html>")
    monkeypatch.setattr(download, "BUCKET", f"{server[0]}/bucket")
    with pytest.raises(download.Unreachable, match="does not list"):
        download.fetch_prepared("cifar10/3.0.2", tmp_path)
