"""A frozen network's features of images: computed once, kept on disk shard by shard.

The network never changes, so neither does its answer to an image. A shard's file name says what it was computed
from and its checksum. So a finished shard is never computed twice, a killed extraction goes on where it
stopped, and a damaged or foreign file is never used.
"""

import functools
import hashlib
import io
import json
import threading
import zlib
from pathlib import Path

import numpy as np

from classify.command import note
from classify.data.store import Shards
from classify.files import clear, each_locked, make_folder, whole
from classify.progress import track
from classify.training.batches import Batches, random_stream
from classify.training.loop import dtype_policy
from models.inception import describe_trunk, trunk

CACHE = Path("features")
SHARD = 1000  # images; 8 MB of 2,048 float32 features each
BATCH_SIZE = 50  # the activations of a layer then stay near the size of the processor's cache


class Extractor:
    """Computes a model's pooled features, with its batch normalization folded away, in a precision.

    Args:
        model: from ``build_inception``.
        precision: ``"float32"`` or ``"bfloat16"``; features are float32 either way.
        cache: the folder that shards are kept in.
        pause: called after each batch; what it raises ends the extraction, and every shard that is finished stays.
    """

    def __init__(self, model, precision, cache=CACHE, pause=lambda: None):
        self.model, self.precision, self.pause = model, precision, pause
        self.width = model.get_layer("pooling").output.shape[-1]
        digest = hashlib.sha256(json.dumps([precision, describe_trunk(model)]).encode())
        for weight in model.get_layer("inception_v3").get_weights():
            digest.update(weight)
        self.folder = Path(cache) / digest.hexdigest()[:16]

    @functools.cached_property
    def network(self):
        """What computes features of images; it is built when the first of them is missing."""
        with dtype_policy(self.precision):
            return trunk(self.model)

    def extract(self, images, name):
        """Return the features of images, float32 rows of 2,048, computing only what is not kept yet.

        Args:
            images: ``Images``, uint8 of shape (N, H, W, 3). A batch of them at a time is in memory.
            name: which images they are, for the bar: 'train'.
        """
        make_folder(self.folder)
        blocks = [np.arange(first, min(first + SHARD, len(images))) for first in range(0, len(images), SHARD)]
        keys = [_key(images, rows) for rows in blocks]
        files = {key: self._kept(key, len(rows)) for key, rows in zip(keys, blocks, strict=True)}
        missing = {key: rows for key, rows in zip(keys, blocks, strict=True) if files[key] is None}
        if missing:
            n = sum(map(len, missing.values()))
            size = f"{n * self.width * 4 / 1e6:,.0f} MB"
            note(f"features of {n:,} {name} images, {size}; delete {self.folder.parent} to free the space")
            for _ in track(self._compute(images, missing, files), n, name, size=int):
                self.pause()
        return Shards([Kept(files[key], len(rows), self.width) for key, rows in zip(keys, blocks, strict=True)])

    def _kept(self, key, count):
        """Return the path of a whole shard of so many rows, or None; a damaged one is named and removed."""
        for path in self.folder.glob(f"{key}-*.npy"):
            content = path.read_bytes()
            size = len(_header(count, self.width)) + 4 * count * self.width
            whole_rows = len(content) == size and content.startswith(_header(count, self.width))
            if whole_rows and path.name == f"{key}-{zlib.crc32(content):08x}.npy":
                return path
            note(f"{path} is damaged; it is computed again")
            path.unlink()
        return None

    def _compute(self, images, missing, files):
        """Compute the missing shards, note their paths in ``files``, and yield the number of images after each batch.

        ``missing`` holds the rows of each shard by its key. A shard that another process is at is waited for.
        """
        locks = {self.folder / f".{key}.lock": key for key in missing}
        for lock in each_locked(locks):
            key = locks[lock]
            clear(self.folder, f"{key}-*")
            rows, features = missing[key], []
            files[key] = self._kept(key, len(rows))
            if files[key]:
                yield len(rows)
                continue
            for batch in _batches(rows):
                features.append(self.network.predict_on_batch(images[batch]))
                yield len(features[-1])
            files[key] = self._keep(key, np.concatenate(features))

    def _keep(self, key, features):
        content = io.BytesIO()
        np.save(content, features)
        path = self.folder / f"{key}-{zlib.crc32(content.getbuffer()):08x}.npy"
        with whole(path) as beside:
            beside.write_bytes(content.getbuffer())
        return path


class Kept:
    """The rows of a shard, read when they are asked for: what is memory-mapped would count as this program's memory.

    Its file stays open, so it can be deleted meanwhile.
    """

    dtype = np.dtype("float32")

    def __init__(self, path, count, width):
        self.file = open(path, "rb", buffering=0)  # noqa: SIM115
        self.lock = threading.Lock()  # a file has one place to read at
        self.shape = count, width
        self.first = len(_header(count, width))

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, row):
        features = np.empty(self.shape[1], self.dtype)
        with self.lock:
            self.file.seek(self.first + features.nbytes * row)
            self.file.readinto(features)
        return features


@functools.cache
def _header(count, width):
    """Return how the file of a shard begins: NumPy's description of so many rows."""
    file = io.BytesIO()
    description = {"descr": "<f4", "fortran_order": False, "shape": (count, width)}
    np.lib.format.write_array_header_1_0(file, description)
    return file.getvalue()


def _batches(rows):
    return (rows[first : first + BATCH_SIZE] for first in range(0, len(rows), BATCH_SIZE))


def _key(images, rows):
    """Return 32 hexadecimal digits of the images' SHA-256."""
    digest = hashlib.sha256()
    for batch in _batches(rows):
        digest.update(np.ascontiguousarray(images[batch]))
    return digest.hexdigest()[:32]


class Mirrored:
    """``Images`` seen in a mirror."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        return self.images[rows][:, :, ::-1]


class FeatureBatches(Batches):
    """``Batches`` of features instead of images; with ``mirrored`` half of them are those of the mirrored image.

    Args:
        split: a ``Split`` whose images are features.
        mirrored: the features of the mirrored images, or None.
        class_weight: as ``Batches`` takes it.
    """

    def __init__(self, split, classes, batch_size, seed=0, mirrored=None, class_weight=None):
        super().__init__(split, classes, batch_size, seed, augment=False, mirror=False, class_weight=class_weight)
        self.mirrored_features = mirrored

    def batch(self, epoch, step, part=slice(None)):
        """Return features, float32 of shape (N, 2048), and labels and weights as ``Batches`` has them."""
        features, *others = super().batch(epoch, step, part)
        if self.mirrored_features is not None:
            rows = self.rows(epoch, step)
            chosen = (random_stream("mirrored features", self.seed, epoch, step).random(len(rows)) < 0.5)[part]
            features[chosen] = self.mirrored_features[rows[part][chosen]]
        return features, *others
