"""Measure finished runs and saved models side by side on a split of their data.

  python evaluate.py                         the newest run of each recipe
  python evaluate.py cnn cnn-tutorial        two runs by name, or by folder, or any .keras file
  python evaluate.py cnn --data path/to/tfds/cifar10_jpeg75/1.0.0
  python evaluate.py --json > results.json

Each figure is computed by scikit-learn from the predictions for every image of the split.
"""

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
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options.add_data(parser, help="measure on this data: {}. Default: what each model was trained on")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    models, failed = command.each(args.models, runs.find) if args.models else (runs.newest_of_each_recipe(), False)
    groups = by_data(models, args)
    command.start_keras()
    results = []
    for group in groups:
        rows, any_failed = command.each(group, Measurement(group, args))
        failed |= any_failed
        results += rows
        if rows and not args.json:
            show(rows)
    if args.json:
        print(json.dumps({"version": 1, "models": results}, indent=2, ensure_ascii=False))
    return 1 if failed else 0


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


class Measurement:
    """Measures models on the split that they share, which is read once."""

    def __init__(self, group, args):
        from classify import data

        trained = next((model.info["options"] for model in group if model.info), {})
        self.source = data.find(args.data or trained["data"], args.data_dir or trained.get("data_dir"))
        self.split_name = args.split
        self.split = data.read_split(self.source, args.split, trained.get("validation", 0.1))
        if not len(self.split):
            raise Problem(f"{group[0].name} was trained with --validation 0, so there is no validation split")

    def __call__(self, saved):
        """Return metrics.json's entries for a ``SavedModel``, and what it costs."""
        from classify import inference, metrics

        model = inference.load_model(saved.path)
        class_names = saved.class_names(model.output_shape[-1])
        if len(class_names) != len(self.source.class_names) or (saved.info and class_names != self.source.class_names):
            raise Problem(f"{saved.name} knows other classes than {self.source.title}")
        if model.input_shape[1:] != self.split.images.shape[1:]:
            raise Problem(f"{saved.name} takes images of another size than those of {self.source.title}")
        inference.predict(model, self.split.images[: inference.BATCH_SIZE])  # compiles the prediction
        start = time.perf_counter()
        probabilities = inference.predict(model, self.split.images, saved.name)
        seconds = time.perf_counter() - start
        return {
            "name": saved.name,
            "data": self.source.name,
            "split": self.split_name,
            **metrics.measure(self.split.labels, probabilities, self.source.class_names),
            "parameters": model.count_params(),
            "bytes": saved.path.stat().st_size,
            "images_per_second": round(len(self.split) / seconds, 1),
        }


def show(rows):
    """Print one data set's table, one row a model, and the tables a class."""
    from classify.data import TITLES

    data, split, n = (rows[0][key] for key in ("data", "split", "n"))
    report.show(f"{TITLES.get(data, data)} {split}, {n:,} images\n", report.comparison(rows), "")
    for first in range(0, len(rows), report.MODELS_A_TABLE):
        report.show(report.per_class(rows[first : first + report.MODELS_A_TABLE]), "")


if __name__ == "__main__":
    command.run(main)
