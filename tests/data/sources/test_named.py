import base64
import hashlib
import io
import json
import re
import shutil
import socket
import tarfile
import threading

import numpy as np
import pytest
from PIL import Image

from classify.command import Problem
from classify.data import download, sources, store
from classify.data.sources import named


@pytest.fixture(scope="session")
def builders():
    """Two data sets of TFDS: pictures in an archive that a host has, and one that is to be downloaded by hand.

    The first has grey images of 6x6 pixels, or in its configuration ``sizes`` coloured ones of many sizes.
    """
    import tensorflow_datasets as tfds

    class ToyPictures(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("grey", "sizes")]
        url = None  # set by the test

        def _info(self):
            shape = (6, 6, 1) if self.builder_config.name == "grey" else (None, None, 3)
            label = tfds.features.ClassLabel(names=["cat", "dog", "fox"])
            features = {
                "image": tfds.features.Image(shape=shape),
                "label": label,
                "parity": tfds.features.ClassLabel(num_classes=2),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
            )

        def _split_generators(self, dl_manager):
            folder = dl_manager.download_and_extract(self.url)
            return {split: self._generate_examples(folder / split) for split in ("train", "test")}

        def _generate_examples(self, folder):
            for file in sorted(folder.glob("*.png")):
                number = int(file.stem)
                yield number, {"image": file, "label": number % 3, "parity": number % 2}

    class ToyManual(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        MANUAL_DOWNLOAD_INSTRUCTIONS = "Ask the author."

        def _info(self):
            features = {"image": tfds.features.Image(shape=(6, 6, 3)), "label": tfds.features.ClassLabel(num_classes=2)}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(dl_manager.manual_dir)}

        def _generate_examples(self, folder):
            yield from ()

    class ToyTexts(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict({"text": tfds.features.Text()})
            )

        def _split_generators(self, dl_manager):
            raise AssertionError("texts are not to be downloaded")

        def _generate_examples(self, folder):
            yield from ()

    return ToyPictures


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """No test reaches a real host: the bucket is a port on which nobody listens."""
    monkeypatch.setattr(download, "BUCKET", "http://127.0.0.1:9/bucket")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(tmp_path)


def archive(path, images):
    """Write the pictures of each split as the host has them."""
    with tarfile.open(path, "w:gz") as tar:
        for split, pictures in images.items():
            for number, pixels in enumerate(pictures):
                file = io.BytesIO()
                Image.fromarray(pixels).save(file, "png")
                member = tarfile.TarInfo(f"{split}/{number}.png")
                member.size = file.tell()
                file.seek(0)
                tar.addfile(member, file)


@pytest.fixture
def grey(rng):
    return {split: rng.integers(0, 256, (n, 6, 6), "uint8") for split, n in (("train", 12), ("test", 6))}


@pytest.fixture
def host(builders, server, grey, monkeypatch):
    """The host of the data set: its archive in the folder of a web server."""
    archive(server[1] / "toy.tar.gz", grey)
    monkeypatch.setattr(builders, "url", f"{server[0]}/toy.tar.gz")
    return server


def by_image(split):
    """The labels by the images' bytes, since TFDS shuffles what it prepares."""
    images = split.images[np.arange(len(split))]
    return {image.tobytes(): int(label) for image, label in zip(images, split.labels, strict=True)}


def test_a_data_set_is_downloaded_prepared_and_kept(host, grey, tmp_path, capfd):
    for found in ("downloaded", "prepared"):
        source = sources.find("toy_pictures", tmp_path / "data")
        assert source.name == "toy_pictures-grey" and source.option == "toy_pictures"
        assert source.class_names == ("cat", "dog", "fox") and (source.shape, source.side) == ((6, 6), 6)
        for split, images in grey.items():
            in_colour = np.repeat(images[..., None], 3, axis=-1)
            expected = {image.tobytes(): number % 3 for number, image in enumerate(in_colour)}
            assert by_image(source.read(split, None)) == expected, found
        (host[1] / "toy.tar.gz").unlink(missing_ok=True)
    out, err = capfd.readouterr()
    assert out == "" and err.count("for toy_pictures") == 2 and len(err.splitlines()) == 2


def test_a_label_is_chosen_by_its_name(host, tmp_path):
    source = sources.find("toy_pictures", tmp_path / "data", label="parity")
    assert source.class_names == ("0", "1") and set(source.read("train", None).labels) == {0, 1}


def test_the_prepared_copy_of_the_bucket_comes_first(host, grey, tmp_path, monkeypatch):
    sources.find("toy_pictures", tmp_path / "first")
    (host[1] / "toy.tar.gz").unlink()
    pages, files = [], sorted((tmp_path / "first" / "toy_pictures" / "grey" / "1.0.0").iterdir())
    for file in files:
        shutil.copy(file, host[1])
        digest = base64.b64encode(hashlib.md5(file.read_bytes()).digest()).decode()
        name, link = f"datasets/toy_pictures/grey/1.0.0/{file.name}", f"{host[0]}/{file.name}"
        pages.append({"name": name, "size": str(file.stat().st_size), "md5Hash": digest, "mediaLink": link})
    asked = list_in_pages(monkeypatch, pages)
    source = sources.find("toy_pictures", tmp_path / "data")
    assert len(source.read("train", None)) == 12 and len(asked) == len(files)
    assert "prefix=datasets/toy_pictures/grey/1.0.0/" in asked[0] and "pageToken=1" in asked[1]


def list_in_pages(monkeypatch, items):
    """Let the bucket list one file a page; return the addresses it was asked for."""
    former, asked = download.connect, []

    def connect(url):
        if not url.startswith(download.BUCKET):
            return former(url)
        asked.append(url)
        page = int((re.search(r"pageToken=(\d+)", url) or [0, 0])[1])
        further = {"nextPageToken": str(page + 1)} if page + 1 < len(items) else {}
        return io.BytesIO(json.dumps({"items": [items[page]]} | further).encode())

    monkeypatch.setattr(download, "connect", connect)
    return asked


def test_images_of_many_sizes_come_from_a_store(host, rng, tmp_path, monkeypatch, capsys):
    # One colour each, so that they stay the same at another size.
    sizes = [(30, 40), (50, 20), (64, 64), (25, 90), (33, 33)]
    images = {
        split: [np.full((*size, 3), 10 * n, "uint8") for n, size in enumerate(sizes)] for split in ("train", "test")
    }
    archive(host[1] / "toy.tar.gz", images)
    source = sources.find("toy_pictures/sizes", tmp_path / "data")
    assert source.name == "toy_pictures-sizes" and source.shape is None and source.side == 30
    read = source.read("train", 16)
    expected = {np.full((16, 16, 3), 10 * n, "uint8").tobytes(): n % 3 for n in range(5)}
    assert by_image(read) == expected and store.ROOT.is_dir()
    capsys.readouterr()
    monkeypatch.setattr("classify.data.pictures.load", None)  # the second time nothing is decoded
    again = sources.find("toy_pictures/sizes", tmp_path / "data").read("train", 16)
    assert by_image(again) == expected and capsys.readouterr().err == ""


def test_images_that_cannot_be_decoded_are_left_out_and_said(host, tmp_path, capsys):
    broken = host[1] / "toy.tar.gz"
    archive(broken, {"train": [np.zeros((9, 9, 3), "uint8")] * 3, "test": [np.zeros((9, 9, 3), "uint8")]})
    source = sources.find("toy_pictures/sizes", tmp_path / "data")
    records = next((tmp_path / "data" / "toy_pictures" / "sizes" / "1.0.0").glob("*train*"))
    damage_pictures(records)
    assert list(sources.find("toy_pictures/sizes", tmp_path / "data").read("train", 8).labels) == []
    assert "3 of the 3 images of the train split cannot be read; left out" in capsys.readouterr().err
    assert source.side == 9


def damage_pictures(records):
    """Write the examples of a file again, their pictures' first bytes damaged."""
    import tensorflow as tf

    examples = [
        record.replace(b"\x89PNG", b"\x89PIG") for record in tf.data.TFRecordDataset(str(records)).as_numpy_iterator()
    ]
    with tf.io.TFRecordWriter(str(records)) as writer:
        for example in examples:
            writer.write(example)


def test_silent_hosts_are_given_up(builders, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(download, "BUCKET", f"{address}/bucket")
        monkeypatch.setattr(builders, "url", f"{address}/toy.tar.gz")
        with pytest.raises(
            Problem, match=r"toy_pictures could not be loaded: .*did not answer within 0.2 s; .*0.2 s\. Try"
        ):
            sources.find("toy_pictures", tmp_path / "data")
    assert not list((tmp_path / "data").rglob("dataset_info.json"))


def test_a_host_that_stops_sending_is_given_up(builders, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=send_half, args=(listening,), daemon=True).start()
        monkeypatch.setattr(builders, "url", f"http://127.0.0.1:{listening.getsockname()[1]}/toy.tar.gz")
        with pytest.raises(Problem, match="stopped sending"):
            sources.find("toy_pictures", tmp_path / "data")


def send_half(listening):
    connection, _ = listening.accept()
    connection.recv(1000)
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of it")
    threading.Event().wait(1)
    connection.close()


def test_an_archive_that_tfds_cannot_use_is_a_line(host, tmp_path):
    (host[1] / "toy.tar.gz").write_bytes(b"no archive")
    with pytest.raises(Problem, match="TFDS could not prepare toy_pictures: .*catalog/toy_pictures") as problem:
        sources.find("toy_pictures", tmp_path / "data")
    assert len(str(problem.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("toy_manual", "toy_manual must be downloaded by hand, into .*manual; see https"),
        ("toy_texts", "toy_texts is not a data set of images"),
        ("toy_picture", "did you mean toy_pictures"),
        ("toy_pictures/none", "TFDS cannot make toy_pictures/none: .*not found"),
        ("toy_pictures:7.0.0", "TFDS cannot make toy_pictures:7.0.0: "),
        ("toy pictures", "there is no data set toy pictures: --data takes"),
        ("kaggle:toy", "there is no data set kaggle:toy"),
    ],
)
def test_a_name_that_cannot_be_used_is_a_line(builders, name, message, tmp_path):
    with pytest.raises(Problem, match=message) as problem:
        sources.find(name, tmp_path / "data")
    assert len(str(problem.value).splitlines()) == 1


def test_a_label_that_is_not_there_is_said_before_the_download(builders, tmp_path, monkeypatch):
    monkeypatch.setattr(builders, "url", "http://127.0.0.1:9/toy.tar.gz")
    with pytest.raises(Problem, match="has no class label rough; it has label, parity"):
        sources.find("toy_pictures", tmp_path / "data", label="rough")


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("cifar100", "www.cs.toronto.edu"),
        ("svhn_cropped", "ufldl.stanford.edu"),
        ("tf_flowers", "download.tensorflow.org"),
        ("fashion_mnist", "fashion-mnist.s3-website.eu-central-1.amazonaws.com"),
    ],
)
def test_the_names_that_the_documentation_gives_are_asked_of_the_bucket_and_their_hosts(
    name, host, tmp_path, monkeypatch
):
    asked = []

    def connect(url):
        asked.append(url)
        raise download.Unreachable("no test asks a real host")

    monkeypatch.setattr(download, "connect", connect)
    with pytest.raises(Problem, match=f"{name} could not be loaded"):
        sources.find(name, tmp_path / "data")
    assert f"prefix=datasets/{name}/" in asked[0] and host in asked[1]


def test_one_download_that_fails_ends_the_others(server, monkeypatch):
    """A data set may be hundreds of files; each would be waited for."""
    from tensorflow_datasets.core.download import downloader

    former, asked = downloader._open_url, []
    (server[1] / "a file").write_bytes(bytes(200_000))
    monkeypatch.setattr(download, "ask", lambda url, title: asked.append(url))
    with named._patient("toy"):
        with downloader._open_url(f"{server[0]}/a file") as (response, content):
            assert response.headers["Content-Length"] == "200000" and len(next(content)) == 1 << 16
            with pytest.raises(download.Unreachable, match="404"), downloader._open_url(f"{server[0]}/missing"):
                pass
            assert list(content) == []
        with pytest.raises(download.Unreachable, match="another"), downloader._open_url(f"{server[0]}/a file"):
            pass
    assert downloader._open_url is former and asked == [f"{server[0]}/a%20file"]
