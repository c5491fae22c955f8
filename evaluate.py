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
docs/evaluate.schema.json describes the JSON.
"""

import functools
import json
import time

from classify import command, options, report, runs
from classify.command import Problem


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
        parser.error("--calibrate uses the data that each run was trained on: leave out --data and --split")
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
    """Measure models that share their data and show it; return (rows, comparisons, whether any was not measured)."""
    measurement = Measurement(group, args)
    rows, failed = command.each(group, measurement)
    comparisons = measurement.compare()
    if rows and not args.json:
        show(rows, comparisons, measurement.source.title)
    return rows, comparisons, failed


class Measurement:
    """Measures models on a split that is read once."""

    def __init__(self, group, args):
        from classify import data, robustness

        trained = next((model.options for model in group if model.data), {})
        option = args.data or trained.get("data") or next(model.data for model in group if model.data)
        self.source = data.find(option, args.data_dir or trained.get("data_dir"))
        self.split_name, self.calibrate, self.tta = args.split, args.calibrate, args.tta
        self.share = trained.get("validation", 0.1)
        self.split = data.read_split(self.source, args.split, self.share)
        robust = args.robust or args.robust_images
        self.sample = robustness.sample(self.split, args.robust_images or 1000) if robust else None
        self.predicted = []

    def __call__(self, saved):
        """Return metrics.json's entries for a ``SavedModel``, and what it costs."""
        from classify import calibration, inference, metrics, robustness

        if self.split_name != "test" and saved.options.get("validation", self.share) != self.share:
            raise Problem(f"{saved.name} held out another share of the training images; measure it on its own")
        if not len(self.split):
            raise Problem(f"{saved.name} was trained with --validation 0, so it has no validation split")
        model = inference.load_model(saved.path)
        class_names = saved.class_names(model.output_shape[-1])
        if len(class_names) != len(self.source.class_names) or (saved.info and class_names != self.source.class_names):
            raise Problem(f"{saved.name} knows other classes than {self.source.title}")
        if model.input_shape[1:] != self.split.images.shape[1:]:
            raise Problem(f"{saved.name} takes images of another size than those of {self.source.title}")
        calibrated = calibration.calibrate(model, saved, self.source) if self.calibrate else None
        last = len(self.split) % inference.BATCH_SIZE  # the size of the last batch: both sizes are compiled first
        inference.predict(model, self.split.images[: inference.BATCH_SIZE + last])
        start = time.perf_counter()
        probabilities = inference.predict(model, self.split.images, saved.name)
        seconds = time.perf_counter() - start
        self.predicted.append((saved.name, probabilities.argmax(axis=1)))
        measured = {"data": self.source.name, "split": self.split_name}
        measured |= metrics.measure(self.split.labels, probabilities, self.source.class_names)
        if calibrated:
            calibration.save(model, saved, calibrated, measured)
        return {
            "name": saved.name,
            **measured,
            "calibration": metrics.calibration(self.split.labels, probabilities),
            **({"calibrated": calibrated} if calibrated else {}),
            **({"tta": self.averaged(model, saved.name)} if self.tta else {}),
            "parameters": model.count_params(),
            "bytes": saved.path.stat().st_size,
            "images_per_second": round(len(self.split) / seconds, 1),
            **({"robustness": robustness.measure(model, self.sample, saved.name)} if self.sample else {}),
        }

    def averaged(self, model, name):
        """Return the accuracy with test-time augmentation, with its interval."""
        from classify import inference, metrics, views

        predict = functools.partial(inference.predict, model, doing=f"{name}, views")
        probabilities = views.average(predict, self.split.images, self.source.mirrored)
        right, n = int((probabilities.argmax(axis=1) == self.split.labels).sum()), len(self.split)
        return {"accuracy": right / n, "accuracy_interval": metrics.wilson_interval(right, n)}

    def compare(self):
        """Return the most accurate model's comparison with each other one."""
        from classify import metrics

        labels, names = self.split.labels, self.source.class_names
        ranked = sorted(self.predicted, key=lambda model: -(model[1] == labels).mean())
        return [
            {"models": [ranked[0][0], other], **metrics.compare(labels, ranked[0][1], predicted, names)}
            for other, predicted in ranked[1:]
        ]


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
