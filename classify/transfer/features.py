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
from classify.files import whole
from classify.progress import track
from classify.training.batches import Batches, random_stream
from classify.training.loop import dtype_policy
from models.inception import fold, front

CACHE = Path("features")
SHARD = 1000  # images; 8 MB of 2,048 float32 features each
BATCH_SIZE = 50  # the activations of a layer then stay near the size of the processor's cache


class Extractor:
    """Computes a model's pooled features, with its batch normalization folded away, in a precision.

    Args:
        model: from ``build_inception``.
        precision: ``"float32"`` or ``"bfloat16"``; features are float32 either way.
        cache: the folder that shards are kept in.
    """

    def __init__(self, model, precision, cache=CACHE):
        upsampling, base = model.get_layer("upsampling"), model.get_layer("inception_v3")
        size, interpolation = upsampling.size, upsampling.interpolation
        with dtype_policy(precision):
            self.network = keras.Sequential(
                [
                    *front(model.input_shape[1:], size, interpolation),
                    fold(base),
                    layers.GlobalAveragePooling2D(dtype="float32"),
                ]
            )
        digest = hashlib.sha256(repr((precision, size, interpolation)).encode())
        for weight in base.get_weights():
            digest.update(weight)
        self.folder = Path(cache) / digest.hexdigest()[:16]

    def extract(self, images, name):
        """Return the ``Features`` of images, computing only what is not kept yet.

        Args:
            images: ``Images``, uint8 of shape (N, H, W, 3).
            name: which images they are, for the bar: 'train'.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        width = self.network.output_shape[-1]
        blocks = [np.arange(first, min(first + SHARD, len(images))) for first in range(0, len(images), SHARD)]
        keys = [hashlib.sha256(np.ascontiguousarray(images[rows])).hexdigest()[:32] for rows in blocks]
        files = {key: self._kept(key) for key in keys}
        missing = {key: rows for key, rows in zip(keys, blocks, strict=True) if files[key] is None}
        if missing:
            n = sum(map(len, missing.values()))
            size = f"{n * width * 4 / 1e6:,.0f} MB"
            note(f"features of {n:,} {name} images, {size}; delete {self.folder.parent} to free the space")
            for _ in track(self._compute(images, missing, files), n, name, size=int):
                pass
        return Features([np.load(files[key], mmap_mode="r") for key in keys], width)

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

        ``missing`` holds the rows of each shard by its key.
        """
        for key, rows in missing.items():
            features = []
            for first in range(0, len(rows), BATCH_SIZE):
                features.append(self.network.predict_on_batch(images[rows[first : first + BATCH_SIZE]]))
                yield len(features[-1])
            files[key] = self._keep(key, np.concatenate(features))

    def _keep(self, key, features):
        content = io.BytesIO()
        np.save(content, features)
        path = self.folder / f"{key}-{zlib.crc32(content.getbuffer()):08x}.npy"
        with whole(path) as beside:
            beside.write_bytes(content.getbuffer())
        return path


class Features:
    """The features of many images, on disk: ``Images`` whose rows are float32 of shape (n, 2048)."""

    def __init__(self, shards, width):
        self.shards, self.width = shards, width
        self.starts = np.cumsum([0, *map(len, shards)], dtype=int)

    def __len__(self):
        return int(self.starts[-1])

    def __getitem__(self, rows):
        result = np.empty((len(rows), self.width), "float32")
        shard = np.searchsorted(self.starts, rows, side="right") - 1
        for number in np.unique(shard):
            here = shard == number
            result[here] = self.shards[number][rows[here] - self.starts[number]]
        return result


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
        split: a ``Split`` whose images are ``Features``.
        mirrored: the ``Features`` of the mirrored images, or None.
    """

    def __init__(self, split, classes, batch_size, seed=0, mirrored=None):
        super().__init__(split, classes, batch_size, seed, augment=False, mirror=False)
        self.mirrored_features = mirrored

    def batch(self, epoch, step):
        """Return (features, labels): float32 of shape (N, 2048), and as ``Batches`` has them."""
        features, labels = super().batch(epoch, step)
        if self.mirrored_features is not None:
            chosen = random_stream("mirrored features", self.seed, epoch, step).random(len(features)) < 0.5
            features[chosen] = self.mirrored_features[self.rows(epoch, step)[chosen]]
        return features, labels
