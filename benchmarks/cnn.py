"""How fast train_cnn.py is: three comparisons, each against what one would do without it.

  TFDS_DATA_DIR=… python benchmarks/cnn.py
  python benchmarks/cnn.py --only step

step    images a second of a training step: the standard recipe's against the same
        network and batch size trained the plain Keras way (float arrays, float32,
        keras.layers.BatchNormalization), and what each difference is worth
sprint  seconds of training, without validation, to the final validation accuracy of
        TensorFlow's CNN tutorial: the tutorial's own, trained as it says, against the
        sprint recipe's
torch   the record recipe against airbench94's in PyTorch, seed by seed in turn, on
        the same images and processor; needs `pip install torch`

Ratios of medians of alternating measurements. Whole trainings are made once: an
interrupted benchmark goes on where it stopped; finished runs lie in runs/benchmark.
"""

import contextlib
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from scipy import stats

import train_cnn
from benchmarks.training import accuracies, data_arguments, trained
from classify import command, options
from classify.environment import processor
from classify.files import write_json
from classify.progress import duration
from classify.runs.folder import ROOT

ROUNDS = 3
STEPS = 4
SEEDS = 3
FASTER = "Conv2D", "BatchNormalization", "Activation"  # layers that a backend has in a form of its own
TIMES = "validation-seconds.json"  # beside a run


def main():
    if "--timed" in sys.argv:  # one run, in a process of its own
        return timed([argument for argument in sys.argv[1:] if argument != "--timed"])
    parser = options.Parser(__doc__)
    parser.add_argument("--only", choices=COMPARISONS, help="one comparison. Default: all three")
    options.add_data(parser)
    args = parser.parse_args()
    command.start_keras()
    print(processor())
    for name, compare in COMPARISONS.items():
        if args.only in (name, None):
            compare(args)


def steps(args):
    """Print images a second of the standard recipe's training step, and without each thing that makes it fast."""
    from classify.data import sources, splits
    from classify.precision import choose

    recipe = train_cnn.RECIPES["standard"]
    split = splits.load(sources.find(args.data or "cifar10", args.data_dir, args.label), 0.1).train
    split = split.take(np.arange(STEPS * recipe["batch_size"]))
    fast = choose("auto")[0]
    trainings = {
        "ours": training_step(split, recipe, fast),
        "  without bfloat16": training_step(split, recipe, "float32"),
        "  without the kernels' gradient": training_step(split, recipe, fast, keras_own=("Conv2D",)),
        "  without fused normalization": training_step(split, recipe, fast, keras_own=("BatchNormalization",)),
        "  without SiLU's gradient": training_step(split, recipe, fast, keras_own=("Activation",)),
        "plain Keras": training_step(split, recipe, "float32", keras_own=FASTER, plain=True),
    }
    speeds = {name: [] for name in trainings}
    for _ in range(ROUNDS):
        for name, fit in trainings.items():
            speeds[name] += [recipe["batch_size"] / seconds for seconds in fit()]
    print(f"\ntraining step of standard, batches of {recipe['batch_size']}, medians of {ROUNDS} alternating rounds")
    for name, measured in speeds.items():
        ratio = statistics.median(speeds["ours"]) / statistics.median(measured)
        print(f"{name:31} {statistics.median(measured):6,.0f} images/s   ours is {ratio:.1f} times as fast")


def training_step(split, recipe, precision, keras_own=(), plain=False):
    """Return a function that trains an epoch on ``split`` with the standard network and returns each step's seconds.

    ``keras_own`` names the layers of ``FASTER`` that shall be Keras's own.
    """
    import keras

    from classify.backends import backend
    from classify.training.batches import Batches, one_hot
    from classify.training.callbacks import Timer
    from classify.training.loop import dtype_policy, training_stream
    from models.cnn import build_cnn

    classes = {name: getattr(keras.layers if name in keras_own else backend, name) for name in FASTER}
    images = split.images[np.arange(len(split))]
    with dtype_policy(precision):
        model = build_cnn(
            recipe["network"], images.shape[1:], 10, recipe["activation"], made_of=SimpleNamespace(**classes)
        )
    model.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])
    if plain:
        arrays = images.astype("float32"), one_hot(split.labels, 10)
        fit = {"x": arrays[0], "y": arrays[1], "batch_size": recipe["batch_size"]}
    else:
        batches = Batches(split, 10, recipe["batch_size"])
        fit = {"x": training_stream(batches, 0, batches.num_batches), "shuffle": False}

    def epoch():
        timer = Timer()
        model.fit(**fit, callbacks=[timer], verbose=0)
        return timer.seconds

    epoch()
    return epoch


def sprint(args):
    """Print the seconds of training to the tutorial's final validation accuracy, epoch ends only."""
    seconds = {"tutorial": [], "sprint": []}
    for seed in range(SEEDS):
        history = {"tutorial": tutorial(args, seed), "sprint": without_validation(timed_run("sprint", seed, args))}
        goal = history["tutorial"][-1]["val_accuracy"]
        for recipe, times in seconds.items():
            times.append(seconds_to(goal, history[recipe]))
        reached = ", ".join(f"{recipe} {times[-1]:.0f} s" for recipe, times in seconds.items())
        print(f"\nseed {seed}: to {goal:.1%} validation accuracy: {reached}", flush=True)
    medians = {recipe: statistics.median(times) for recipe, times in seconds.items()}
    print(f"sprint gets there {medians['tutorial'] / medians['sprint']:.1f} times sooner (ratio of medians)")


def tutorial(args, seed):
    """Return the epochs of the tutorial trained as it says, float32 arrays and `fit` as it comes; trained once."""
    import keras

    from classify.data import sources, splits
    from classify.training.batches import one_hot
    from models.cnn import build_cnn

    result = ROOT / "benchmark" / f"tutorial-plain-{seed}.json"
    if not result.is_file():
        dataset = splits.load(sources.find(args.data or "cifar10", args.data_dir, args.label), 0.1)
        recipe = train_cnn.RECIPES["tutorial"]
        keras.utils.set_random_seed(seed)
        model = build_cnn("tutorial", dataset.image_shape, len(dataset.class_names))
        model.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])
        train, validation = [
            (split.images[np.arange(len(split))].astype("float32"), one_hot(split.labels, len(dataset.class_names)))
            for split in (dataset.train, dataset.validation)
        ]
        times = []
        clock = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda *_: times.append(time.perf_counter()),
            on_epoch_end=lambda *_: times.append(time.perf_counter()),
        )
        with validation_seconds() as validated:
            history = model.fit(
                *train,
                batch_size=recipe["batch_size"],
                epochs=recipe["epochs"],
                validation_data=validation,
                callbacks=[clock],
                verbose=0,
            ).history
        rows = zip(history["val_accuracy"], (np.diff(times)[::2] - validated).tolist(), strict=True)
        write_json(result, [{"val_accuracy": accuracy, "seconds": seconds} for accuracy, seconds in rows])
    return json.loads(result.read_text())


def seconds_to(goal, history):
    """Return the seconds of training until the first epoch that ends with the ``goal``, or infinity."""
    elapsed = np.cumsum([epoch["seconds"] for epoch in history])
    return next((s for s, e in zip(elapsed, history, strict=True) if e["val_accuracy"] >= goal), float("inf"))


def torch(args):
    """Print the record recipe's time and accuracies beside those of airbench94 in PyTorch."""
    if importlib.util.find_spec("torch") is None:
        print("\ntorch: PyTorch is not installed")
        return
    print("\n                            validation   with TTA   training, without validation")
    ours, theirs = [], []
    for seed in range(SEEDS):
        ours.append(record(args, seed))
        show(f"record, Keras, seed {seed}", ours[-1])
        theirs.append(airbench(args, seed))
        show(f"airbench94, PyTorch, seed {seed}", theirs[-1])
    for key, name in (("accuracy", "accuracy"), ("accuracy_tta", "with TTA")):
        low, mean, high = difference([run[key] for run in ours], [run[key] for run in theirs])
        print(f"{name}: ours - PyTorch's {mean:+.2%} (95 % interval {low:+.2%} to {high:+.2%})")
    times = [statistics.median(run["seconds"] for run in runs) for runs in (ours, theirs)]
    print(f"time: {times[0] / times[1]:.2f} of PyTorch's (ratio of medians)")


def show(name, run):
    print(f"{name:30} {run['accuracy']:8.2%} {run['accuracy_tta']:10.2%}   {duration(run['seconds'])}", flush=True)


def difference(ours, theirs):
    """Return (low, mean, high): the difference of two means with its 95 % interval, Welch's, over seeds."""
    test = stats.ttest_ind(ours, theirs, equal_var=False)
    interval = test.confidence_interval(0.95)
    return interval.low, np.mean(ours) - np.mean(theirs), interval.high


def record(args, seed):
    """Return the validation accuracies of a record run and its seconds of training, in a run made once."""
    run = timed_run("record", seed, args)
    measured = accuracies(run["folder"])["validation"]
    seconds = sum(epoch["seconds"] for epoch in without_validation(run))
    return {"accuracy": measured["plain"], "accuracy_tta": measured["tta"], "seconds": seconds}


def timed_run(recipe, seed, args):
    """Train with a recipe of train_cnn.py, with its validation's time beside the run; return the results."""
    arguments = ("--recipe", recipe, "--seed", seed, *data_arguments(args))
    return trained(f"timed-{recipe}-{seed}", "benchmarks/cnn.py", "--timed", *arguments)


def without_validation(run):
    """Return a run's epochs with the seconds of their training steps alone."""
    validated = json.loads((run["folder"] / TIMES).read_text())
    epochs = zip(run["history"], validated, strict=True)
    return [epoch | {"seconds": epoch["seconds"] - seconds} for epoch, seconds in epochs]


def timed(arguments):
    """Train as train_cnn.py does, and keep the seconds of each epoch's validation beside the run."""
    command.start_keras()
    settings = train_cnn.parse(arguments)
    with validation_seconds() as seconds:
        status = train_cnn.train(settings).interrupted
    write_json(Path(settings.out) / TIMES, seconds)
    return status


@contextlib.contextmanager
def validation_seconds():
    """Collect, within this context, the seconds of each validation that ``fit`` makes; the context is their list."""
    import keras

    evaluate, seconds = keras.Model.evaluate, []

    def clocked(*args, **options):
        start = time.perf_counter()
        results = evaluate(*args, **options)
        if "callbacks" in options:  # as `fit` calls it
            seconds.append(time.perf_counter() - start)
        return results

    with patch.object(keras.Model, "evaluate", clocked):
        yield seconds


def airbench(args, seed):
    """Return what airbench_torch.py measured on the same training and validation images, in a run made once."""
    from classify.data import sources, splits

    result = ROOT / "benchmark" / f"airbench-torch-{seed}.json"
    if not result.is_file():
        dataset = splits.load(sources.find(args.data or "cifar10", args.data_dir, args.label), 0.1)
        arrays = result.with_suffix(".npz")
        np.savez(
            arrays,
            train_images=dataset.train.images[np.arange(len(dataset.train))],
            train_labels=dataset.train.labels,
            validation_images=dataset.validation.images[np.arange(len(dataset.validation))],
            validation_labels=dataset.validation.labels,
        )
        script = [sys.executable, Path(__file__).with_name("airbench_torch.py"), arrays, "--seed", str(seed)]
        process = subprocess.run(script, check=True, stdout=subprocess.PIPE)
        arrays.unlink()
        write_json(result, json.loads(process.stdout))
    return json.loads(result.read_text())


COMPARISONS = {"step": steps, "sprint": sprint, "torch": torch}

if __name__ == "__main__":
    command.run(main)
