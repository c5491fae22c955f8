"""Does memory stay flat, and speed the same, whatever the number of images? Writes docs/scale.png and a table.

  python benchmarks/scale.py                               10,000, 100,000 and 1,000,000 images
  python benchmarks/scale.py --sizes 1000 10000 --out here

For each number of images, in a process of its own: a store of generated images
of 32 pixels is made, as for a folder of pictures but without their files; then
200 steps of training read it in a shuffled order, with Keras on a very small
network; then, up to 100,000 images, a small base extracts features. Before the
training is timed, 1,000 other steps let the system map the store's pages, which
it does once in a run. Memory is what the process itself holds (RssAnon of
Linux), without the mapped pages of the store, which are the system's to drop.

A stage that is over in less than five seconds is done again and again. The
numbers of images take turns: three rounds. Speed is the median of the rounds,
memory the most of them.
"""

import argparse
import itertools
import json
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from classify import command

SIZES = (10_000, 100_000, 1_000_000)
EXTRACTED = 100_000  # at the most
SIDE, BATCH_SIZE, STEPS, CLASSES = 32, 250, 200, 10
WARM = 2000  # images of one shard, for what happens only once
SECONDS = 5  # that a stage takes at least
MAPPING = 5  # times 200 steps: after them the system has mapped hardly a page less than after an epoch
STAGES = "store", "training", "extraction"


class Memory:
    """The most anonymous memory of this process within a ``with`` block, in bytes: ``grown`` is what came on top."""

    def __enter__(self):
        self.before = self.most = anonymous()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        self.start = time.perf_counter()
        return self

    def __exit__(self, *error):
        self.seconds = time.perf_counter() - self.start
        self.over.set()
        self.thread.join()
        self.grown = self.most - self.before

    def _watch(self):
        while not self.over.wait(0.02):
            self.most = max(self.most, anonymous())


def anonymous():
    """Return the anonymous memory of this process in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) * 1024


def make_store(folder, count, first=0):
    """Make a store of generated images, numbered from ``first`` on, and return its (images, facts)."""
    from classify.data import store

    noise = np.random.default_rng(0).integers(0, 256, (256, SIDE, SIDE, 3), dtype="uint8")

    def read(row):
        pixels = noise[row % 256].copy()
        row += first
        pixels[0, 0] = row >> 16, row >> 8 & 255, row & 255  # no two are the same, as their features are then kept once
        return pixels, {"size": [SIDE, SIDE], "print": f"{row:016x}", "sha256": f"{row:064x}"}

    return store.make(folder, count, range, read, SIDE, "store")


def tiny_network():
    """Return a compiled model so small that reading its images is what takes the time."""
    import keras
    from keras import layers

    network = [layers.Input((SIDE, SIDE, 3)), layers.Rescaling(1 / 255), layers.AveragePooling2D(8), layers.Flatten()]
    model = keras.Sequential([*network, layers.Dense(CLASSES, activation="softmax")])
    model.compile("sgd", loss="categorical_crossentropy")
    return model


def train(model, split):
    """Return a function that takes the next ``STEPS`` steps of training."""
    from classify.training.batches import Batches
    from classify.training.loop import training_stream

    batches, turns = Batches(split, CLASSES, BATCH_SIZE, seed=0), itertools.count()

    def steps(*_):
        stream = training_stream(batches, STEPS * next(turns), STEPS)
        model.fit(stream, epochs=1, steps_per_epoch=STEPS, shuffle=False, verbose=0)

    return steps


def small_extractor(folder):
    """Return what extracts features with a small base, one that has seen images of this size."""
    import keras

    from benchmarks.crash import small_base
    from classify.transfer.features import Extractor
    from models import inception

    keras.applications.InceptionV3, inception.FEATURES = small_base, 32
    model = inception.build_inception((SIDE, SIDE, 3), CLASSES, None, 3, "nearest", 0.5)
    return Extractor(model, "float32", folder)


def measure(count, folder, results):
    """Measure all stages at a number of images; put a dictionary for each into a queue."""
    command.start_keras()
    from classify.data.dataset import Split

    warm, _ = make_store(folder / "warm", WARM, first=max(SIZES))  # what is imported and allocated once
    with Memory() as memory:
        made = for_a_while(lambda turn: make_store(folder / f"store{turn}", count), memory)
    images, facts = make_store(folder / "store0", count)
    disk = sum(file.stat().st_size for file in (folder / "store0").iterdir())
    results.put(entry("store", count, memory, made * count) | {"disk": disk / count})

    split, model = Split(images, np.arange(count) % CLASSES), tiny_network()
    train(model, Split(warm, np.arange(WARM) % CLASSES))()
    with Memory() as mapping:
        sum(len(fact["print"]) for fact in facts)
        steps = train(model, split)
        for _ in range(MAPPING):
            steps()
    with Memory() as memory:
        rounds = for_a_while(steps, memory)
    memory.grown += mapping.grown
    results.put(entry("training", count, memory, rounds * STEPS * BATCH_SIZE))

    if count <= EXTRACTED:
        extractor = small_extractor(folder / "warm features")
        extractor.extract(warm, "warm")

        def extract(turn):
            extractor.folder = folder / f"features{turn}"
            extractor.extract(images, "scale")

        with Memory() as memory:
            made = for_a_while(extract, memory)
        disk = sum(file.stat().st_size for file in (folder / "features0").iterdir())
        results.put(entry("extraction", count, memory, made * count) | {"disk": disk / count})


def for_a_while(act, memory):
    """Act again and again for ``SECONDS`` and return how often: a processor is faster for the first second or so."""
    turns = 0
    while turns == 0 or time.perf_counter() - memory.start < SECONDS:
        act(turns)
        turns += 1
    return turns


def entry(stage, count, memory, seen):
    return {"stage": stage, "images": count, "grown": memory.grown, "speed": seen / memory.seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="FOLDER")
    args = parser.parse_args()
    measured = []
    for _ in range(args.rounds):
        for count in args.sizes:
            measured += in_a_process(count)
    rows = [over_rounds(stage, count, measured) for stage in STAGES for count in args.sizes]
    rows = [row for row in rows if row]
    args.out.mkdir(parents=True, exist_ok=True)
    print(table(rows))
    draw(rows, args.out / "scale.png")


def in_a_process(count):
    """Measure all stages at a number of images in a process of its own; return a dictionary for each."""
    spawn = multiprocessing.get_context("spawn")
    folder, queue, rows = Path(tempfile.mkdtemp(prefix="scale-", dir=".")), spawn.Queue(), []
    try:
        process = spawn.Process(target=measure, args=(count, folder, queue))
        process.start()
        for _ in STAGES[: 3 if count <= EXTRACTED else 2]:
            rows.append(queue.get())
            print(json.dumps(rows[-1]), flush=True)
        process.join()
    finally:
        shutil.rmtree(folder)
    return rows


def over_rounds(stage, count, measured):
    """Return the rounds of a stage at a number of images as one dictionary; None if there are none."""
    rounds = [row for row in measured if (row["stage"], row["images"]) == (stage, count)]
    if not rounds:
        return None
    most = {"grown": max(row["grown"] for row in rounds)}
    return rounds[0] | most | {"speed": statistics.median(row["speed"] for row in rounds)}


def table(rows):
    """Return the results as a table in Markdown."""
    lines = ["| | images | memory grew by | a further image takes | images/s | disk an image |", "|---|" + "---|" * 5]
    for stage in STAGES:
        of_stage = [row for row in rows if row["stage"] == stage]
        for before, row in zip([None, *of_stage], of_stage, strict=False):
            further = ""
            if before:
                further = f"{(row['grown'] - before['grown']) / (row['images'] - before['images']):,.0f} bytes"
            disk = f"{row['disk']:,.0f} bytes" if "disk" in row else ""
            grown = f"{row['grown'] / 1e6:,.0f} MB"
            lines.append(f"| {stage} | {row['images']:,} | {grown} | {further} | {row['speed']:,.0f} | {disk} |")
    return "\n".join(lines)


def draw(rows, file):
    """Draw memory and speed over the number of images."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for stage in STAGES:
        of_stage = [row for row in rows if row["stage"] == stage]
        counts = [row["images"] for row in of_stage]
        axes[0].plot(counts, [row["grown"] / 1e6 for row in of_stage], "o-", label=stage)
        axes[1].plot(counts, [row["speed"] for row in of_stage], "o-", label=stage)
    for axis, title in zip(axes, ("memory that grew, MB", "images a second"), strict=True):
        axis.set(xscale="log", xlabel="images", title=title, ylim=(0, None))
        axis.legend()
    figure.savefig(file, dpi=100)


if __name__ == "__main__":
    command.run(main)
