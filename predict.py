"""Name what is in a picture: the class and how probable each class is.

  python predict.py image.png
  python predict.py holiday.jpg pictures/ "more/*.webp" --top 5
  python predict.py image.png --model runs/cnn --model runs/inception
  curl -s https://example.org/image.png | python predict.py - --json

Any common image file of any size will do; - is standard input, and a file whose
name begins with a dash is written ./-name. The model is the newest finished
CIFAR-10 run, or else the one that comes with this project; it always answers
with one of its classes, also for a picture of something else.
"""

import json

import numpy as np

from classify import command, images, inference, options, report, runs
from classify.command import Problem, note


def parse(argv=None):
    parser = options.Parser(__doc__)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="image files, folders of them, patterns, or - for standard input"
    )
    parser.add_argument(
        "--model",
        action="append",
        metavar="RUN or MODEL",
        help="give it several times to compare. Default: the newest CIFAR-10 run, else the shipped one",
    )
    parser.add_argument(
        "--top", type=options.whole_number(1), default=3, metavar="K", help="classes to show of each image. Default: 3"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, with all classes")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    saved = [runs.find(model) for model in args.model] if args.model else [runs.newest_cifar10()]
    paths, failed = command.each(images.find_images(args.images), readable)
    if not paths:
        return 1
    if not args.model:
        note(f"model: {saved[0].name} ({saved[0].path})")
    models = [inference.open_model(found.path) for found in saved]
    class_names = [found.class_names(model.output_shape[-1]) for found, model in zip(saved, models, strict=True)]
    for found in saved:
        if not found.info:
            note(f"{found.path} has no run.json beside it, so its classes have no names")
    names = [found.name for found in saved]
    width = max(len(str(path)) for path in paths)
    for batch in inference.with_bar(inference.answers(paths, models), len(paths), "predicting"):
        for path, answer in batch:
            if isinstance(answer, Problem):
                note(str(answer))
                failed = True
            elif args.json:
                print(as_json(path, answer, class_names, names), flush=True)
            elif len(models) > 1:
                print(report.side_by_side(str(path), answer, class_names, names, args.top), flush=True)
            else:
                print(report.prediction(str(path), answer[0], class_names[0], args.top, width), flush=True)
    return 1 if failed else 0


def readable(found):
    """Return an image path; raise what ``find_images`` found wrong."""
    if isinstance(found, Problem):
        raise found
    return found


def as_json(path, answer, class_names, names):
    """Return an image's line: of one model its answer, of several a list of them under ``models``."""
    results = [result(*of_one) for of_one in zip(answer, class_names, strict=True)]
    if len(results) == 1:
        return json.dumps({"image": str(path), **results[0]}, ensure_ascii=False)
    named = [{"model": name, **found} for name, found in zip(names, results, strict=True)]
    return json.dumps({"image": str(path), "models": named}, ensure_ascii=False)


def result(probabilities, class_names):
    best = int(np.argmax(probabilities))
    return {
        "class": class_names[best],
        "probability": float(probabilities[best]),
        "probabilities": {name: float(p) for name, p in zip(class_names, probabilities, strict=True)},
    }


if __name__ == "__main__":
    command.run(main)
