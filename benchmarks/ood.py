"""How well a model's probabilities tell out-of-distribution pictures from pictures of its classes.

  TFDS_DATA_DIR=… python benchmarks/ood.py cnn inception

For each of four published scores: the area under the ROC curve (AUROC: 0.5 is chance, 1 is perfect). The pictures of
its classes are the validation images, on which the score was chosen, and then the test images. The out-of-distribution
pictures are 32-pixel tiles of scikit-learn's two photographs, of a temple and a flower; its handwritten digits; and
uniform noise. Last, how many of each kind are called unsure by the chosen score's threshold, which 5 % of the
validation images exceed.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from classify import command, options
from classify.data import sources, splits
from classify.inference import ood
from classify.inference.predictor import BATCH_SIZE
from classify.runs import saved

# Each takes logits of shape (N, classes), and is larger for out-of-distribution pictures.
SCORES = {
    "maximum softmax (arXiv:1610.02136)": lambda logits: -softmax(logits, axis=1).max(axis=1),
    "maximum logit (arXiv:1911.11132)": lambda logits: -logits.max(axis=1),
    "energy (arXiv:2010.03759)": lambda logits: -logsumexp(logits, axis=1),
    "generalized entropy (CVPR 2023)": lambda logits: ood.generalized_entropy(softmax(logits, axis=1)),
}


def main():
    parser = options.Parser(__doc__)
    parser.add_argument("models", nargs="+", metavar="RUN or MODEL", help="of CIFAR-10, with a validation split")
    options.add_data(parser)
    args = parser.parse_args()
    models = [saved.find(name) for name in args.models]
    command.start_keras()
    source = sources.find(args.data or "cifar10", args.data_dir, args.label)
    test = splits.read_split(source, "test")
    known = {"validation": splits.read_split(source, "validation").images, "test": test.images}
    unknown = {"tiles": tiles(32), "digits": sources.find("digits").read("test").images, "noise": noise(500, 32)}
    for model in models:
        logits = {name: logits_of(model.path, images) for name, images in (known | unknown).items()}
        print(f"{model.name:36}" + "".join(f"{name:>9}" for name in [*unknown, "mean"]))
        for name in known:
            print(f"AUROC against {len(logits[name]):,} {name} images")
            for score_name, score in SCORES.items():
                areas = [area(score(logits[name]), score(logits[other])) for other in unknown]
                print(f"  {score_name:34}" + "".join(f"{value:9.3f}" for value in [*areas, np.mean(areas)]))
        show_threshold({name: softmax(values, axis=1) for name, values in logits.items()}, test.labels)


def show_threshold(rows, labels):
    """Print the threshold, how many images of each kind it calls unsure, and how often those of the test are wrong."""
    rule = ood.threshold(rows["validation"])
    unsure = {name: np.array(ood.unsure(probabilities, rule)) for name, probabilities in rows.items()}
    print(f"threshold {rule['threshold']:.4f}, called unsure:")
    print("  " + ", ".join(f"{called.mean():.1%} of {name}" for name, called in unsure.items()))
    wrong, doubtful = rows["test"].argmax(axis=1) != labels, unsure["test"]
    print(
        f"  wrong: {wrong[doubtful].mean():.0%} of the unsure test images, {wrong[~doubtful].mean():.1%} of the rest\n"
    )


def tiles(size):
    """Return scikit-learn's two photographs cut into squares, uint8 of shape (N, size, size, 3)."""
    squares = []
    for photo in load_sample_images().images:
        rows, columns = (length // size for length in photo.shape[:2])
        cut = photo[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
        squares.append(cut.swapaxes(1, 2).reshape(-1, size, size, 3))
    return np.concatenate(squares)


def noise(n, size):
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype="uint8")


def logits_of(path, images):
    """Return what the softmax of a saved model's last layer is given, of shape (N, classes)."""
    import keras

    from classify.inference.loading import load_keras

    model = load_keras(path)
    last = model.layers[-1]
    features = keras.Model(model.inputs, last.input)
    starts = range(0, len(images), BATCH_SIZE)
    rows = [features.predict_on_batch(images[first : first + BATCH_SIZE]) for first in starts]
    return np.concatenate(rows).astype("float64") @ last.kernel.numpy() + last.bias.numpy()


def area(known, unknown):
    """Return the area under the ROC curve of scores, which should be larger for the unknown."""
    return roc_auc_score(np.repeat([0, 1], [len(known), len(unknown)]), np.concatenate([known, unknown]))


if __name__ == "__main__":
    command.run(main)
