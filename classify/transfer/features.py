"""A frozen network's features of images: computed once, kept on disk shard by shard.

The network never changes, so neither does its answer to an image. A shard's file name says what it was computed
from and its checksum. So a finished shard is never computed twice, a killed extraction goes on where it
stopped, and a damaged or foreign file is never used.
"""

import hashlib
import io
import zlib
from pathlib import Path

import keras
import numpy as np
from keras import layers

from classify.command import note
from classify.data.store import Shards
from classify.files import clear, each_locked, make_folder, whole
from classify.progress import track
from classify.training.batches import Batches, random_stream
from classify.training.loop import dtype_policy
from models.inception import fold, front, front_of

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
        self.pause = pause
        base, (image_shape, upsampling, interpolation) = model.get_layer("inception_v3"), front_of(model)
        with dtype_policy(precision):
            self.network = keras.Sequential(
                [
                    *front(image_shape, upsampling, interpolation),
                    fold(base),
                    layers.GlobalAveragePooling2D(dtype="float32"),
                ]
            )
        digest = hashlib.sha256(repr((precision, (upsampling, upsampling), interpolation)).encode())
        for weight in base.get_weights():
            digest.update(weight)
        self.folder = Path(cache) / digest.hexdigest()[:16]

    def extract(self, images, name):
        """Return the features of images, float32 rows of 2,048, computing only what is not kept yet.

        Args:
            images: ``Images``, uint8 of shape (N, H, W, 3). A batch of them at a time is in memory.
            name: which images they are, for the bar: 'train'.
        """
        make_folder(self.folder)
        width = self.network.output_shape[-1]
        blocks = [np.arange(first, min(first + SHARD, len(images))) for first in range(0, len(images), SHARD)]
        keys = [_key(images, rows) for rows in blocks]
        files = {key: self._kept(key) for key in keys}
        missing = {key: rows for key, rows in zip(keys, blocks, strict=True) if files[key] is None}
        if missing:
            n = sum(map(len, missing.values()))
            size = f"{n * width * 4 / 1e6:,.0f} MB"
            note(f"features of {n:,} {name} images, {size}; delete {self.folder.parent} to free the space")
            for _ in track(self._compute(images, missing, files), n, name, size=int):
                self.pause()
        return Shards([np.load(files[key], mmap_mode="r") for key in keys])

    def _kept(self, key):
        """Return a whole shard's path, or None; a damaged one is named and removed."""
        for path in self.folder.glob(f"{key}-*.npy"):
            if path.name == f"{key}-{zlib.crc32(path.read_bytes()):08x}.npy":
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
            files[key] = self._kept(key)
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

    def batch(self, epoch, step):
        """Return features, float32 of shape (N, 2048), and labels and weights as ``Batches`` has them."""
        features, *others = super().batch(epoch, step)
        if self.mirrored_features is not None:
            chosen = random_stream("mirrored features", self.seed, epoch, step).random(len(features)) < 0.5
            features[chosen] = self.mirrored_features[self.rows(epoch, step)[chosen]]
        return features, *others
