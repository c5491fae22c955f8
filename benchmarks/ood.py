"""How well a model tells out-of-distribution pictures from pictures of its classes.

  TFDS_DATA_DIR=… python benchmarks/ood.py cnn inception
  TFDS_DATA_DIR=… python benchmarks/ood.py cnn --photos path/to/photographs/of/other/things

For each way to tell: the area under the ROC curve (AUROC: 0.5 is chance, 1 is perfect) against each kind of
benchmarks/outsiders.py, their mean and the lowest. The pictures of its classes are the validation images, or the test
images for a model without validation images. Some ways look at the probabilities, some at the features that the last
layer is given, compared with those of 10,000 training images, and some at the picture. Last, how many pictures of each
kind are called unsure by "entropy alone", as older runs do, and by the rule of today: 5 % of the known images are.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.outsiders import outsiders
from classify import command, options
from classify.data import sources, splits
from classify.inference import ood
from classify.inference.predictor import BATCH_SIZE
from classify.runs import saved

TRAINING_IMAGES = 10_000
NEIGHBOURS = 50
PRINCIPAL = 64  # dimensions of ViM's principal space
RIDGE = 1e-3  # of the mean variance, added to a covariance


def main():
    parser = options.Parser(__doc__)
    parser.add_argument("models", nargs="+", metavar="RUN or MODEL", help="of CIFAR-10")
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="photographs of other things, one more kind")
    options.add_data(parser)
    args = parser.parse_args()
    models = [saved.find(name) for name in args.models]
    command.start_keras()
    source = sources.find(args.data or "cifar10", args.data_dir, args.label)
    train = splits.read_split(source, "train")
    train = train.take(np.arange(min(TRAINING_IMAGES, len(train))))
    for model in models:
        validated = model.info.get("splits", {}).get("validation")
        known = splits.read_split(source, "validation" if validated else "test")
        show(model, train, known, outsiders(args.photos))


def show(model, train, known, kinds):
    """Print a model's tables."""
    images = {"train": train.images, "known": known.images, **kinds}
    features, kernel, bias = features_of(model.path, images)
    logits = {name: values @ kernel + bias for name, values in features.items()}
    rows = {name: softmax(values, axis=1) for name, values in logits.items()}
    rules = {"entropy alone": ood.make_rule(rows["known"])}
    rules["today"] = ood.make_rule(rows["known"], known.images, ood.typical(train.images))
    print(f"| {model.name}, against {len(known):,} images | {' | '.join(kinds)} | mean | lowest |")
    print("|---" * (len(kinds) + 3) + "|")
    for way, score in ways(features, logits, rows, images, rules["today"], train.labels, kernel, bias).items():
        inside = score("known")
        areas = [area(inside, score(kind)) for kind in kinds]
        print(f"| {way} | {' | '.join(f'{value:.3f}' for value in [*areas, np.mean(areas), min(areas)])} |", flush=True)
    for name, rule in rules.items():
        shares = [np.mean(ood.unsure(rows[kind], images[kind], rule)) for kind in kinds]
        print(f"| called unsure, {name} | {' | '.join(f'{share:.0%}' for share in shares)} | | |")
    print()


def ways(features, logits, rows, images, rule, labels, kernel, bias):
    """Return a dictionary from each way's name to a function: the name of some images -> scores, high for unknown."""
    train = features["train"]
    means = np.stack([train[labels == label].mean(axis=0) for label in np.unique(labels)])
    within = precision(train - means[labels])
    origin = -np.linalg.pinv(kernel.T) @ bias
    _, axes = np.linalg.eigh((train - origin).T @ (train - origin))
    rest = axes[:, : -min(PRINCIPAL, train.shape[1] // 2)]

    def to_class_means(name):
        apart = features[name][:, None] - means
        return np.einsum("nci,ij,ncj->nc", apart, within, apart).min(axis=1)

    def to_neighbours(name):
        near = unit(features[name]) @ unit(train).T
        return -np.partition(near, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS]

    def residual(name):
        return np.linalg.norm((features[name] - origin) @ rest, axis=1)

    scale = logits["train"].max(axis=1).mean() / residual("train").mean()

    def entropy(name):
        return ood.generalized_entropy(rows[name])

    def statistics(name):
        return ood.distance(np.concatenate([ood.statistics(part) for part in batches(images[name])]), rule)

    return {
        "largest probability (arXiv:1610.02136)": lambda name: -rows[name].max(axis=1),
        "largest logit (arXiv:1911.11132)": lambda name: -logits[name].max(axis=1),
        "energy (arXiv:2010.03759)": lambda name: -logsumexp(logits[name], axis=1),
        "generalized entropy (CVPR 2023)": entropy,
        "distance to class means (arXiv:1807.03888)": to_class_means,
        "50th nearest neighbour (arXiv:2204.06507)": to_neighbours,
        "ViM (arXiv:2203.10807)": lambda name: scale * residual(name) - logsumexp(logits[name], axis=1),
        "length of the features": lambda name: -np.linalg.norm(features[name], axis=1),
        "picture statistics": statistics,
        "today: entropy and statistics": lambda name: entropy(name) + rule["weight"] * statistics(name),
    }


def precision(values):
    covariance = values.T @ values / len(values)
    return np.linalg.inv(covariance + RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))


def unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def batches(images):
    return (
        images[np.arange(first, min(first + BATCH_SIZE, len(images)))] for first in range(0, len(images), BATCH_SIZE)
    )


def features_of(path, images):
    """Return what a saved model's last layer is given, a dictionary like ``images``, and its kernel and bias."""
    import keras

    from classify.inference.loading import load_keras

    model = load_keras(path)
    last = model.layers[-1]
    network = keras.Model(model.inputs, last.input)
    features = {
        name: np.concatenate([network.predict_on_batch(part) for part in batches(some)]).astype("float64")
        for name, some in images.items()
    }
    bias = last.bias.numpy() if last.use_bias else np.zeros(last.units)
    return features, last.kernel.numpy().astype("float64"), bias


def area(known, unknown):
    """Return the area under the ROC curve of scores, which should be larger for the unknown."""
    return roc_auc_score(np.repeat([0, 1], [len(known), len(unknown)]), np.concatenate([known, unknown]))


if __name__ == "__main__":
    command.run(main)
