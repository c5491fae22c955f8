"""How far the percentages of finished runs can be believed: the expected calibration error (ECE) before and after.

  TFDS_DATA_DIR=… python benchmarks/calibration.py cnn cnn-record inception

On the validation images by two-fold cross-fitting: a temperature that is fitted on one half of them is judged on the
other half, which it has not seen, and the other way round. On the test images as the saved file gives them. "By chance"
says what ECE a model shows on so many images whose percentages are exactly true: 95 of 100 such models lie in between.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from classify import command, options
from classify.data import sources, splits
from classify.evaluation import calibration, metrics
from classify.inference.loading import load_keras
from classify.inference.predictor import predict
from classify.runs import saved

DRAWS = 2000


def main():
    parser = options.Parser(__doc__)
    parser.add_argument("models", nargs="+", metavar="RUN", help="with a validation split")
    options.add_data(parser)
    args = parser.parse_args()
    models = [saved.find(name) for name in args.models]
    command.start_keras()
    source = sources.find(args.data or "cifar10", args.data_dir, args.label)
    validation, test = (splits.read_split(source, name) for name in ("validation", "test"))
    columns = ("temperature", "ECE on validation as trained", "cross-fitted", "on test as trained", "calibrated")
    print(f"| | {' | '.join(columns)} | by chance |\n{'|---' * 7}|")
    for model in models:
        calibration.check_validation(model, splits.fingerprint(validation))
        network = load_keras(model.path)
        rows = [predict(network, split.images, model.name) for split in (validation, test)]
        built_in = model.info.get("temperature", 1.0)
        trained = [calibration.tempered(probabilities, 1 / built_in) for probabilities in rows]
        temperature = calibration.best_temperature(validation.labels, trained[0])
        as_saved = calibration.tempered(trained[1], temperature)
        low, high = by_chance(as_saved)
        figures = [
            f"{temperature:.3f}",
            f"{ece(validation.labels, trained[0]):.3f}",
            f"{ece(validation.labels, cross_fitted(validation.labels, trained[0])):.3f}",
            f"{ece(test.labels, trained[1]):.3f}",
            f"{ece(test.labels, as_saved):.3f}",
            f"{low:.3f} to {high:.3f}",
        ]
        print(f"| {model.name} | {' | '.join(figures)} |", flush=True)


def ece(labels, probabilities):
    return metrics.calibration(labels, probabilities)["ece"]


def cross_fitted(labels, probabilities, seed=0):
    """Return probabilities, each tempered by the temperature of the half of the images that it is not in."""
    first, second = np.array_split(np.random.default_rng(seed).permutation(len(labels)), 2)
    tempered = np.empty(probabilities.shape)
    for fitted, judged in ((first, second), (second, first)):
        temperature = calibration.best_temperature(labels[fitted], probabilities[fitted])
        tempered[judged] = calibration.tempered(probabilities[judged], temperature)
    return tempered


def by_chance(probabilities, seed=0):
    """Return the (low, high) between which the ECE of 95 % of models lies whose true classes are drawn as they say."""
    rng = np.random.default_rng(seed)
    cumulated = probabilities.cumsum(axis=1)
    drawn = [(rng.random((len(cumulated), 1)) < cumulated).argmax(axis=1) for _ in range(DRAWS)]
    return np.quantile([ece(labels, probabilities) for labels in drawn], (0.025, 0.975))


if __name__ == "__main__":
    command.run(main)
