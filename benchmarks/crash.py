"""Kill trainings at random moments, go on with each, and compare with a twin that nobody killed.

  python benchmarks/crash.py
  python benchmarks/crash.py --kills 8

Small nets on digits. Half of the kills are kill -9, half are kill -15; the
moments are random, by a seed, within each stage of a training. Each run is gone
on with, some are killed again, until it has finished. Then its weights, metrics
and history (without the seconds) must be the twin's to the bit. After each kill
every file under its final name must be whole.

The table goes to standard output. The benchmark can be interrupted itself, and
goes on where it stopped; what it did lies in runs/crash.
"""

import collections
import contextlib
import csv
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import sys
import time
import traceback
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.training import finished
from classify import command, options
from classify.runs.folder import ROOT

CNN = "--data digits --recipe sprint --limit 320 --batch-size 16 --epochs 5 --out run"
INCEPTION = (
    "--data digits --weights none --upsampling 3 --limit 640 --epochs 20 --batch-size 16 --fine-tune 1 --out run"
)
END = "the end"
# Each stage with its script and the words on standard error between which it is killed.
STAGES = {
    "store": ("store", "", "store of", END),
    "CNN": ("train_cnn", CNN, "epochs will take", "\nbest epoch"),
    "extraction": ("train_inception", INCEPTION, "features of", "epochs will take"),
    "head": ("train_inception", INCEPTION, "epochs will take", "fine-tuning, last"),
    "fine-tuning": ("train_inception", INCEPTION, "fine-tuning, last", "\nbest epoch"),
}
PICTURES = 600  # for the store: PNG files of 160 pixels a side
AGAIN = 1 / 3  # of the runs that are gone on with are killed again
CHECKPOINTS = 0.1  # seconds between two, in place of half a minute


def main(argv=None):
    parser = options.Parser(__doc__)
    parser.add_argument("--kills", type=options.whole_number(1), default=100, metavar="N", help="default: 100")
    parser.add_argument("--seed", type=options.whole_number(0), default=0, metavar="N", help="default: 0")
    parser.add_argument("--out", type=Path, default=ROOT / "crash", metavar="FOLDER", help="default: runs/crash")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="default: all")
    args = parser.parse_args(argv)
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    draw_pictures(args.out / "pictures")
    import_all()
    scripts = {script: arguments for script, arguments, *_ in map(STAGES.get, args.stages)}
    durations = {script: twin(args.out, script, arguments) for script, arguments in scripts.items()}
    done = records(args.out / "trials.jsonl")
    number = len(done)
    while sum(len(trial["kills"]) for trial in done) < args.kills:
        name = args.stages[number % len(args.stages)]
        trial = crash(args.out, name, durations, random.Random(f"{args.seed} {number}"))
        with open(args.out / "trials.jsonl", "a") as file:
            file.write(json.dumps(trial) + "\n")
        done.append(trial)
        number += 1
        kills = ", ".join(trial["kills"]) or "nothing: it had finished before"
        command.note(f"{sum(len(trial['kills']) for trial in done):3} kills   {name}: {kills}   {trial['result']}")
    print(table(done))
    return 0 if all(trial["result"] == "the same to the bit" for trial in done) else 1


def draw_pictures(folder):
    """Fill a folder with pictures of two classes, unless that is done."""
    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        file = folder / f"class{number % 2}" / f"{number}.png"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (160, 160, 3), "uint8")).save(file.with_suffix(".part"), "PNG")
            file.with_suffix(".part").rename(file)


def make_store():
    """Make the store of the pictures, as a training does before it begins."""
    from classify.data import sources

    sources.find("../pictures").read("train", 64)


def import_all():
    """Import what takes long once: each training is then a copy of this process, made before TensorFlow computes."""
    os.environ["KERAS_BACKEND"], os.environ["TF_CPP_MIN_LOG_LEVEL"] = "tensorflow", "3"
    with command.standard_error_kept():
        import sklearn.model_selection  # noqa: F401

        import classify.reporting.conclusion
        import classify.transfer.features  # noqa: F401


def start(folder, script, arguments):
    """Start a training in a folder, as a process of its own; return its number. It writes a file ``log`` there.

    The log of the process before becomes ``log-0``, ``log-1`` and so on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "log").exists():
        (folder / "log").rename(folder / f"log-{len(list(folder.glob('log-*')))}")
    (folder / "log").write_text("")
    process = os.fork()
    if process:
        return process
    os.setpgid(0, 0)  # so that Ctrl-C in the terminal stops the benchmark alone, which then kills it
    os.chdir(folder)
    with open("log", "w") as log, open(os.devnull, "w") as nowhere:
        os.dup2(log.fileno(), 2)
        os.dup2(nowhere.fileno(), 1)
    sys.argv = [f"{script}.py", *arguments]
    make_small()
    status = 1
    try:
        command.run(make_store if script == "store" else __import__(script).main)
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def make_small():
    """Make checkpoints frequent, shards small, InceptionV3 tiny, and leave out what is not compared."""
    import keras

    import models.inception
    from classify.data import store
    from classify.reporting import conclusion
    from classify.training import callbacks
    from classify.transfer import features

    callbacks.EVERY = callbacks.WITHIN = CHECKPOINTS
    callbacks.PATIENCE = 0
    features.SHARD, features.BATCH_SIZE, store.SHARD_IMAGES = 32, 8, 20
    conclusion.draw = conclusion.save_litert = lambda *args: None
    models.inception.FEATURES = 32
    keras.applications.InceptionV3 = small_base


def small_base(include_top, weights, input_shape):
    """Return a network whose parts are named as InceptionV3's, with 32 features."""
    import keras
    from keras import layers

    x = inputs = layers.Input(input_shape)
    for block in range(11):
        x = layers.Conv2D(32 if block == 10 else 8, 3, 2 if block < 4 else 1, "same", use_bias=False)(x)
        x = layers.Activation("relu", name=f"mixed{block}")(layers.BatchNormalization(scale=False)(x))
    return keras.Model(inputs, x, name="inception_v3")


def twin(out, script, arguments):
    """Train without a kill, unless that is done; return the seconds at which each word of ``STAGES`` was logged."""
    folder = out / f"twin-{script}"
    file = folder / "seconds.json"
    if not file.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        command.note(f"the twin of {script}.py")
        process, begun, seen = start(folder, script, arguments.split()), time.monotonic(), {}
        words = {word for _, _, *words in STAGES.values() for word in words} - {END}
        with killed_at_the_end(process):
            while not ended(process):
                log = (folder / "log").read_text()
                for word in words - seen.keys():
                    if word in log:
                        seen[word] = time.monotonic() - begun
                time.sleep(0.01)
        if wait(process):
            raise command.Problem(f"the twin did not finish; see {folder / 'log'}")
        file.write_text(json.dumps(seen | {END: time.monotonic() - begun}))
    return json.loads(file.read_text())


def crash(out, name, durations, rng):
    """Kill one training in a stage, go on with it until it has finished, and return what happened."""
    script, arguments, first, last = STAGES[name]
    seconds = durations[script]
    folder = out / "trial"
    shutil.rmtree(folder, ignore_errors=True)
    kills, wrong = [], []
    arguments = arguments.split()
    moment = first, 1.1 * (seconds[last] - seconds[first])
    while True:
        process = start(folder, script, arguments)
        number = rng.choice([signal.SIGKILL, signal.SIGTERM])
        with killed_at_the_end(process):
            killed = moment and kill_at(process, folder / "log", *moment, number, rng)
            status = wait(process)
        wrong += partial_files(folder)
        if not killed:
            break
        if status not in (-9, -15, 143):
            wrong.append(f"exit status {status}")
        kills.append(f"kill -{number}")
        if (folder / "run" / "checkpoints" / "begun.json").exists():
            arguments = ["--resume", "run"]
        elif finished(folder / "run"):  # the signal came between its last file and its end
            status = 0
            break
        again = rng.random() < AGAIN
        moment = (first if script == "store" else "parameters", seconds[END] - min(seconds.values())) if again else None
    twin_folder = out / f"twin-{script}"
    if status:
        wrong.append(f"exit status {status}")
    elif script != "store":
        wrong += differences(folder / "run", twin_folder / "run")
    if shards(folder) != shards(twin_folder):
        wrong.append("other shards")
    if wrong:
        shutil.copytree(folder, out / f"failed-{len(list(out.glob('failed-*')))}")
    return {"stage": name, "kills": kills, "result": ", ".join(wrong) or "the same to the bit"}


def kill_at(process, log, word, seconds, number, rng):
    """Kill a process up to ``seconds`` after it has logged ``word``; return whether it was still there."""
    while word not in log.read_text():
        if ended(process):
            return False
        time.sleep(0.005)
    time.sleep(rng.uniform(0, seconds))
    if ended(process):
        return False
    os.kill(process, number)
    return True


statuses = {}


def ended(process):
    """Whether a child has ended; its status is kept for ``wait``."""
    if process not in statuses:
        number, status = os.waitpid(process, os.WNOHANG)
        if number:
            statuses[process] = os.waitstatus_to_exitcode(status)
    return process in statuses


def wait(process):
    """Return the exit status of a child, below 0 for a signal, when it has ended."""
    if process not in statuses:
        statuses[process] = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return statuses.pop(process)


@contextlib.contextmanager
def killed_at_the_end(process):
    """Let no child outlive the benchmark."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)
        raise


def partial_files(folder):
    """Return the files that are not whole, of those with final names: a name of a file beside begins with a dot."""
    checks = {".json": json_whole, ".npz": zip_whole, ".keras": zip_whole, ".npy": shard_whole}
    checks |= {".csv": read_history, ".png": lambda file: Image.open(file).load()}
    wrong = []
    for file in folder.rglob("*.*"):
        if file.is_file() and not file.name.startswith(".") and file.name != "log":
            try:
                checks.get(file.suffix, Path.read_bytes)(file)
            except Exception as error:
                wrong.append(f"{file.relative_to(folder)} is not whole: {error}")
    return wrong


def json_whole(file):
    content = json.loads(file.read_text())
    if file.parent.name == "checkpoints":
        text = json.dumps(content["content"], sort_keys=True).encode()
        assert content["sha256"] == hashlib.sha256(text).hexdigest(), "another SHA-256"


def zip_whole(file):
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None, "a member is damaged"


def shard_whole(file):
    """Features have their checksum in the name. A store's shards are compared with the twin's at the end."""
    if "-" in file.stem:
        assert file.stem.endswith(f"-{zlib.crc32(file.read_bytes()):08x}"), "another checksum"
    else:
        np.load(file, mmap_mode="r")


def read_history(file):
    """Return a history's rows without their seconds."""
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert all(row["learning_rate"] for row in rows), "a cut row"
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def differences(run, twin_run):
    """Return in words what of a run is not its twin's."""
    pairs = {
        "weights": (read_weights(run / "model.keras"), read_weights(twin_run / "model.keras")),
        "metrics": ((run / "metrics.json").read_bytes(), (twin_run / "metrics.json").read_bytes()),
        "history": (read_history(run / "history.csv"), read_history(twin_run / "history.csv")),
        "files": (names(run), names(twin_run)),
    }
    return [f"other {what}" for what, (mine, its) in pairs.items() if mine != its]


def read_weights(file):
    """Return the bytes of each array in a ``.keras`` file, and its config.json without addresses in memory."""
    arrays = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            arrays[name] = np.asarray(item).tobytes()

    with zipfile.ZipFile(file) as archive:
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
            weights.visititems(visit)
        return arrays, re.sub(rb'"shared_object_id": \d+', b"", archive.read("config.json"))


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def shards(folder):
    """Return the contents of the shards of stores and features by name."""
    files = [*folder.glob("features/*/*.npy"), *folder.glob("stores/*/*")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if not file.name.startswith(".")}


def records(file):
    """Return the trials of a file, without a last line that was cut."""
    lines = file.read_text().splitlines(keepends=True) if file.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def table(trials):
    """Return the results as a Markdown table, a row a stage."""
    rows = [
        "| stage | runs | kill -9 | kill -15 | killed more than once | the same to the bit |",
        "|---|---|---|---|---|---|",
    ]
    for name in [*STAGES, "all"]:
        some = [trial for trial in trials if trial["kills"] and name in (trial["stage"], "all")]
        kills = collections.Counter(kill for trial in some for kill in trial["kills"])
        same = sum(trial["result"] == "the same to the bit" for trial in some)
        again = sum(len(trial["kills"]) > 1 for trial in some)
        rows.append(f"| {name} | {len(some)} | {kills['kill -9']} | {kills['kill -15']} | {again} | {same} |")
    return "\n".join(rows)


if __name__ == "__main__":
    command.run(main)
