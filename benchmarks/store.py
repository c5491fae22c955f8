"""Measure the store of one's own pictures against `keras.utils.image_dataset_from_directory` on the same folder.

  python benchmarks/store.py
  python benchmarks/store.py --images 1000 --image-size 224

The folder holds JPEG photographs of 500 x 500 pixels in ten classes: random crops of the two photographs that come with
scikit-learn, so that their content and their files are like those of a camera. Two things are timed, in turn: a first
pass, which for us makes the store, and an epoch in a shuffled order after it. Medians, and their ratios.
"""

import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image

from classify import command, options
from classify.data import examples, store
from classify.data.sources import folder
from classify.environment import cores, processor

CLASSES = 10
SIDE = 500
BATCH_SIZE = 100


def main():
    parser = options.Parser(__doc__)
    parser.add_argument("--images", type=options.whole_number(CLASSES), default=10_000, help="default: 10000")
    parser.add_argument("--image-size", type=options.whole_number(32), default=64, help="pixels a side. Default: 64")
    parser.add_argument("--rounds", type=options.whole_number(1), default=3, help="alternate rounds. Default: 3")
    args = parser.parse_args()
    command.start_keras()
    with tempfile.TemporaryDirectory() as place:
        pictures, store.ROOT = Path(place) / "photographs", Path(place) / "stores"
        write_photographs(pictures, args.images)
        size = sum(file.stat().st_size for file in pictures.rglob("*.jpg")) / args.images
        print(f"{processor()}; {args.images:,} photographs of {size / 1e3:.0f} kB, to {args.image_size} pixels\n")
        seconds = {}
        for _ in range(args.rounds):
            for way in (ours, keras_way):
                for what, took in way(pictures, args.image_size).items():
                    seconds.setdefault((what, way), []).append(took)
    for what in ("first pass", "epoch"):
        rates = {way: args.images / statistics.median(seconds[what, way]) for way in (ours, keras_way)}
        ratio = rates[ours] / rates[keras_way]
        shown = f"the store {rates[ours]:9,.0f} img/s   Keras {rates[keras_way]:7,.0f} img/s"
        print(f"{what:10}   {shown}   {ratio:.1f} times")


def write_photographs(root, n):
    """Write ``n`` JPEG files into the folders of ten classes."""
    with tempfile.TemporaryDirectory() as place:
        originals = [Image.open(file).convert("RGB") for file in examples.write(place)[:2]]

    def write(number):
        rng = np.random.default_rng(number)
        image = originals[number % 2]
        side = rng.integers(200, min(image.size))
        left, top = rng.integers(0, np.array(image.size) - side + 1)
        photograph = image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        path = root / f"class{number % CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photograph.save(path, quality=90)

    with ThreadPoolExecutor(cores()) as threads:
        list(threads.map(write, range(n)))


def ours(pictures, size):
    """Return the seconds of making a store and of an epoch from it."""
    shutil.rmtree(store.ROOT, ignore_errors=True)
    start = time.perf_counter()
    split = folder.source(pictures).read("train", size)
    made = time.perf_counter()
    order = np.random.default_rng(0).permutation(len(split))
    for first in range(0, len(order), BATCH_SIZE):
        split.images[order[first : first + BATCH_SIZE]]
    return {"first pass": made - start, "epoch": time.perf_counter() - made}


def keras_way(pictures, size):
    """Return the seconds of a first and of a second pass over Keras's data set."""
    import keras

    start = time.perf_counter()
    data_set = keras.utils.image_dataset_from_directory(
        pictures, image_size=(size, size), batch_size=BATCH_SIZE, crop_to_aspect_ratio=True, verbose=False
    )
    passes = []
    for _ in range(2):
        for _ in data_set:
            pass
        passes.append(time.perf_counter() - start)
        start = time.perf_counter()
    return {"first pass": passes[0], "epoch": passes[1]}


if __name__ == "__main__":
    command.run(main)
