"""How many wrong labels evaluate.py --check-labels finds, and how many of those it lists are wrong.

  TFDS_DATA_DIR=… python benchmarks/labels.py --weights path/to/weights.h5
  python benchmarks/labels.py path/to/photos --weights path/to/weights.h5

Of CIFAR-10 the first 5,000 train images, of a folder of pictures all. A twentieth of the labels, drawn at random, gets
another class, three times; then features, heads and rule are those of evaluate.py. Recall is the share of the changed
labels that are listed, precision the share of those listed that are changed. So a label that was wrong before counts
against the precision. An interrupted benchmark goes on where it stopped: draws lie in runs/benchmark, features in
features/.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from classify import command, files, options, precision
from classify.data import sources, splits
from classify.evaluation import labels
from classify.runs.folder import ROOT

DRAWS = 3
IMAGES = 5000  # of a data set that has more
SHARE = 0.05  # of the labels


def main():
    parser = options.Parser(__doc__)
    parser.add_argument("data", nargs="*", default=["cifar10"], metavar="DATA", help="as for --data. Default: cifar10")
    parser.add_argument("--weights", default="imagenet", help="as in train_inception.py. Default: imagenet")
    args = parser.parse_args()
    labels.check_installed()
    command.start_keras()
    print("| data | images | changed | listed | recall | precision | seconds |\n|---|---|---|---|---|---|---|")
    for name in args.data:
        source = sources.find(name)
        pictures, features = None, None
        draws = []
        for number in range(DRAWS):
            file = ROOT / "benchmark" / "labels" / f"{source.name}-{number}.json"
            if not file.is_file():
                if pictures is None:
                    pictures, features = read(source, args.weights)
                files.write_json(file, draw(pictures.labels, features, len(source.class_names), number))
            draws.append(json.loads(file.read_text()))
            print(row(f"{source.title}, draw {number + 1}", draws[-1:]), flush=True)
        print(row(f"{source.title}, mean", draws), flush=True)


def read(source, weights_option):
    """Return pictures of a source as a ``Split``, and their features, float32 of shape (N, 2048)."""
    from classify.transfer import size, weights
    from classify.transfer.features import Extractor
    from models.inception import build_inception

    if source.fingerprint:
        data = splits.load(source, size=size.image_size(source))
        pictures = splits.joined([data.train, data.validation, data.test])
    else:
        train = splits.read_split(source, "train", validation=0)
        pictures = train.take(np.arange(min(IMAGES, len(train))))
    shape, file = pictures.images[np.arange(1)].shape[1:], weights.find(weights_option)
    with weights.checked(file):
        model = build_inception(shape, len(source.class_names), file, size.upsampling(shape))
    features = Extractor(model, precision.choose("auto")[0]).extract(pictures.images, source.name)
    return pictures, features[np.arange(len(features))]


def draw(right, features, classes, seed):
    """Change labels, look for them, and return the numbers: of images, changed and listed labels, those in both."""
    from classify.transfer.folds import out_of_fold

    given, changed = with_errors(right, classes, seed)
    start = time.perf_counter()
    listed, _, _ = labels.doubtful(given, out_of_fold(features, given, classes), features)
    seconds = time.perf_counter() - start
    found = np.intersect1d(listed, changed)
    counts = {"images": right, "changed": changed, "listed": listed, "found": found}
    return {name: len(rows) for name, rows in counts.items()} | {"seconds": round(seconds, 1)}


def with_errors(right, classes, seed):
    """Return labels of which a share is changed, each to any other class, and the rows of these."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(right))[: round(SHARE * len(right))]
    given = right.copy()
    given[rows] = (right[rows] + rng.integers(1, classes, len(rows))) % classes
    return given, rows


def row(name, draws):
    """Return a row of the table: the mean of draws."""
    recall = np.mean([draw["found"] / draw["changed"] for draw in draws])
    precise = np.mean([draw["found"] / draw["listed"] if draw["listed"] else 0 for draw in draws])
    means = {key: np.mean([draw[key] for draw in draws]) for key in ("images", "changed", "listed", "seconds")}
    counts = " | ".join(f"{means[key]:,.0f}" for key in ("images", "changed", "listed"))
    return f"| {name} | {counts} | {recall:.2f} | {precise:.2f} | {means['seconds']:.0f} |"


if __name__ == "__main__":
    command.run(main)
