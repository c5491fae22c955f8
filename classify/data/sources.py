"""Where labelled images come from: CIFAR-10, digits, a folder that TFDS prepared, an archive; and their splits."""

import dataclasses
import hashlib
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from classify.command import Problem, note
from classify.data.download import Unreachable, fetch_file, fetch_prepared

SPLIT_SEED = 0  # one for all runs, so that validation figures of different seeds are of the same images
TITLES = {"cifar10": "CIFAR-10"}
NOT_MIRRORED = {"digits"}  # a mirrored 2 is no 2

ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"


@dataclasses.dataclass(frozen=True)
class Split:
    """Images, uint8 of shape (N, H, W, 3), and their labels, int64 of shape (N,)."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    def take(self, rows):
        return Split(self.images[rows], self.labels[rows])


@dataclasses.dataclass(frozen=True)
class Source:
    """A labelled data set that has been found and not yet read.

    ``name`` is what runs call it, ``option`` what ``--data`` takes to find it again, ``where`` says to a person
    where it lies, ``splits`` names its splits and ``read(split)`` returns a ``Split``.
    """

    name: str
    option: str
    where: str
    class_names: tuple[str, ...]
    splits: tuple[str, ...]
    read: Callable[[str], Split]

    @property
    def title(self):
        return TITLES.get(self.name, self.name)

    @property
    def mirrored(self):
        """Whether training may mirror its images."""
        return self.name not in NOT_MIRRORED


@dataclasses.dataclass(frozen=True)
class Data:
    """A data set read for training: its source and three splits; ``validation`` has no images if none were cut."""

    source: Source
    train: Split
    validation: Split
    test: Split

    @property
    def class_names(self):
        return self.source.class_names

    @property
    def image_shape(self):
        return self.train.images.shape[1:]

    def __str__(self):
        parts = ((self.train, "train"), (self.validation, "validation"), (self.test, "test"))
        counts = " · ".join(f"{len(split):,} {name}" for split, name in parts if len(split))
        return f"{self.source.title}   {counts}\n{'from':{len(self.source.title)}}   {self.source.where}"


def find(data=None, data_dir=None):
    """Return the ``Source`` that ``--data`` names.

    Args:
        data: ``cifar10``, ``digits``, a folder that TFDS prepared, a ``cifar-10-binary.tar.gz``, or None, which
            is CIFAR-10 and, where that cannot be had, digits with a loud word about it.
        data_dir: where TFDS data sets are prepared; None is TFDS's own default.

    Raises:
        Problem: it is not there or cannot be had.
    """
    if data == "digits":
        return _digits()
    if data in (None, "cifar10"):
        try:
            return _cifar10(data_dir)
        except Unreachable as error:
            if data:
                raise Problem(_explain(error)) from error
            note(f"\n{_explain(error)}\nThis run now trains on digits, so that you can try the rest.\n")
            return _digits()
    path = Path(os.path.expanduser(data))
    if path.is_dir():
        return _prepared(path)
    if path.name.endswith(".tar.gz") and path.is_file():
        return _archive(path)
    if path.exists():
        raise Problem(f"{data} is neither a folder that TFDS prepared nor a {ARCHIVE}")
    raise Problem(f"there is no data set {data}: --data takes cifar10, digits, a TFDS folder or a {ARCHIVE}")


def load(source, validation=0.1, limit=None):
    """Read a source whole, as ``Data``.

    Args:
        source: a ``Source`` with a train and a test split.
        validation: the share of the train split that becomes validation, stratified, by a fixed seed; 0 for none.
        limit: keep only the first so many of the training images that remain, if given.

    Raises:
        Problem: a split is missing, damaged, or too small to be cut so.
    """
    for name in ("train", "test"):
        if name not in source.splits:
            raise Problem(f"{source.title} has no {name} split, so it cannot be trained on ({source.where})")
    train, held_out = _cut(source.read("train"), validation)
    return Data(source, train.take(slice(limit)), held_out, source.read("test"))


def read_split(source, split, validation=0.1):
    """Read one split, 'train', 'validation' or 'test', as ``load`` cuts it."""
    name = "train" if split == "validation" else split
    if name not in source.splits:
        raise Problem(f"{source.title} has no {name} split ({source.where})")
    if name == "test":
        return source.read(name)
    train, held_out = _cut(source.read(name), validation)
    return held_out if split == "validation" else train


def _cut(train, validation):
    """Return the train split's (training, validation) parts, both in a seeded random order."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(train))
    if validation == 0:
        return train.take(np.random.default_rng(SPLIT_SEED).permutation(rows)), train.take([])
    try:
        training, held_out = train_test_split(
            rows, test_size=validation, stratify=train.labels, random_state=SPLIT_SEED
        )
    except ValueError as error:
        raise Problem(f"--validation {validation:g} of {len(train)} images cannot be cut: {error}") from error
    return train.take(training), train.take(held_out)


def _digits():
    """scikit-learn's 1,797 digits, 8x8 pixels of 0 to 16, as 32x32 RGB of 0 to 255; a fifth of them is test."""
    from PIL import Image
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    def read(split):
        digits = load_digits()
        grey = np.rint(digits.images * (255 / 16)).astype("uint8")
        larger = [np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR)) for image in grey]
        images = np.repeat(np.stack(larger)[..., None], 3, axis=-1)
        rows = train_test_split(np.arange(len(images)), test_size=0.2, stratify=digits.target, random_state=SPLIT_SEED)
        rows = rows[("train", "test").index(split)]
        return Split(images[rows], digits.target[rows].astype("int64"))

    return Source("digits", "digits", "scikit-learn", tuple("0123456789"), ("train", "test"), read)


def _cifar10(data_dir):
    """CIFAR-10 from the prepared copy, the archive fetched before, TFDS's bucket or its host, in this order."""
    folder = Path(os.path.expanduser(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"))
    prepared = sorted(filter(_version, folder.glob("cifar10/*/dataset_info.json")), key=_version)
    if prepared:
        return _prepared(prepared[-1].parent, option="cifar10")
    archive = folder / "downloads" / ARCHIVE
    if archive.is_file():
        return _archive(archive, option="cifar10")
    try:
        return _prepared(fetch_prepared("cifar10/3.0.2", folder), option="cifar10")
    except Unreachable as bucket:
        try:
            fetch_file(ARCHIVE_URL, archive, "CIFAR-10", hashlib.sha256(), ARCHIVE_SHA256)
            return _archive(archive, option="cifar10")
        except Unreachable as host:
            raise Unreachable(f"{bucket}; {host}") from host


def _version(info_file):
    """The version that a prepared folder is named by, as numbers; none for a folder of another name."""
    parts = info_file.parent.name.split(".")
    return [int(part) for part in parts] if all(part.isdigit() for part in parts) else []


def _explain(error):
    reasons = "".join(f"  {reason}\n" for reason in str(error).split("; "))
    return (
        f"CIFAR-10 could not be loaded:\n{reasons}"
        "Its hosts are often slow or down. Any of these helps:\n"
        f"  · download, in a browser,\n    {ARCHIVE_URL}\n"
        f"    and pass  --data path/to/{ARCHIVE}\n"
        "  · pass --data-dir with a folder where TFDS has prepared it before\n"
        "  · try everything else first with  --data digits  (no network needed)"
    )


def _prepared(folder, option=None):
    """A data set that TFDS prepared in ``folder``: one image and one class label an example."""
    if not (folder / "dataset_info.json").is_file():
        raise Problem(f"{folder} is not a folder that TFDS prepared: it has no dataset_info.json")
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
        features = builder.info.features
        image = next(name for name, kind in features.items() if isinstance(kind, tfds.features.Image))
        label = next(name for name, kind in features.items() if isinstance(kind, tfds.features.ClassLabel))
        shape = features[image].shape
        class_names = tuple(features[label].names)
    except Exception as error:  # whatever a stranger's folder makes TFDS raise
        raise Problem(f"{folder} is not a data set of images with one class label each that TFDS prepared") from error
    if None in shape[:2]:
        raise Problem(f"the images in {folder} differ in size; images of one size are needed")

    def read(split):
        return _read_prepared(builder, split, image, label, shape)

    where = f"TFDS, {_short(folder)}"
    return Source(builder.name, option or str(folder.resolve()), where, class_names, tuple(builder.info.splits), read)


def _read_prepared(builder, split, image, label, shape):
    """Decode a split in parallel batches, straight into one array: 50,000 CIFAR-10 images take about two seconds."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def decode(batch):
        images = tf.map_fn(
            lambda file: tf.io.decode_image(file, channels=3, expand_animations=False),
            batch[image],
            fn_output_signature=tf.TensorSpec((*shape[:2], 3), tf.uint8),
        )
        return images, batch[label]

    n = builder.info.splits[split].num_examples
    images, labels = np.empty((n, *shape[:2], 3), "uint8"), np.empty(n, "int64")
    done = 0
    try:
        files = builder.as_dataset(split=split, decoders={image: tfds.decode.SkipDecoding()}, batch_size=1024)
        for decoded, classes in files.map(decode, num_parallel_calls=tf.data.AUTOTUNE):
            rows = slice(done, done + len(classes))
            images[rows], labels[rows] = decoded, classes
            done += len(classes)
    except (tf.errors.OpError, AssertionError, OSError, ValueError) as error:
        raise Problem(f"{builder.data_path}: the {split} split cannot be read; prepare it anew") from error
    if done != n:
        raise Problem(f"{builder.data_path}: the {split} split has {done} of its {n} images; prepare it anew")
    return Split(images, labels)


def _archive(path, option=None):
    """The official binary archive: files of records, one label byte and 3x32x32 pixel bytes each."""
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != ARCHIVE_SHA256:
        raise Problem(f"{path} is not the official {ARCHIVE}: its SHA-256 is {found[:12]}…, not {ARCHIVE_SHA256[:12]}…")

    folder = "cifar-10-batches-bin"
    batches = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}

    def read_files(names):
        with tarfile.open(path) as archive:
            return [archive.extractfile(f"{folder}/{name}").read() for name in names]

    def read(split):
        records = np.frombuffer(b"".join(read_files(batches[split])), "uint8").reshape(-1, 1 + 3 * 32 * 32)
        pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return Split(np.ascontiguousarray(pixels), records[:, 0].astype("int64"))

    class_names = tuple(read_files(["batches.meta.txt"])[0].decode().split())
    return Source("cifar10", option or str(path.resolve()), _short(path), class_names, ("train", "test"), read)


def _short(path):
    """Return a path with the home folder as ~."""
    path = Path(path).absolute()
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)
