"""Measure finished runs and saved models side by side on a split of their data.

  python evaluate.py                      the newest run of each recipe
  python evaluate.py cnn cnn-tutorial     two runs, by name or folder
  python evaluate.py model.keras --data cifar10
  python evaluate.py cnn --data path/to/a/folder/of/pictures
  python evaluate.py cnn --calibrate      make its percentages trustworthy
  python evaluate.py --check-labels       also list labels that look wrong
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
from classify.evaluation import labels, subject
from classify.reporting import terminal
from classify.runs import folder, saved

ROBUST_IMAGES = 1000


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the command line asks for.

    Attributes:
        models: runs' folders or names, or ``.keras`` files; none for the newest run of each recipe.
        split: what to measure on: 'test', 'validation' or 'train'.
        data, data_dir, label, csv_order: where that is from; None for what each model was trained on.
        calibrate: whether to build a temperature into each run's model first.
        tta, precision: whether to measure with test-time augmentation too; 'auto' or 'float32' for that and below.
        robust_images: how many images to corrupt and measure on too; 0 for none.
        json: whether to print JSON instead of tables.
        check_labels: whether to list the labels that are probably wrong too.
        trust: whether built-in layers may be in the models that this project's models do not have.
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
    csv_order: str | None = None
    check_labels: bool = False
    precision: str = "auto"
    trust: bool = False


def parse(argv=None):
    """Return the ``Settings`` that a command line asks for."""
    parser = options.Parser(__doc__)
    add = parser.add_argument
    add("models", nargs="*", metavar="RUN or MODEL", help="default: the newest run of each recipe")
    add("--split", choices=("test", "validation", "train"), default="test", help="what to measure on. Default: test")
    add("--calibrate", action="store_true", help="first build a temperature, fitted on validation, into each model")
    add("--tta", action="store_true", help="measure with test-time augmentation too: images mirrored and shifted")
    add("--json", action="store_true", help="print one JSON object instead of tables")
    add("--robust", action="store_true", help="measure on corrupted images too: noise, blur, JPEG …")
    add("--robust-images", type=options.whole_number(1), metavar="N", help=f"on so many. Default: {ROBUST_IMAGES}")
    add("--check-labels", action="store_true", help="list the pictures whose label is probably wrong too")
    precision_help = "of --tta and --robust with InceptionV3. Default: bfloat16 where that is native"
    add("--precision", choices=("auto", "float32"), default="auto", help=precision_help)
    options.add_data(parser, help="measure on this data: {}. Default: what each model was trained on")
    options.add_trust(parser)
    args = parser.parse_args(argv)
    if (args.calibrate or args.check_labels) and (args.data or args.label or args.split != "test"):
        name = "--calibrate" if args.calibrate else "--check-labels"
        parser.error(f"{name} takes neither --data nor --label nor --split: each run uses its own data")
    robust_images = args.robust_images or (ROBUST_IMAGES if args.robust else 0)
    values = vars(args) | {"models": tuple(args.models), "robust_images": robust_images}
    del values["robust"]
    return Settings(**values)


def main(argv=None):
    settings = parse(argv)
    if settings.check_labels:
        labels.check_installed()
    models, any_missing = saved.named(settings.models, saved.newest_of_each_recipe, settings.trust)
    groups = subject.by_data(models, settings.data, named=bool(settings.models))
    command.start_keras()
    results, any_unread = command.each(groups, functools.partial(evaluate, settings=settings, reports=set()))
    models, comparisons = (sum((result[part] for result in results), []) for part in range(2))
    if settings.json:
        print(json.dumps({"version": 1, "models": models, "comparisons": comparisons}, indent=2))
    any_failed = any(failed for _, _, failed in results)
    return 1 if any_missing or any_unread or any_failed else 0


def evaluate(models, settings, reports):
    """Measure models that share their data, print tables and write a report.

    Args:
        models: the ``SavedModel``s.
        settings: the ``Settings``.
        reports: the files of the reports so far, a set; this one is added.

    Returns the JSON's entries of the models and of their comparisons, and whether anything failed.
    """
    from classify.evaluation import measuring  # these import Keras
    from classify.transfer import shortcut
    from classify.transfer.folds import check_labels

    where = (settings.data, settings.data_dir, settings.label, settings.csv_order)
    measured = subject.find(models, settings.split, *where)
    extras = {"with_tta": settings.tta, "robust_images": settings.robust_images, "precision": settings.precision}
    ask = functools.partial(measuring.measure, subject=measured, calibrate=settings.calibrate, **extras)
    measurements, failed = command.each(models, functools.partial(ask, shortcut=shortcut.find))
    if not measurements:
        return [], [], True
    comparisons = measuring.compare(measurements, measured.largest)
    asked = [measurements] if settings.check_labels else []
    checks, unchecked = command.each(asked, functools.partial(check_labels, subject=measured))
    rows = [measurement.row for measurement in measurements]
    if not settings.json:
        terminal.show_evaluation(rows, comparisons, measured.source.title)
    written = write_report(measured.largest, measurements, comparisons, reports, *checks)
    return rows, comparisons, failed or unchecked or not written


def write_report(split, measurements, comparisons, reports, check=None):
    """Write the page for a browser, and a ``LabelCheck`` as CSV; say where; return whether that could be done."""
    from classify.reporting import html  # matplotlib, which --help need not wait for

    file = folder.report_file(split.source.name, split.name)
    if file in reports:  # of another folder of that name
        file = folder.report_file(f"{split.source.name}-{split.source.fingerprint()[:8]}", split.name)
    reports.add(file)
    try:
        files.write_text(file, html.render(split, measurements, comparisons, check))
        command.note(str(file))
        if check:
            table = file.with_name(f"{file.stem.replace('report', 'labels', 1)}.csv")
            files.write_text(table, labels.as_csv(check))
            command.note(str(table))
    except OSError as error:  # the figures are printed all the same
        command.note(f"there is no report: {command.describe(error)}")
        return False
    return True


if __name__ == "__main__":
    command.run(main)
