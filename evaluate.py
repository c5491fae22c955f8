"""Measure finished runs and saved models side by side on a split of their data.

  python evaluate.py                      the newest run of each recipe
  python evaluate.py cnn cnn-tutorial     two runs, by name or folder
  python evaluate.py model.keras --data cifar10
  python evaluate.py cnn --data path/to/a/folder/that/TFDS/prepared
  python evaluate.py cnn --calibrate      make its percentages trustworthy
  python evaluate.py --robust             also on noisy, blurred … images
  python evaluate.py --json > results.json

Each figure comes from the predictions for every image of the split, with its
95 % interval below it; between two models, whether the difference is real.
runs/report.html shows them with pictures, in any browser, and
docs/evaluate.schema.json describes the JSON.
"""

import functools
import json

from classify import command, options
from classify.command import Problem
from classify.reporting import terminal as report
from classify.runs import folder as runs


def parse(argv=None):
    parser = options.Parser(__doc__)
    parser.add_argument("models", nargs="*", metavar="RUN or MODEL", help="default: the newest run of each recipe")
    parser.add_argument(
        "--split", choices=("test", "validation", "train"), default="test", help="what to measure on. Default: test"
    )
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="first fit a temperature on each run's validation images and build it into its model.keras",
    )
    parser.add_argument(
        "--tta", action="store_true", help="measure with test-time augmentation too: views mirrored and shifted"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--robust", action="store_true", help="measure on corrupted images too: noise, blur, JPEG …")
    parser.add_argument("--robust-images", type=options.whole_number(1), metavar="N", help="on so many. Default: 1000")
    options.add_data(parser, help="measure on this data: {}. Default: what each model was trained on")
    args = parser.parse_args(argv)
    if args.calibrate and (args.data or args.split != "test"):
        parser.error("--calibrate takes neither --data nor --split: each run has its own")
    return args


def main(argv=None):
    args = parse(argv)
    models, failed = command.each(args.models, runs.find) if args.models else (runs.newest_of_each_recipe(), False)
    groups = by_data(models, args)
    command.start_keras()
    results, any_failed = command.each(groups, functools.partial(measure_group, args=args))
    if args.json:
        models, comparisons = (sum((result[part] for result in results), []) for part in range(2))
        found = {"version": 1, "models": models, "comparisons": comparisons}
        print(json.dumps(found, indent=2, ensure_ascii=False))
    return 1 if failed or any_failed or any(result[2] for result in results) else 0


def by_data(models, args):
    """Return the models in lists that share their data; models that were named must all share it."""
    if args.data:
        return [models] if models else []
    known = list(dict.fromkeys(model.data for model in models if model.data))
    if args.models and len(known) > 1:
        raise Problem(f"models named together must share their data; these are of {' and '.join(known)}", status=2)
    if models and not known:
        raise Problem(f"{models[0].path} does not say what it was trained on; pass --data")
    return [[model for model in models if model.data in (name, None)] for name in known]


def measure_group(group, args):
    """Measure models that share their data and show it; return (rows, comparisons, whether anything failed)."""
    from classify.evaluation.measuring import Evaluation

    evaluation = Evaluation(group, args)
    rows, failed = command.each(group, evaluation)
    comparisons = evaluation.compare()
    if rows and not args.json:
        show(rows, comparisons, evaluation.source.title)
    if rows:
        file = runs.report_file(evaluation.source.name, args.split)
        try:
            runs.write_text(file, evaluation.page(rows, comparisons))
            command.note(str(file))
        except OSError as error:  # what was measured is worth having all the same
            command.note(f"there is no report: {command.describe(error)}")
            failed = True
    return rows, comparisons, failed


def show(rows, comparisons, title):
    """Print what calibration did, one data set's tables of all models, what each difference is worth, the classes."""
    for row in rows:
        if "calibrated" in row:
            report.show(*report.calibrated(row), "")
    split, n = rows[0]["split"], rows[0]["n"]
    report.show(f"{title} {split}, {n:,} images; below each figure its 95 % interval\n", report.comparison(rows), "")
    if "tta" in rows[0]:
        report.show(report.views(rows), "")
    report.show(report.confidence_and_cost(rows), "")
    for comparison in comparisons:
        report.show(report.verdict(comparison), "")
    for table in (report.per_class, report.robustness) if "robustness" in rows[0] else (report.per_class,):
        for first in range(0, len(rows), report.MODELS_A_TABLE):
            report.show(table(rows[first : first + report.MODELS_A_TABLE]), "")


if __name__ == "__main__":
    command.run(main)
