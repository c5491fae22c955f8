"""How a picture that is larger than the network is best made small: its filter, its crop, its sharpness.

  python benchmarks/reduction.py photos/ --model cnn --model inception

The photographs lie in one folder a class, and the folders have names of the models' classes; others are left out. Of
each class the first half, by name, is what a way may be chosen on, and the second half says what the choice is worth.
"""

import functools
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from classify import command, options
from classify.command import Problem
from classify.data.pictures import EXTENSIONS
from classify.inference.loading import load
from classify.inference.predictor import predict
from classify.runs import saved

FILTERS = {filter.name.lower(): filter for filter in Image.Resampling}
CORNERS_AND_CENTRE = ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5))


def reduced(image, size, filter, share=1.0, at=(0.5, 0.5)):
    """Return a square of a picture, which takes up a share of its shorter side and lies ``at`` a place, made small."""
    side = share * min(image.size)
    left, top = ((length - side) * place for length, place in zip(image.size, at, strict=True))
    return image.resize((size, size), FILTERS[filter], (left, top, left + side, top + side))


def ways():
    """Return a dictionary from each way's name to a function of (picture, size), which returns one view or several."""

    def then(filter, sharpening):
        return lambda image, size: [reduced(image, size, filter).filter(sharpening)]

    def views(filter, share, places):
        return lambda image, size: [reduced(image, size, filter, share, place) for place in places]

    made = {filter: views(filter, 1, CORNERS_AND_CENTRE[-1:]) for filter in FILTERS}
    for filter in ("box", "bilinear", "bicubic", "lanczos"):
        made[f"{filter}, sharpened"] = then(filter, ImageFilter.UnsharpMask(1, 50, 0))
        made[f"{filter}, blurred"] = then(filter, ImageFilter.GaussianBlur(0.5))
    for filter in ("bilinear", "lanczos"):
        made[f"{filter}, centre 0.9"] = views(filter, 0.9, CORNERS_AND_CENTRE[-1:])
        made[f"{filter}, mean of five parts"] = views(filter, 0.85, CORNERS_AND_CENTRE)
    return made


def main():
    parser = options.Parser(__doc__)
    parser.add_argument("photos", type=Path, metavar="FOLDER")
    parser.add_argument("--model", dest="models", action="append", required=True, metavar="RUN or MODEL")
    parser.add_argument("--ways", nargs="+", default=list(ways()), metavar="WAY", help="default: all of them")
    args = parser.parse_args()
    for name in args.models:
        model = saved.find(name)
        network = load(model.path)
        files, labels, second = find(args.photos, model.class_names(network.output_shape[-1]))
        images = [Image.open(file).convert("RGB") for file in files]
        print(f"| {model.name} | {np.sum(~second)} photographs to choose on | {np.sum(second)} others |\n|---|---|---|")
        for way in args.ways:
            right = answers(network, images, ways()[way]) == labels
            print(f"| {way} | {right[~second].mean():.1%} | {right[second].mean():.1%} |", flush=True)


def find(folder, class_names):
    """Return the photographs' files, their classes' numbers, and which of them belong to the second halves."""
    files, labels, second = [], [], []
    for number, name in enumerate(class_names):
        found = sorted(file for file in (folder / name).glob("*") if file.suffix.lower() in EXTENSIONS)
        files += found
        labels += [number] * len(found)
        second += [place >= len(found) // 2 for place in range(len(found))]
    if not files:
        raise Problem(f"{folder} has no folder with photographs of {', '.join(class_names)}")
    return files, np.array(labels), np.array(second)


def answers(network, images, way):
    """Return a network's classes; where a way gives several views, by the mean of their logits."""
    ask = functools.partial(predict, network, doing=None)
    views = [way(image, network.input_shape[1]) for image in images]
    logits = 0
    for view in zip(*views, strict=True):
        logits = logits + np.log(np.maximum(ask(np.stack([np.asarray(image) for image in view])), 1e-30))
    return logits.argmax(axis=1)


if __name__ == "__main__":
    command.run(main)
