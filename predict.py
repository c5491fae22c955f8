"""Name what is in a picture: the class and how probable each class is.

  python predict.py image.png
  python predict.py holiday.jpg pictures/ "more/*.webp" --top 5
  python predict.py image.png --model runs/cnn --model runs/inception
  python predict.py image.png --tta --explain
  curl -s https://example.org/image.png | python predict.py - --json

Any common image file of any size will do; - is standard input, and a file whose
name begins with a dash is written ./-name. The model is the newest finished
CIFAR-10 run, or else the one that comes with this project. Where it is less
sure than of 95 % of the validation images it says so: the picture may show
another thing than its classes. It does not notice that of every such picture.
"""

import json

import numpy as np

from classify import command, options
from classify.command import Problem, note
from classify.data import pictures as images
from classify.inference import ood as outsiders
from classify.inference import predictor as inference
from classify.reporting import terminal as report
from classify.runs import folder as runs


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
    parser.add_argument(
        "--tta", action="store_true", help="answer with test-time augmentation too: views mirrored and shifted"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="write IMAGE.explained.png beside each image: what in it speaks for its class (Grad-CAM)",
    )
    parser.add_argument("--explain-to", metavar="FOLDER", help="write the explanations there instead")
    parser.add_argument("--explain-class", metavar="CLASS", help="explain this class, not the most probable one")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, with all classes")
    args = parser.parse_args(argv)
    args.explain = bool(args.explain or args.explain_to or args.explain_class)
    if args.explain and len(args.model or []) > 1:
        parser.error("--explain takes one --model")
    return args


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
    explanations = explainer(args, saved[0].path, class_names[0]) if args.explain else None
    width = max(len(str(path)) for path in paths)
    answers = inference.answers(paths, models, [found.mirrored for found in saved] if args.tta else None)
    for batch in inference.with_bar(answers, len(paths), "predicting"):
        answered = []
        for path, answer in batch:
            if isinstance(answer, Problem):
                note(str(answer))
                failed = True
                continue
            show = as_json if args.json else as_text
            print(show(path, answer, doubts(answer, saved), class_names, saved, args.top, width), flush=True)
            answered.append(((path, answer[0].pixels), answer[0].probabilities))
        if explanations:
            _, any_failed = command.each(answered, explanations.write)
            failed |= any_failed
    return 1 if failed else 0


def readable(found):
    """Return an image path; raise what ``find_images`` found wrong."""
    if isinstance(found, Problem):
        raise found
    return found


def explainer(args, path, class_names):
    """Return what writes the explanations; it takes the Keras model, as a light copy has no gradients."""
    model = inference.load_model(path)
    from classify.inference.gradcam import Explanations

    return Explanations(model, class_names, args.explain_class, args.explain_to)


def doubts(answer, saved):
    """Return whether each model is unsure; None where it has no threshold."""
    rules = (found.info.get("unsure") for found in saved)
    return [outsiders.unsure([one.probabilities], rule)[0] for one, rule in zip(answer, rules, strict=True)]


def as_text(path, answer, unsure, class_names, saved, top, width):
    """Return an image's lines: of one model its bar chart or that it is unsure, of several their charts abreast."""
    probabilities, averaged = [one.probabilities for one in answer], [one.averaged for one in answer]
    if len(answer) > 1:
        names, averaged = [found.name for found in saved], None if averaged[0] is None else averaged
        return report.side_by_side(str(path), probabilities, class_names, names, top, unsure, averaged)
    if unsure[0]:
        return report.unsure(str(path), probabilities[0], class_names[0], width, averaged[0])
    return report.prediction(str(path), probabilities[0], class_names[0], top, width, averaged[0])


def as_json(path, answer, unsure, class_names, saved, *_):
    """Return an image's line: of one model its answer, of several a list of them under ``models``."""
    results = [result(*of_one) for of_one in zip(answer, unsure, class_names, strict=True)]
    if len(results) == 1:
        return json.dumps({"image": str(path), **results[0]}, ensure_ascii=False)
    named = [{"model": found.name, **one} for found, one in zip(saved, results, strict=True)]
    return json.dumps({"image": str(path), "models": named}, ensure_ascii=False)


def result(answer, unsure, class_names):
    tta = {} if answer.averaged is None else {"tta": of_all(answer.averaged, class_names)}
    return {**of_all(answer.probabilities, class_names), "unsure": unsure, **tta}


def of_all(probabilities, class_names):
    best = int(np.argmax(probabilities))
    return {
        "class": class_names[best],
        "probability": float(probabilities[best]),
        "probabilities": {name: float(p) for name, p in zip(class_names, probabilities, strict=True)},
    }


if __name__ == "__main__":
    command.run(main)
