"""Try every pair of options of the four scripts together, and look for tracebacks.

  python benchmarks/options.py
  python benchmarks/options.py --scripts predict evaluate

Most faults of a command line need one option or two, seldom three. So each
option has two to six values here, also wrong ones, and a plan puts every pair
of values of two options into at least one row. A row is one call of the real
script in a folder of its own. Values that go together share rows, so that no
error hides what comes after it; the others come in further rows. --resume, which
takes its options from the run, gets a row with each other value.

A row passes if it leaves no traceback and ends with status 0, or with 1 or 2 and
one line that says why. The data are digits, 64 images of them, two folders of
drawings and a CSV file; the network of train_inception.py is a tiny one with
the parts of InceptionV3, and no light copies are made, which takes most time.
Each row is a process of its own, forked after the imports. The table goes to
standard output, and the failing rows. The benchmark goes on where it stopped;
what it did lies in runs/options.
"""

import collections
import itertools
import json
import multiprocessing
import os
import random
import shutil
import sys
import traceback
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.crash import import_all, records, small_base
from classify import command, options
from classify.runs.checkpoint import Checkpoints
from classify.runs.folder import ROOT

LEFT_OUT, FLAG = None, ""
DATA = {
    "--data": (LEFT_OUT, "digits", "pictures", "table.csv"),
    "--label": (LEFT_OUT,),
    "--data-dir": (LEFT_OUT, "empty"),
    "--csv-order": (LEFT_OUT, "rgb"),
}
WRONG_DATA = {"--data": ("nowhere/", "notes.txt"), "--label": ("colour",)}
TRAINING = {
    "--optimizer": (LEFT_OUT, "sgd"),
    "--learning-rate": (LEFT_OUT, "1e-30"),
    "--image-size": (LEFT_OUT, "32", "40"),
    "--epochs": ("1", "2"),
    "--batch-size": (LEFT_OUT, "7", "100000"),
    "--dropout": (LEFT_OUT, "0", "0.99"),
    "--weight-decay": (LEFT_OUT, "0", "10"),
    "--augment": (LEFT_OUT, FLAG, "--no-augment"),
    "--mirror": (LEFT_OUT, FLAG, "--no-mirror"),
    "--early-stopping": (LEFT_OUT, "1"),
    "--validation": (LEFT_OUT, "0", "0.5"),
    "--test": (LEFT_OUT, "0.5"),
    "--class-weight": (LEFT_OUT, "balanced"),
    "--calibrate": (LEFT_OUT, FLAG, "--no-calibrate"),
    "--limit": ("64", "30"),
    "--seed": (LEFT_OUT, "4294967295"),
    "--precision": (LEFT_OUT, "float32", "bfloat16"),
    "--out": (LEFT_OUT, "new/run"),
    "--overwrite": (LEFT_OUT, FLAG),
    "--resume": (LEFT_OUT,),
    "--distribute": (LEFT_OUT,),
    "--coordinator": (LEFT_OUT,),
    "--processes": (LEFT_OUT,),
    "--process": (LEFT_OUT,),
}
WRONG_TRAINING = {
    "--optimizer": ("adamm",),
    "--learning-rate": ("0", "1e30"),
    "--image-size": ("31",),
    "--epochs": ("0",),
    "--batch-size": ("0",),
    "--dropout": ("1",),
    "--weight-decay": ("-1",),
    "--early-stopping": ("0",),
    "--validation": ("1", "0.0001"),
    "--test": ("0", "0.9999"),
    "--class-weight": ("equal",),
    "--limit": ("0", "1"),
    "--seed": ("-1",),
    "--precision": ("float16",),
    "--out": ("runs/cnn-digits", "notes.txt", "notes.txt/run"),
    "--resume": ("nowhere", "runs/cnn-digits"),
    "--distribute": (FLAG,),  # JAX is not installed where the plan runs
    "--coordinator": ("here:80", "here"),
    "--processes": ("0", "2"),
    "--process": ("-1", "0"),
}
# The values of each option that a script takes by themselves, and those that it must refuse or cannot use.
VALUES = {
    "train_cnn": {
        "--recipe": ("sprint", "tutorial"),
        "--activation": (LEFT_OUT, "relu", "tanh"),
        **TRAINING,
        **DATA,
    },
    "train_inception": {
        "--weights": ("none",),
        "--upsampling": ("3", "4"),
        "--interpolation": (LEFT_OUT, "nearest"),
        "--fine-tune": (LEFT_OUT, "1", "10"),
        **TRAINING,
        **DATA,
    },
    "evaluate": {
        "RUN or MODEL": (LEFT_OUT, "cnn-digits", "cnn-digits inception-digits"),
        "--split": (LEFT_OUT, "validation", "train"),
        "--calibrate": (LEFT_OUT, FLAG),
        "--tta": (LEFT_OUT, FLAG),
        "--json": (LEFT_OUT, FLAG),
        "--robust": (LEFT_OUT, FLAG),
        "--robust-images": (LEFT_OUT, "1", "20"),
        "--check-labels": (LEFT_OUT, FLAG),
        "--precision": (LEFT_OUT, "float32"),
        **DATA,
        "--data": (LEFT_OUT, "digits", "table.csv"),
        "--trust": (LEFT_OUT, FLAG),
    },
    "predict": {
        "IMAGE": ("picture.png", "few"),
        "--model": (LEFT_OUT, "cnn-digits", "cnn-digits --model inception-digits"),
        "--top": (LEFT_OUT, "1", "100"),
        "--tta": (LEFT_OUT, FLAG),
        "--explain": (LEFT_OUT, FLAG),
        "--explain-to": (LEFT_OUT, "explained"),
        "--explain-class": (LEFT_OUT, "3"),
        "--json": (LEFT_OUT, FLAG),
        "--csv": (LEFT_OUT, FLAG),
        "--sort-into": (LEFT_OUT, "sorted"),
        "--shard": (LEFT_OUT, "1/1", "1/2"),
        "--trust": (LEFT_OUT, FLAG),
    },
}
WRONG = {
    "train_cnn": {"--recipe": ("speed",), "--activation": ("cube",), **WRONG_TRAINING, **WRONG_DATA},
    "train_inception": {
        "--weights": ("nowhere.h5", "notes.txt"),
        "--upsampling": ("0", "1"),
        "--interpolation": ("cubic",),
        "--fine-tune": ("0", "11"),
        **WRONG_TRAINING,
        **WRONG_DATA,
    },
    "evaluate": {
        "RUN or MODEL": ("nowhere", "damaged.keras", "nowhere cnn-digits"),
        "--split": ("all",),
        "--robust-images": ("0",),
        "--precision": ("bfloat16",),
        **WRONG_DATA,
        "--data": ("pictures", *WRONG_DATA["--data"]),
    },
    "predict": {
        "IMAGE": (LEFT_OUT, "notes.txt", "empty", "nowhere.png notes.txt picture.png"),
        "--model": ("nowhere", "damaged.keras"),
        "--top": ("0",),
        "--explain-to": ("notes.txt",),
        "--explain-class": ("unicorn",),
        "--sort-into": ("notes.txt",),
    },
}
# What goes together on the command line, but not with that data or model.
REFUSED = [("--csv-order", "rgb", "--data", data) for data in (LEFT_OUT, "digits", "pictures")]
REFUSED += [("--data", "table.csv", "--split", split) for split in ("validation", "train")]  # others than the models'
REFUSED += [("--explain-class", "3", "--model", LEFT_OUT)]  # the classes of the model that comes with the project
BEGUN = {  # runs that are finished, or killed for --resume
    "train_cnn": "--data digits --recipe sprint --epochs 2 --limit 64 --batch-size 16",
    "train_inception": "--data digits --weights none --upsampling 3 --epochs 2 --limit 64 --batch-size 16",
}
CANDIDATES = 10  # rows of which the one with the most new pairs is taken
PATIENCE = 600  # seconds for a row


def main(argv=None):
    parser = options.Parser(__doc__)
    parser.add_argument("--scripts", nargs="+", choices=VALUES, default=list(VALUES), help="default: all four")
    parser.add_argument("--seed", type=options.whole_number(0), default=0, metavar="N", help="default: 0")
    parser.add_argument("--out", type=Path, default=ROOT / "options", metavar="FOLDER", help="default: runs/options")
    args = parser.parse_args(argv)
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    import_all()
    make_world(out)
    done = {}
    for script in args.scripts:
        rows = plan(script, args.seed)
        file = out / f"{script}.jsonl"
        done[script] = {tuple(result["arguments"]): result for result in records(file)}
        for number, row in enumerate(rows, 1):
            arguments = tuple(command_line(row))
            if arguments not in done[script]:
                done[script][arguments] = attempt(out, script, arguments)
                with open(file, "a") as lines:
                    lines.write(json.dumps(done[script][arguments]) + "\n")
                command.note(f"{script} {number}/{len(rows)}: {done[script][arguments]['fault'] or 'passed'}")
        done[script] = [(row, done[script][tuple(command_line(row))]) for row in rows]
    print(table(done))
    failed = [result for results in done.values() for _, result in results if result["fault"]]
    for result in failed:
        print(f"\npython {result['script']}.py {' '.join(result['arguments'])}\n  {result['fault']}")
    return 1 if failed else 0


def values(script):
    """Return all values of a script's options, by option; raise ``Problem`` where they are not the parser's options."""
    names = {(action.option_strings or [action.metavar])[0] for action in parser_of(script)._actions} - {"-h"}
    if names != VALUES[script].keys():
        wrong = ", ".join(sorted(names ^ VALUES[script].keys()))
        raise command.Problem(f"the table of {script}.py's options and its parser differ: {wrong}")
    return {name: VALUES[script][name] + WRONG[script].get(name, ()) for name in VALUES[script]}


def parser_of(script):
    """Return the ``Parser`` that a script makes."""
    with mock.patch.object(options.Parser, "parse_args", autospec=True, side_effect=StopIteration) as parse_args:
        try:
            __import__(script).parse([])
        except StopIteration:
            return parse_args.call_args.args[0]


def plan(script, seed):
    """Return the rows that cover all pairs of values of two options; each is a dictionary of values by option."""
    table, rng = values(script), random.Random(seed)
    everything = all_pairs(table)
    wrong = {(option, value) for option, refused in WRONG[script].items() for value in refused}
    by_wrong = [{pair for pair in everything if len(wrong & pair) == number} for number in range(3)]
    clashes = {pair for pair in by_wrong[0] if not goes_together(script, pair)}
    no_error, one_error = clashes | by_wrong[1] | by_wrong[2], clashes | by_wrong[2]
    steps = [(by_wrong[0] - clashes, no_error), (clashes, no_error), (by_wrong[1], one_error), (by_wrong[2], set())]
    rows = []
    for wanted, avoided in steps:
        covered = set().union(*map(pairs_of, rows))
        rows += cover(table, wanted - covered, avoided, rng)
    if "--resume" in table:
        rows += [{"--resume": FLAG, name: value} for name in table if name != "--resume" for value in table[name]]
    return rows


def all_pairs(table):
    """Return the pairs of values of two options, each a frozenset of two (option, value)."""
    return {
        frozenset(((a, x), (b, y))) for a, b in itertools.combinations(table, 2) for x in table[a] for y in table[b]
    }


def pairs_of(row):
    """Return the pairs of values in a row."""
    return all_pairs({name: [value] for name, value in row.items()})


def goes_together(script, pair):
    """Whether a script's command line takes two values, besides what it cannot do without."""
    if any({(a, x), (b, y)} == pair for a, x, b, y in REFUSED):
        return False
    row = ({"IMAGE": "picture.png"} if script == "predict" else {}) | dict(pair)
    with open(os.devnull, "w") as nowhere, mock.patch.object(sys, "stderr", nowhere):
        try:
            __import__(script).parse(command_line(row))
        except SystemExit:
            return False
    return True


def cover(table, wanted, avoided, rng):
    """Return rows in which every wanted pair occurs, found greedily.

    Args:
        table: the values of each option.
        wanted: the pairs, as ``all_pairs`` returns them.
        avoided: pairs that no row has, unless one is the wanted pair that the row begins with. An option of which no
            value fits is not in the row.
        rng: a ``random.Random``.
    """
    left, order, rows = set(wanted), sorted(wanted, key=lambda pair: sorted(map(repr, pair))), []

    def candidate(first):
        row = dict(sorted(first))
        gain = 1
        for name in rng.sample([*table], len(table)):
            if name in row:
                continue
            pairs = {x: [frozenset(((name, x), item)) for item in row.items()] for x in table[name]}
            fitting = [x for x in table[name] if not avoided.intersection(pairs[x])]
            if fitting:
                row[name] = max(fitting, key=lambda x: (len(left.intersection(pairs[x])), rng.random()))
                gain += len(left.intersection(pairs[row[name]]))
        return gain, row

    for pair in order:
        if pair in left:
            _, row = max((candidate(sorted(pair, key=repr)) for _ in range(CANDIDATES)), key=lambda found: found[0])
            left -= pairs_of(row)
            rows.append(row)
    return rows


def command_line(row):
    """Return a row's arguments, the options in alphabetical order."""
    arguments = []
    for name in sorted(row):
        value = row[name]
        if value is not LEFT_OUT:
            words = value.split()
            arguments += words if value.startswith("--no-") or not name.startswith("--") else [name, *words]
    return arguments


def make_world(out):
    """Fill the folder that each row gets a copy of, unless that is done: pictures, models and killed runs."""
    if (out / "world").exists():
        return
    world = out / "new-world"
    shutil.rmtree(world, ignore_errors=True)
    (world / "empty").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(60):
        file = world / "pictures" / ("stripes", "noise")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        shape = (40, 36 + number, 3) if number % 2 else (40, 1, 3)
        pixels = np.broadcast_to(rng.integers(0, 256, shape, "uint8"), (40, 36 + number, 3))
        Image.fromarray(pixels).save(file)
    (world / "few").mkdir()
    for file in ("picture.png", "few/one.png", "few/two.png"):
        shutil.copy(world / "pictures" / "noise" / "1.png", world / file)
    rows = np.column_stack([np.arange(200) % 2, rng.integers(0, 256, (200, 3072))])
    np.savetxt(world / "table.csv", rows, "%d", ",")
    (world / "notes.txt").write_text("no picture, no model, no data\n")
    (world / "damaged.keras").write_bytes(b"PK\x03\x04")
    for script in BEGUN:
        name = f"{script.removeprefix('train_')}-digits"
        if call(world, script, [*BEGUN[script].split(), "--out", f"runs/{name}"]):
            raise command.Problem(f"{script}.py did not make a model; see {world}.err")
    for script in BEGUN:
        folder = out / f"killed-{script}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        call(folder, script, [*BEGUN[script].split(), "--out", "runs/killed"], killed=True)
        if not Checkpoints(folder / "runs" / "killed").exist:
            raise command.Problem(f"the run to go on with was not begun; see {folder}.err")
    world.rename(out / "world")


def attempt(out, script, arguments):
    """Call a script in a fresh folder and return what came of it."""
    folder = out / f"row-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(out / "world", folder)
    if script in BEGUN:
        shutil.copytree(out / f"killed-{script}", folder, dirs_exist_ok=True)
    status = call(folder, script, arguments)
    printed, said = (folder.with_suffix(suffix).read_text(errors="replace") for suffix in (".out", ".err"))
    shutil.rmtree(folder)
    return {
        "script": script,
        "arguments": arguments,
        "status": status,
        "fault": fault(script, arguments, status, printed, said),
        "said": said[-2000:],
    }


def call(folder, script, arguments, killed=False):
    """Return the exit status of a script, called in a process of its own; None if it did not end in time.

    What it prints goes to files beside its folder. ``killed`` ends it after its first checkpoint.
    """
    process = multiprocessing.get_context("fork").Process(
        target=run, args=(folder, script, arguments, killed), daemon=True
    )
    process.start()
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        process.join()
        return None
    return process.exitcode


def run(folder, script, arguments, killed):
    """Be a script's process: the real ``main``, with a tiny InceptionV3, no light copies and no network."""
    import keras

    import models.inception
    from classify.reporting import conclusion

    os.chdir(folder)
    os.environ |= {"TFDS_DATA_DIR": "no-data-here", "KERAS_HOME": "no-weights-here"}
    os.environ |= dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")  # which refuses: no network
    for number, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(folder.with_suffix(suffix), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    sys.argv = [f"{script}.py", *arguments]
    conclusion.save_litert = lambda *args: None
    models.inception.FEATURES = 32
    keras.applications.InceptionV3 = small_base
    save = Checkpoints.save
    if killed:
        Checkpoints.save = lambda *args: (save(*args), os._exit(9))
    try:
        command.run(__import__(script).main)
    except Exception:
        traceback.print_exc()
        sys.exit(70)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def fault(script, arguments, status, printed, said):
    """Return in words what is wrong with an answer; empty if nothing is."""
    if status is None:
        return f"not done after {PATIENCE} s"
    if "Traceback" in said + printed:
        return said.strip().splitlines()[-1]
    if status not in (0, 1, 2):
        return f"exit status {status}"
    lines = [line for line in said.splitlines() if line.strip()]
    last = [line.startswith(f"{script}.py: ") for line in lines]  # what stops the script; else each item is named
    if (status == 2 and sum(last) != 1) or sum(last) > 1 or (any(last) and not last[-1]) or (status and not lines):
        return f"status {status}, and not one line that says why: {said.strip()[-500:]}"
    if status == 0 and "--json" in arguments:
        try:
            answers = [printed] if script == "evaluate" else printed.splitlines()
            [json.loads(answer) for answer in answers]
        except ValueError as error:
            return f"--json printed no JSON: {error}"
    return ""


def table(done):
    """Return the results as a Markdown table, a row a script."""
    rows = [
        "| script | options | values | pairs | pairs that ended with 0 | rows | status 0 | 1 | 2 | failed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for script, results in done.items():
        pairs = set().union(*(pairs_of(row) for row, _ in results))
        finished = set().union(*(pairs_of(row) for row, result in results if result["status"] == 0))
        used = set().union(*(row.items() for row, _ in results))
        status = collections.Counter(result["status"] for _, result in results if not result["fault"])
        failed = sum(bool(result["fault"]) for _, result in results)
        counts = [len(values(script)), len(used), len(pairs), len(finished), len(results)]
        cells = [f"{script}.py", *counts, *(status[number] for number in (0, 1, 2)), failed]
        rows.append(f"| {' | '.join(f'{cell:,}' if isinstance(cell, int) else cell for cell in cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    command.run(main)
