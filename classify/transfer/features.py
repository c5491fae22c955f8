"""A frozen network's features of images: computed once, kept on disk shard by shard.

The network never changes, so neither does its answer to an image. A shard's file name says what it was computed
from and its checksum, so that a finished shard is never computed twice, a killed extraction goes on where it
stopped, and a damaged or foreign file is never used.
"""

import hashlib
import io
import zlib
from pathlib import Path

import keras
import numpy as np
from keras import layers
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from classify.command import note
from classify.runs.folder import whole
from classify.training.batches import Batches
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
        _, upsampling, base, *_ = model.layers
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
        """Return the ``Features`` of images, uint8 of shape (N, H, W, 3), computing only what is not kept yet.

        ``name`` says which images they are: 'train'.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        blocks = [images[first : first + SHARD] for first in range(0, len(images), SHARD)]
        keys = [hashlib.sha256(np.ascontiguousarray(block)).hexdigest()[:32] for block in blocks]
        kept = {key: self._kept(key) for key in keys}
        missing = sum(len(block) for key, block in zip(keys, blocks, strict=True) if kept[key] is None)
        if missing:
            size = missing * self.network.output_shape[-1] * 4 / 1e6
            note(
                f"features of {missing:,} {name} images, {size:,.0f} MB; delete {self.folder.parent} to free the space"
            )
            with _progress() as progress:
                task = progress.add_task(name, total=missing)
                for key, block in zip(keys, blocks, strict=True):
                    kept[key] = kept[key] or self._compute(key, block, lambda n: progress.advance(task, n))
        return Features([np.load(kept[key], mmap_mode="r") for key in keys], self.network.output_shape[-1])

    def _kept(self, key):
        """Return a whole shard's path, or None; a damaged one is named and removed."""
        for path in self.folder.glob(f"{key}-*.npy"):
            if path.name == f"{key}-{zlib.crc32(path.read_bytes()):08x}.npy":
                return path
            note(f"{path} is damaged; it is computed again")
            path.unlink()
        return None

    def _compute(self, key, images, advance):
        features = np.empty((len(images), self.network.output_shape[-1]), "float32")
        for first in range(0, len(images), BATCH_SIZE):
            rows = slice(first, first + BATCH_SIZE)
            features[rows] = self.network.predict_on_batch(images[rows])
            advance(len(features[rows]))
        file = io.BytesIO()
        np.save(file, features)
        path = self.folder / f"{key}-{zlib.crc32(file.getbuffer()):08x}.npy"
        with whole(path) as beside:
            beside.write_bytes(file.getbuffer())
        return path


class Features:
    """The features of many images, on disk; indexing by an array of rows reads these as float32 (N, 2048)."""

    def __init__(self, shards, width):
        self.shards, self.width = shards, width
        self.starts = np.cumsum([0, *map(len, shards)], dtype=int)

    def __len__(self):
        return int(self.starts[-1])

    def __getitem__(self, rows):
        rows = np.arange(len(self))[rows]
        result = np.empty((len(rows), self.width), "float32")
        shard = np.searchsorted(self.starts, rows, side="right") - 1
        for number in np.unique(shard):
            here = shard == number
            result[here] = self.shards[number][rows[here] - self.starts[number]]
        return result


class FeatureBatches(Batches):
    """``Batches`` of features instead of images; with ``mirrored`` half of them are those of the mirrored image.

    Args:
        split: a ``Split`` whose images are ``Features``.
        mirrored: the ``Features`` of the mirrored images, or None.
    """

    def __init__(self, split, classes, batch_size, seed=0, mirrored=None):
        super().__init__(split, classes, batch_size, seed, augment=False)
        self.mirrored = mirrored

    def __getitem__(self, step):
        features, labels = super().__getitem__(step)
        if self.mirrored is not None:
            chosen = np.random.default_rng((self.seed, self.epoch, step)).random(len(features)) < 0.5
            features[chosen] = self.mirrored[self.rows[step][chosen]]
        return features, labels


def _progress():
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("left"), console=console, disable=not console.is_terminal)
