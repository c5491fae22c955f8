"""How well a model's own answers tell pictures of something else from those of its classes.

  TFDS_DATA_DIR=… python benchmarks/outsiders.py cnn inception

The area under the ROC curve (AUROC: 0.5 is chance, 1 is perfect) of four published scores, with validation images as
insiders, on which the score was chosen, and with test images. Then what the chosen one's threshold, the value that
5 % of the validation images exceed, calls unsure. The outsiders: 32-pixel tiles of scikit-learn's two photographs,
of a temple and a flower; its handwritten digits; uniform noise.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from classify import command, options
from classify.data import sources as data
from classify.inference import ood as outsiders
from classify.runs import folder as runs

# Each takes logits of shape (N, classes), and is larger for outsiders.
SCORES = {
    "maximum softmax (arXiv:1610.02136)": lambda logits: -softmax(logits, axis=1).max(axis=1),
    "maximum logit (arXiv:1911.11132)": lambda logits: -logits.max(axis=1),
    "energy (arXiv:2010.03759)": lambda logits: -logsumexp(logits, axis=1),
    "generalized entropy (CVPR 2023)": lambda logits: outsiders.generalized_entropy(softmax(logits, axis=1)),
}


def main():
    parser = options.Parser(__doc__)
    parser.add_argument("models", nargs="+", metavar="RUN or MODEL", help="of CIFAR-10, with a validation split")
    options.add_data(parser)
    args = parser.parse_args()
    models = [runs.find(name) for name in args.models]
    command.start_keras()
    source = data.find(args.data or "cifar10", args.data_dir)
    test = data.read_split(source, "test")
    insiders = {"validation": data.read_split(source, "validation").images, "test": test.images}
    outside = {"tiles": tiles(32), "digits": data.find("digits").read("test").images, "noise": noise(500, 32)}
    for model in models:
        logits = {name: logits_of(model, images) for name, images in (insiders | outside).items()}
        print(f"{model.name:36}" + "".join(f"{name:>9}" for name in [*outside, "mean"]))
        for insider in insiders:
            print(f"AUROC against {len(logits[insider]):,} {insider} images")
            for name, score in SCORES.items():
                areas = [area(score(logits[insider]), score(logits[other])) for other in outside]
                print(f"  {name:34}" + "".join(f"{value:9.3f}" for value in [*areas, np.mean(areas)]))
        show_threshold({name: softmax(values, axis=1) for name, values in logits.items()}, test.labels)


def show_threshold(rows, labels):
    """Print the threshold, how many images of each kind it calls unsure, and how often those of the test are wrong."""
    rule = outsiders.threshold(rows["validation"])
    unsure = {name: np.array(outsiders.unsure(probabilities, rule)) for name, probabilities in rows.items()}
    print(f"threshold {rule['threshold']:.4f}, called unsure:")
    print("  " + ", ".join(f"{called.mean():.1%} of {name}" for name, called in unsure.items()))
    wrong, doubtful = rows["test"].argmax(axis=1) != labels, unsure["test"]
    print(
        f"  wrong: {wrong[doubtful].mean():.0%} of the unsure test images, {wrong[~doubtful].mean():.1%} of the rest\n"
    )


def tiles(size):
    """Return scikit-learn's two photographs cut into squares, uint8 of shape (N, size, size, 3)."""
    found = []
    for photo in load_sample_images().images:
        rows, columns = (length // size for length in photo.shape[:2])
        cut = photo[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
        found.append(cut.swapaxes(1, 2).reshape(-1, size, size, 3))
    return np.concatenate(found)


def noise(n, size):
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype="uint8")


def logits_of(saved, images):
    """Return what the softmax of a saved model's last layer is given, of shape (N, classes)."""
    import keras

    from classify.inference import predictor as inference

    model = inference.load_model(saved.path)
    last = model.layers[-1]
    features = keras.Model(model.inputs, last.input)
    steps = range(0, len(images), inference.BATCH_SIZE)
    rows = [features.predict_on_batch(images[first : first + inference.BATCH_SIZE]) for first in steps]
    return np.concatenate(rows).astype("float64") @ last.kernel.numpy() + last.bias.numpy()


def area(inside, outside):
    return roc_auc_score(np.repeat([0, 1], [len(inside), len(outside)]), np.concatenate([inside, outside]))


if __name__ == "__main__":
    command.run(main)
