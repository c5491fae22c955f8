"""Models measured on a split of the data they share, and what the differences between them are worth."""

import functools
import time

from classify.command import Problem
from classify.data import sources as data
from classify.evaluation import calibration, metrics, robustness
from classify.inference import predictor as inference
from classify.inference import tta as views
from classify.reporting import html as page


class Evaluation:
    """Measures models on a split that is read once.

    Args:
        group: ``SavedModel``s of the same data.
        args: what evaluate.py was told; the data, where they are and the validation share default to those of the
            first run in the group.
    """

    def __init__(self, group, args):
        trained = next((model.options for model in group if model.data), {})
        option = args.data or trained.get("data") or next(model.data for model in group if model.data)
        self.args = args
        self.source = data.find(option, args.data_dir or trained.get("data_dir"))
        self.share = trained.get("validation", 0.1)
        self.split = data.read_split(self.source, args.split, self.share)
        robust = args.robust or args.robust_images
        self.sample = robustness.sample(self.split, args.robust_images or 1000) if robust else None
        self.measured = []

    def __call__(self, saved):
        """Return metrics.json's entries for a ``SavedModel``, what was asked for beside them, and what it costs."""
        model = self._open(saved)
        calibrated = calibration.calibrate(model, saved, self.source) if self.args.calibrate else None
        probabilities, seconds = self._predict(model, saved.name)
        self.measured.append((saved, probabilities))
        measured = {"data": self.source.name, "split": self.args.split}
        measured |= metrics.measure(self.split.labels, probabilities, self.source.class_names)
        row = {"name": saved.name, **measured, "calibration": metrics.calibration(self.split.labels, probabilities)}
        if calibrated:
            calibration.save(model, saved, calibrated, measured)
            row["calibrated"] = calibrated
        if self.args.tta:
            row["tta"] = self._averaged(model, saved.name)
        if self.sample:
            row["robustness"] = robustness.measure(model, self.sample, saved.name)
        return row | {
            "parameters": model.count_params(),
            "bytes": saved.path.stat().st_size,
            "images_per_second": round(len(self.split) / seconds, 1),
        }

    def compare(self):
        """Return the most accurate model's comparison with each other one."""
        labels, names = self.split.labels, self.source.class_names
        predicted = [(saved.name, probabilities.argmax(axis=1)) for saved, probabilities in self.measured]
        ranked = sorted(predicted, key=lambda model: -(model[1] == labels).mean())
        return [
            {"models": [ranked[0][0], other], **metrics.compare(labels, ranked[0][1], predicted, names)}
            for other, predicted in ranked[1:]
        ]

    def page(self, rows, comparisons):
        """Return the report on all models measured, as HTML."""
        return page.render(self.source, self.args.split, self.split, rows, comparisons, self.measured)

    def _open(self, saved):
        """Return the Keras model, or raise ``Problem`` if it cannot be measured on this split."""
        if self.args.split != "test" and saved.options.get("validation", self.share) != self.share:
            raise Problem(f"{saved.name} held out another share of the training images; measure it on its own")
        if not len(self.split):
            raise Problem(f"{saved.name} was trained with --validation 0, so it has no validation split")
        model = inference.load_model(saved.path)
        class_names = saved.class_names(model.output_shape[-1])
        if len(class_names) != len(self.source.class_names) or (saved.info and class_names != self.source.class_names):
            raise Problem(f"{saved.name} knows other classes than {self.source.title}")
        if model.input_shape[1:] != self.split.images.shape[1:]:
            raise Problem(f"{saved.name} takes images of another size than those of {self.source.title}")
        return model

    def _predict(self, model, name):
        """Return the probabilities of the split's images and the seconds they took."""
        last = len(self.split) % inference.BATCH_SIZE  # the size of the last batch: both sizes are compiled first
        inference.predict(model, self.split.images[: inference.BATCH_SIZE + last])
        start = time.perf_counter()
        probabilities = inference.predict(model, self.split.images, name)
        return probabilities, time.perf_counter() - start

    def _averaged(self, model, name):
        """Return the accuracy with test-time augmentation, with its interval."""
        predict = functools.partial(inference.predict, model, doing=f"{name}, views")
        probabilities = views.average(predict, self.split.images, self.source.mirrored)
        right, n = int((probabilities.argmax(axis=1) == self.split.labels).sum()), len(self.split)
        return {"accuracy": right / n, "accuracy_interval": metrics.wilson_interval(right, n)}
