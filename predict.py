"""Name what is in a picture: the class and how probable each class is.

  python predict.py image.png
  python predict.py holiday.jpg pictures/ "more/*.webp" --top 5
  python predict.py image.png --model runs/cnn --model runs/inception
  python predict.py image.png --tta --explain
  curl -s https://example.org/image.png | python predict.py - --json

Any common image file of any size will do. A dash, -, is standard input; a file
whose name begins with a dash is written ./-name. The model is the newest
finished CIFAR-10 run, or the one that comes with this project.

It says "not sure" where it is less sure than of 95 % of the validation images:
perhaps the picture shows none of its classes. Not every such picture is
noticed.
"""

import json
from dataclasses import dataclass

from classify import command, options
from classify.command import Problem, note, printable
from classify.data import pictures
from classify.inference.loading import load_keras
from classify.inference.predictor import Predictor
from classify.inference.reading import predict_files
from classify.reporting import charts
from classify.runs import saved


@dataclass(frozen=True)
class Settings:
    """What the command line asks for."""

    images: list
    models: list
    top: int
    tta: bool
    explain: bool
    explain_to: str | None
    explain_class: str | None
    json: bool


def parse(argv=None):
    """Return the ``Settings`` of a command line."""
    parser = options.Parser(__doc__)
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="image files, folders of them, patterns, or - for standard input")
    add(
        "--model",
        dest="models",
        action="append",
        default=[],
        metavar="RUN or MODEL",
        help="give it several times to compare. Default: the newest CIFAR-10 run, else the shipped one",
    )
    add("--top", type=options.whole_number(1), default=3, metavar="K", help="classes to show of each image. Default: 3")
    add("--tta", action="store_true", help="predict with test-time augmentation too: on mirrored and shifted views")
    add(
        "--explain",
        action="store_true",
        help="write IMAGE.explained.png beside each image: what in it speaks for its class (Grad-CAM)",
    )
    add("--explain-to", type=options.path, metavar="FOLDER", help="write the explanations there instead")
    add("--explain-class", metavar="CLASS", help="explain this class, not the most probable one")
    add("--json", action="store_true", help="print one JSON object a line, with all classes")
    args = parser.parse_args(argv)
    args.explain |= args.explain_to is not None or args.explain_class is not None
    if args.explain and len(args.models) > 1:
        parser.error("--explain takes one --model")
    return Settings(**vars(args))


def main(argv=None):
    settings = parse(argv)
    models, any_missing = find_models(settings.models)
    paths, any_unreadable = command.each(pictures.find(settings.images), readable)
    predictors, any_unopened = command.each(models if paths else [], Predictor)
    if not predictors:
        return 1
    if not settings.models:
        note(f"model: {printable(models[0].name)} ({printable(models[0].path)})")
    for predictor in predictors:
        if not predictor.saved.info:
            note(f"{printable(predictor.saved.path)} has no run.json beside it, so its classes have no names")
    if settings.explain:
        explanations = open_explanations(predictors[0], settings.explain_class, settings.explain_to)
    failed = any_missing or any_unreadable or any_unopened
    width = max(len(printable(path)) for path in paths)
    for batch in predict_files(paths, predictors, settings.tta):
        failed |= show(batch, settings.json, settings.top, width)
        if settings.explain:
            failed |= explain(batch, explanations)
    return 1 if failed else 0


def find_models(names):
    """Return the ``SavedModel``s of these names, else the newest one, and whether any name stands for none."""
    models, any_missing = command.each(names, saved.find) if names else ([saved.newest_cifar10()], False)
    return saved.told_apart(models), any_missing


def readable(path):
    """Return an image's path; raise the ``Problem`` that stands in its place."""
    if isinstance(path, Problem):
        raise path
    return path


def open_explanations(predictor, named, folder):
    """Return what writes the explanations. It needs the Keras model, as a LiteRT copy has no gradients."""
    model = load_keras(predictor.saved.path)
    from classify.reporting.explanations import Explanations

    return Explanations(model, predictor.class_names, named, folder)


def show(batch, in_json, top, width):
    """Print what a batch's pictures show; return whether any could not be read."""
    failed = False
    for path, predictions in batch:
        if isinstance(predictions, Problem):
            note(str(predictions))
            failed = True
        else:
            text = as_json(path, predictions) if in_json else charts.as_text(path, predictions, top, width)
            print(text, flush=True)
    return failed


def explain(batch, explanations):
    """Write the explanations of a batch; return whether any could not be written."""
    failed = False
    for path, predictions in batch:
        try:
            if not isinstance(predictions, Problem):
                explanations.write(path, predictions[0])
        except Problem as problem:
            note(str(problem))
            failed = True
    return failed


def as_json(path, predictions):
    """Return an image's line: of one model its prediction, of several a list of them under ``models``."""
    if len(predictions) == 1:
        entries = predictions[0].entries()
    else:
        entries = {"models": [{"model": prediction.model, **prediction.entries()} for prediction in predictions]}
    return json.dumps({"image": str(path), **entries})


if __name__ == "__main__":
    command.run(main)
