"""The store: pictures decoded and resized once, in shards on disk that are memory-mapped.

Batches read any rows in any order, memory does not grow with the data, and a second run starts at once. A shard is
there as a whole or not at all, so a killed process goes on with the shard it was making.
"""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from classify.command import Problem, note, printable
from classify.data.dataset import Joined
from classify.environment import cores
from classify.files import clear, each_locked, make_folder, whole, write_text
from classify.progress import track

ROOT = Path("stores")
SHARD_BYTES = 64e6
SHARD_IMAGES = 2000  # at most, so that a process that is killed loses little
CHUNK = 16  # pictures that a thread reads at a time: handing over each one would take as long as to read it


class Shards(Joined):
    """``Images`` whose rows lie in many shards, one after the other; what is memory-mapped stays on disk.

    A row costs the same however many shards there are: a shuffled batch has hardly two rows in one of them.

    Args:
        parts: the shards, arrays or what has a ``shape``, a ``dtype`` and a length and returns one row for an integer.
    """

    def __getitem__(self, rows):
        result = np.empty((len(rows), *self.parts[0].shape[1:]), self.parts[0].dtype)
        shards, rows = self.places(rows)
        for place, (number, row) in enumerate(zip(shards.tolist(), rows.tolist(), strict=True)):
            result[place] = self.parts[number][row]
        return result


class Facts:
    """What is known of each picture of a store, a dictionary each, in order; read from its files as they are asked for.

    Args:
        files: the shards' JSON files, in order.
        count: how many pictures they are about.
    """

    def __init__(self, files, count):
        self.files, self.count = files, count

    def __len__(self):
        return self.count

    def __iter__(self):
        for file in self.files:
            yield from json.loads(file.read_text(encoding="utf-8"))


def make(folder, count, items, read, size, doing):
    """Return pictures as ``Shards`` and what is known of them as ``Facts``, reading only those that no shard holds yet.

    Several processes may make one store: they share the work.

    Args:
        folder: where the shards lie. Its name stands for all that they are made from.
        count: how many pictures there are.
        items: a function of (first, last) that returns what ``read`` takes for these pictures, in order.
        read: a function of an item that returns its pixels, uint8 of shape (size, size, 3), or None if it cannot be
            read, and what is known of it, a dictionary for JSON. Several threads call it.
        size: pixels a side.
        doing: the bar's label.

    The rows of pictures that cannot be read are black.

    Raises:
        Problem: the disk has no room for them.
    """
    rows = int(max(1, min(SHARD_IMAGES, SHARD_BYTES // (size * size * 3))))
    parts = {number: (first, min(first + rows, count)) for number, first in enumerate(range(0, count, rows))}
    kept = {number: _kept(folder, number, part, size) for number, part in parts.items()}
    missing = {number: part for number, part in parts.items() if kept[number] is None}
    if missing:
        total = sum(last - first for first, last in missing.values())
        _check_room(folder, total * size * size * 3)
        note(f"store of {total:,} pictures, {_megabytes(total * size * size * 3)}; delete {folder.parent} to free it")
        locks = {folder / f".{number:05}.lock": (number, part) for number, part in missing.items()}
        with ThreadPoolExecutor(cores()) as threads:
            shards = (_shard(folder, *locks[lock], items, read, size, threads) for lock in each_locked(locks))
            for _ in track((done for shard in shards for done in shard), total, doing, size=int):
                pass
        kept |= {number: _kept(folder, number, part, size) for number, part in missing.items()}
    return Shards(list(kept.values())), Facts([_facts(folder, number) for number in parts], count)


def _kept(folder, number, part, size):
    """Return a shard's memory-mapped pixels; None if they, or what is known of each picture, are not whole."""
    first, last = part
    try:
        pixels = np.load(_pixels(folder, number), mmap_mode="r", allow_pickle=False)
        facts = json.loads(_facts(folder, number).read_text(encoding="utf-8"))
    except (OSError, ValueError, EOFError):
        return None
    whole_pixels = pixels.shape == (last - first, size, size, 3) and pixels.dtype == np.uint8
    return np.asarray(pixels) if whole_pixels and len(facts) == len(pixels) else None  # a memmap's rows are slow


def _pixels(folder, number):
    return folder / f"{number:05}.npy"


def _facts(folder, number):
    return folder / f"{number:05}.json"


def _shard(folder, number, part, items, read, size, threads):
    """Make a shard, unless another process made it meanwhile; yield how many pictures more are done."""
    first, last = part
    if _kept(folder, number, part, size) is not None:
        yield last - first
        return
    clear(folder, f"{number:05}.*")
    facts = []
    with whole(_pixels(folder, number), (last - first) * size * size * 3) as beside:
        mapped = np.lib.format.open_memmap(beside, "w+", "uint8", (last - first, size, size, 3))
        pixels = np.asarray(mapped)
        pictures = list(items(first, last))
        chunks = (pictures[start : start + CHUNK] for start in range(0, len(pictures), CHUNK))
        for chunk in threads.map(lambda chunk: [read(picture) for picture in chunk], chunks):
            for picture, fact in chunk:
                pixels[len(facts)] = 0 if picture is None else picture
                facts.append(fact)
            yield len(chunk)
        mapped.flush()
        del mapped, pixels
    # Last: without it the shard is not whole. Without indents, which take Python's encoder five times as long.
    write_text(_facts(folder, number), json.dumps(facts, ensure_ascii=False))


def _check_room(folder, needed):
    make_folder(folder)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise Problem(
            f"the store of the pictures in {printable(folder)} needs {_megabytes(needed)}, and {_megabytes(free)} are"
            " free; make room, or pass a smaller --image-size"
        )


def _megabytes(size):
    return f"{size / 1e6:,.0f} MB"
