"""Measure predict.py against the plain Keras way: `keras.saving.load_model`, then `predict`.

  python benchmarks/predict.py
  python benchmarks/predict.py --model inception --images 500

One image: wall time and peak memory of the whole process, with the interpreter's start. A folder: PNG files of the
model's size. predict.py is timed from start to end. Keras is timed without its start: once with the reading of the
files by Pillow, and once for `predict` alone, on pixels in memory. The two run in turn; medians and their ratios. At
last the processor time that a picture takes: to read and to predict it.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image

from classify import command, options
from classify.data import pictures
from classify.environment import PROJECT, processor
from classify.inference.loading import load
from classify.inference.predictor import BATCH_SIZE, Predictor
from classify.runs import saved

PLAIN = f"""
import sys, time, pathlib
import keras, numpy as np
from PIL import Image
path = pathlib.Path(sys.argv[2])
model = keras.saving.load_model(sys.argv[1])
if path.is_dir():
    model.predict(np.zeros((1000, *model.input_shape[1:])), batch_size={BATCH_SIZE}, verbose=0)
start = time.perf_counter()
images = [np.asarray(Image.open(file).convert("RGB")) for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
read = time.perf_counter()
model.predict(np.stack(images), batch_size={BATCH_SIZE}, verbose=0)
end = time.perf_counter()
print(end - start, end - read)
"""


def main():
    parser = options.Parser(__doc__)
    parser.add_argument("--model", default=str(saved.SHIPPED), help="a run or model. Default: the shipped one")
    parser.add_argument("--images", type=options.whole_number(2), default=10_000, help="in the folder. Default: 10000")
    parser.add_argument("--rounds", type=options.whole_number(1), default=7, help="alternate runs. Default: 7")
    args = parser.parse_args()
    model = saved.find(args.model).path
    ways = {
        "predict.py": [sys.executable, PROJECT / "predict.py", "--json", "--model", model],
        "Keras": [sys.executable, "-c", PLAIN, model],
    }
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), args.images, load(model).input_shape[1:3])
        print(f"{processor()}; {model}\n", flush=True)

        ours, keras = alternate(ways, Path(folder) / "00000.png", args.rounds)
        print(f"one image: {keras[0] / ours[0]:.1f} times sooner, in {keras[1] / ours[1]:.1f} times less memory")
        for name, (seconds, memory, *_) in (("predict.py", ours), ("Keras", keras)):
            print(f"  {name:38} {seconds:8.2f} s   {memory:5.0f} MB")

        ours, keras = alternate(ways, folder, max(1, args.rounds // 2))
        print(f"\n{args.images:,} images: {keras[2] / ours[0]:.2f} times as fast as Keras,")
        print(f"{keras[3] / ours[0]:.2f} times as its predict on pixels in memory")
        for name, seconds in (
            ("predict.py, its start and reading included", ours[0]),
            ("Keras, reading included", keras[2]),
            ("Keras, predict alone", keras[3]),
        ):
            print(f"  {name:42} {args.images / seconds:8,.0f} images/s")
        print(f"  peak memory: {ours[1]:.0f} MB, Keras {keras[1]:.0f} MB")
        reading, predicting = processor_time(saved.find(args.model), Path(folder))
        print(f"\nprocessor time of a picture: {reading:.2f} ms to read, {predicting:.2f} ms to predict it")


def write_pictures(folder, n, size):
    """Write ``n`` PNG files of coarse noise, ``size`` pixels high and wide."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, 4, 4, 3), dtype="uint8")
    for i, coarse in enumerate(pixels):
        Image.fromarray(coarse).resize(size[::-1]).save(folder / f"{i:05}.png")


def processor_time(model, folder, n=1000):
    """Return the milliseconds of processor time that predict.py takes to read a picture, and to predict it."""
    predictor = Predictor(model)
    paths = sorted(folder.iterdir())[:n]
    start = time.process_time()
    pixels = np.stack([pictures.load(path, *predictor.input_size, predictor.reduction) for path in paths])
    read = time.process_time()
    predictor.predict(pixels)
    return tuple(seconds / len(paths) * 1e3 for seconds in (read - start, time.process_time() - read))


def alternate(ways, path, rounds):
    """Return the medians of each way's runs: seconds, peak memory in MB, and the numbers that a plain run prints."""
    results = {name: [] for name in ways}
    for _ in range(rounds):
        for name, arguments in ways.items():
            results[name].append(measured([*arguments, path], name))
    return [list(map(statistics.median, zip(*of_way, strict=True))) for of_way in results.values()]


def measured(arguments, name):
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(arguments, stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            raise command.Problem(f"{name} failed")
        output.seek(0)
        printed = [float(number) for number in output.read().split()] if name == "Keras" else []
    return [seconds, usage.ru_maxrss * 1024 / 1e6, *printed]


if __name__ == "__main__":
    command.run(main)
