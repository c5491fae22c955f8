"""Name what is in a picture: the class and how probable each class is.

  python predict.py image.png
  python predict.py holiday.jpg pictures/ "more/*.webp" --top 5
  python predict.py image.png --model runs/cnn --model runs/inception
  python predict.py image.png --tta --explain
  curl -s https://example.org/image.png | python predict.py - --json
  python predict.py pictures/ --csv > answers.csv
  python predict.py pictures/ --sort-into sorted/

Any common image file of any size will do. A dash, -, is standard input; a file
whose name begins with a dash is written ./-name. The model is the newest
finished run on CIFAR-10 or on your own pictures, or the one that comes with
this project.

It says "not sure" where it is less sure than of 95 % of the validation images:
perhaps the picture shows none of its classes. Not every such picture is
noticed.
"""

import functools
from dataclasses import dataclass

from classify import command, options
from classify.command import Problem, note, printable
from classify.data import pictures
from classify.inference.loading import load_keras
from classify.inference.predictor import Predictor
from classify.inference.reading import predict_files
from classify.reporting import charts
from classify.reporting.sorting import Sorting
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
    csv: bool
    sort_into: str | None
    shard: slice
    trust: bool


def parse(argv=None):
    """Return the ``Settings`` of a command line."""
    parser = options.Parser(__doc__)
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="image files, folders of them, patterns, or - for standard input")
    model_help = (
        "several times to compare. Default: the newest run on CIFAR-10 or your own pictures, or the shipped one"
    )
    add("--model", dest="models", action="append", default=[], metavar="RUN or MODEL", help=model_help)
    add("--top", type=options.whole_number(1), default=3, metavar="K", help="classes to show of each image. Default: 3")
    add("--tta", action="store_true", help="predict with test-time augmentation too: on mirrored and shifted views")
    add("--explain", action="store_true", help="write IMAGE.explained.png beside each image: what speaks for its class")
    add("--explain-to", type=options.path, metavar="FOLDER", help="write the explanations there instead")
    add("--explain-class", metavar="CLASS", help="explain this class, not the most probable one")
    as_data = parser.add_mutually_exclusive_group()
    as_data.add_argument("--json", action="store_true", help="print one JSON object a line, with all classes")
    as_data.add_argument("--csv", action="store_true", help="print a table as CSV: file,class,probability,unsure")
    add("--sort-into", type=options.path, metavar="FOLDER", help="copy images into FOLDER/CLASS or FOLDER/not sure")
    shard_help = "answer for the I-th of N equal parts of the images, so that N processes or machines share them"
    add("--shard", type=options.shard, default=slice(None), metavar="I/N", help=shard_help)
    options.add_trust(parser)
    args = parser.parse_args(argv)
    args.explain |= args.explain_to is not None or args.explain_class is not None
    for option in ("explain", "csv", "sort_into"):
        if getattr(args, option) and len(args.models) > 1:
            parser.error(f"--{option.replace('_', '-')} takes one --model")
    if args.csv and args.tta:
        parser.error("--csv has no column for --tta; pass --json")
    return Settings(**vars(args))


def main(argv=None):
    settings = parse(argv)
    models, any_missing = find_models(settings.models, settings.trust)
    paths, any_unreadable = command.each(pictures.find(settings.images)[settings.shard], readable)
    predictors, any_unopened = command.each(models if paths else [], Predictor)
    if not predictors:
        return 1 if paths or any_unreadable or any_missing else 0  # a shard may be empty
    if not settings.models:
        note(f"model: {printable(models[0].name)} ({printable(models[0].path)})")
    for predictor in predictors:
        if not predictor.saved.info:
            note(f"{printable(predictor.saved.path)} has no run.json beside it, so its classes have no names")
    writers = open_writers(settings, predictors[0])
    failed = any_missing or any_unreadable or any_unopened
    as_text = form(settings, width=max(len(printable(path)) for path in paths))
    for batch in predict_files(paths, predictors, settings.tta):
        for path, predictions in batch:
            failed |= answer(path, predictions, as_text, writers)
    if settings.sort_into:
        note(str(writers[-1]))
    return 1 if failed else 0


def find_models(names, trust):
    """Return the ``SavedModel``s of these names, else the newest one, and whether any name stands for none."""
    return saved.named(names, lambda: [saved.newest_own()], trust)


def readable(path):
    """Return an image's path; raise the ``Problem`` that stands in its place."""
    if isinstance(path, Problem):
        raise path
    return path


def open_writers(settings, predictor):
    """Return what writes files about the pictures: objects with a ``write(path, prediction)``."""
    writers = []
    if settings.explain:
        model = load_keras(predictor.saved.path, predictor.saved.trust)  # a LiteRT copy has no gradients
        from classify.reporting.explanations import Explanations

        writers.append(Explanations(model, predictor.class_names, settings.explain_class, settings.explain_to))
    if settings.sort_into:
        writers.append(Sorting(settings.sort_into, predictor.class_names))
    return writers


def form(settings, width):
    """Return the function of a picture's path and predictions that gives the text to print; print what heads it."""
    if settings.json:
        return charts.as_json
    if settings.csv:
        print(charts.CSV_HEADING, flush=True)
        return charts.as_csv
    return functools.partial(charts.as_text, top=settings.top, width=width)


def answer(path, predictions, as_text, writers):
    """Print what a picture shows and write what is asked for; return whether anything of it failed."""
    if isinstance(predictions, Problem):
        note(str(predictions))
        return True
    print(as_text(path, predictions), flush=True)
    _, failed = command.each(writers, lambda writer: writer.write(path, predictions[0]))
    return failed


if __name__ == "__main__":
    command.run(main)
