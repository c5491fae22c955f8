"""Does memory stay flat, and speed the same, whatever the number of images? Writes docs/scale.png and a table.

  python benchmarks/scale.py                               10,000, 100,000 and 1,000,000 images
  python benchmarks/scale.py --sizes 1000 10000 --out here

For each number of images, in a process of its own: a store of generated images
of 32 pixels is made, as for a folder of pictures but without their files; then
200 steps of training read it in a shuffled order, with Keras on a very small
network; then, up to 100,000 images, a small base extracts features. Memory is
what the process itself holds (RssAnon of Linux), without the mapped pages of
the store, which are the system's to drop.
"""

import argparse
import json
import multiprocessing
import shutil
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


def make_store(folder, count):
    """Make a store of generated images and return its (images, facts)."""
    from classify.data import store

    noise = np.random.default_rng(0).integers(0, 256, (256, SIDE, SIDE, 3), dtype="uint8")

    def read(row):
        pixels = noise[row % 256].copy()
        pixels[0, 0] = row >> 16, row >> 8 & 255, row & 255  # no two are the same, as their features are then kept once
        return pixels, {"size": [SIDE, SIDE], "print": f"{row:016x}", "sha256": f"{row:064x}"}

    return store.make(folder, count, range, read, SIDE, "store")


def train(split):
    """Take ``STEPS`` steps of training and return how many images they were."""
    import keras
    from keras import layers

    from classify.training.batches import Batches
    from classify.training.loop import training_stream

    network = [layers.Input((SIDE, SIDE, 3)), layers.Rescaling(1 / 255), layers.AveragePooling2D(8), layers.Flatten()]
    model = keras.Sequential([*network, layers.Dense(CLASSES, activation="softmax")])
    model.compile("sgd", loss="categorical_crossentropy")
    batches = Batches(split, CLASSES, BATCH_SIZE, seed=0)
    model.fit(training_stream(batches, 0, STEPS), epochs=1, steps_per_epoch=STEPS, shuffle=False, verbose=0)
    return STEPS * BATCH_SIZE


def extract(split, folder):
    """Extract the features of all images with a small base and return how many they were."""
    import keras

    from benchmarks.crash import small_base
    from classify.transfer.features import Extractor
    from models import inception

    keras.applications.InceptionV3, inception.FEATURES = small_base, 32
    model = inception.build_inception((SIDE, SIDE, 3), CLASSES, None, 3, "nearest", 0.5)
    features = Extractor(model, "float32", folder).extract(split.images, "scale")
    return len(features)


def measure(count, folder, results):
    """Measure all stages at a number of images; put a dictionary for each into a queue."""
    command.start_keras()
    from classify.data.dataset import Split

    make_store(folder / "warm", 2000)  # what is imported and allocated once
    warm = Split(make_store(folder / "warm", 2000)[0], np.arange(2000) % CLASSES)
    train(warm)
    with Memory() as memory:
        images, facts = make_store(folder / "store", count)
        sum(len(fact["print"]) for fact in facts)
    disk = sum(file.stat().st_size for file in (folder / "store").iterdir())
    results.put(entry("store", count, memory, count) | {"disk": disk / count})
    with Memory() as memory:
        seen = train(Split(images, np.arange(count) % CLASSES))
    results.put(entry("training", count, memory, seen))
    if count <= EXTRACTED:
        extract(warm, folder / "features")
        with Memory() as memory:
            seen = extract(Split(images, np.arange(count) % CLASSES), folder / "features")
        disk = sum(file.stat().st_size for file in (folder / "features").rglob("*") if file.is_file())
        results.put(entry("extraction", count, memory, seen) | {"disk": disk / (count + 2000)})


def entry(stage, count, memory, seen):
    return {"stage": stage, "images": count, "grown": memory.grown, "speed": seen / memory.seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="FOLDER")
    args = parser.parse_args()
    spawn, rows = multiprocessing.get_context("spawn"), []
    for count in args.sizes:
        folder, queue = Path(tempfile.mkdtemp(prefix="scale-", dir=".")), spawn.Queue()
        try:
            process = spawn.Process(target=measure, args=(count, folder, queue))
            process.start()
            for _ in STAGES[: 3 if count <= EXTRACTED else 2]:
                rows.append(queue.get())
                print(json.dumps(rows[-1]), flush=True)
            process.join()
        finally:
            shutil.rmtree(folder)
    args.out.mkdir(parents=True, exist_ok=True)
    print(table(rows))
    draw(rows, args.out / "scale.png")


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
