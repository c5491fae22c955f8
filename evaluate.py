"""Measure finished runs and saved models side by side on a split of their data.

  python evaluate.py                      the newest run of each recipe
  python evaluate.py cnn cnn-tutorial     two runs, by name or folder
  python evaluate.py model.keras --data cifar10
  python evaluate.py cnn --data path/to/a/folder/that/TFDS/prepared
  python evaluate.py cnn --calibrate      make its percentages trustworthy
  python evaluate.py --robust             also on noisy, blurred … images
  python evaluate.py --json > results.json

Each figure comes from the predictions for every image of the split. Below it
stands its 95 % interval. For two models it also says whether the difference
may be chance. runs/report.html shows the same with pictures, in any browser.
docs/evaluate.schema.json describes the JSON.
"""

import dataclasses
import functools
import json

from classify import command, files, options
from classify.command import Problem
from classify.reporting import terminal
from classify.runs import folder, saved

ROBUST_IMAGES = 1000


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the command line asks for.

    Attributes:
        models: runs' folders or names, or ``.keras`` files; none for the newest run of each recipe.
        split: what to measure on: 'test', 'validation' or 'train'.
        data, data_dir, label: where that is from; None for what each model was trained on.
        calibrate: whether to build a temperature into each run's model first.
        tta: whether to measure with test-time augmentation too.
        robust_images: how many images to corrupt and measure on too; 0 for none.
        json: whether to print JSON instead of tables.
    """

    models: tuple[str, ...]
    split: str
    data: str | None
    data_dir: str | None
    label: str | None
    calibrate: bool
    tta: bool
    robust_images: int
    json: bool


def parse(argv=None):
    """Return the ``Settings`` that a command line asks for."""
    parser = options.Parser(__doc__)
    add = parser.add_argument
    add("models", nargs="*", metavar="RUN or MODEL", help="default: the newest run of each recipe")
    add("--split", choices=("test", "validation", "train"), default="test", help="what to measure on. Default: test")
    add(
        "--calibrate",
        action="store_true",
        help="first fit a temperature on each run's validation images and build it into its model.keras",
    )
    add("--tta", action="store_true", help="measure with test-time augmentation too: images mirrored and shifted")
    add("--json", action="store_true", help="print one JSON object instead of tables")
    add("--robust", action="store_true", help="measure on corrupted images too: noise, blur, JPEG …")
    add("--robust-images", type=options.whole_number(1), metavar="N", help=f"on so many. Default: {ROBUST_IMAGES}")
    options.add_data(parser, help="measure on this data: {}. Default: what each model was trained on")
    args = parser.parse_args(argv)
    if args.calibrate and (args.data or args.label or args.split != "test"):
        parser.error("--calibrate takes neither --data nor --label nor --split: each run uses its own data")
    robust_images = args.robust_images or (ROBUST_IMAGES if args.robust else 0)
    values = vars(args) | {"models": tuple(args.models), "robust_images": robust_images}
    del values["robust"]
    return Settings(**values)


def main(argv=None):
    settings = parse(argv)
    models, any_missing = find_models(settings.models)
    groups = by_data(models, settings.data, named=bool(settings.models))
    command.start_keras()
    results, any_unread = command.each(groups, functools.partial(evaluate, settings=settings))
    models, comparisons = (sum((result[part] for result in results), []) for part in range(2))
    if settings.json:
        print(json.dumps({"version": 1, "models": models, "comparisons": comparisons}, indent=2))
    any_failed = any(failed for _, _, failed in results)
    return 1 if any_missing or any_unread or any_failed else 0


def find_models(names):
    """Return the ``SavedModel``s of these names, or of the newest runs, and whether any name stands for none."""
    models, any_missing = command.each(names, saved.find) if names else (saved.newest_of_each_recipe(), False)
    return saved.told_apart(models), any_missing


def by_data(models, data, named):
    """Return the models in lists that share their data.

    Args:
        models: ``SavedModel``s.
        data: what all are measured on; None for what each was trained on.
        named: whether the user named the models. Then all must share their data.
    """
    if data:
        return [models] if models else []
    known = list(dict.fromkeys(model.data for model in models if model.data))
    if named and len(known) > 1:
        names = command.printable(" and ".join(known))
        raise Problem(f"models named together must share their data; these are of {names}", status=2)
    if models and not known:
        raise Problem(f"{command.printable(models[0].path)} does not say what it was trained on; pass --data")
    return [[model for model in models if model.data in (name, None)] for name in known]


def evaluate(models, settings):
    """Measure models that share their data, print tables and write a report.

    Returns the JSON's entries of the models and of their comparisons, and whether anything failed.
    """
    from classify.evaluation import measuring, robustness  # these import Keras

    split = measuring.read(models, settings.split, settings.data, settings.data_dir, settings.label)
    sample = robustness.sample(split, settings.robust_images) if settings.robust_images else None
    extras = {"calibrate": settings.calibrate, "with_tta": settings.tta, "sample": sample}
    measurements, failed = command.each(models, functools.partial(measuring.measure, split=split, **extras))
    comparisons = measuring.compare(measurements, split)
    rows = [measurement.row for measurement in measurements]
    if rows and not settings.json:
        terminal.show_evaluation(rows, comparisons, split.source.title)
    written = write_report(split, measurements, comparisons) if rows else True
    return rows, comparisons, failed or not written


def write_report(split, measurements, comparisons):
    """Write the page for a browser and say where it is; return whether it could be written."""
    from classify.reporting import html  # matplotlib, which --help need not wait for

    file = folder.report_file(split.source.name, split.name)
    try:
        files.write_text(file, html.render(split, measurements, comparisons))
        command.note(str(file))
    except OSError as error:  # the figures are printed all the same
        command.note(f"there is no report: {command.describe(error)}")
        return False
    return True


if __name__ == "__main__":
    command.run(main)
