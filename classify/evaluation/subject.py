"""What models are measured on: a split of their data or of other data, in each size that one of them takes."""

import dataclasses
from pathlib import Path

import numpy as np

from classify.command import Problem, note, printable, some
from classify.data import sources, splits
from classify.data.dataset import Source, Split
from classify.data.listing import natural


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamedSplit(Split):
    """A ``Split`` that knows what it is.

    Attributes:
        source: the data set.
        name: 'test', 'validation' or 'train'.
        validation, test: the shares, 0 to 1, that are cut from train where the data set brings no such split.
        limit: how many of the training images were trained on; None for all of them.
        fingerprint: ``splits.fingerprint`` of the validation split beside it. None for the test split, and where there
            are no validation images.
    """

    source: Source
    name: str
    validation: float = 0.1
    test: float = 0.2
    limit: int | None = None
    fingerprint: str | None = None


class Subject:
    """A split that models are measured on. It is read once for each size of images that one of them takes.

    Attributes:
        found: the data set as it was found.
        source: the same with the classes of the models, in their order.
        name: 'test', 'validation' or 'train'.
        options: those of the training whose splits are read, a dictionary.
        is_new: whether all of its pictures are new to the models, so that nothing is cut from them.
    """

    def __init__(self, found, name, options, class_names=None, is_new=False):
        self.found, self.name, self.options, self.is_new = found, name, options, is_new
        self.source = dataclasses.replace(found, class_names=class_names or found.class_names)
        self._by_size = {}

    def sized(self, height, width):
        """Return the split with images of this size in pixels, as a ``NamedSplit``; the same images for every size.

        Where the data have a shape of their own, and another is asked for that is no square, they keep their own.

        Raises:
            Problem: the split cannot be read.
        """
        size = height if height == width else None
        if size is None and self.source.shape is None:
            raise Problem(f"the pictures of {self.source.title} are made squares, not {width} x {height} pixels")
        if size not in self._by_size:
            split = self._read(size)
            for other in self._by_size.values():
                if not np.array_equal(split.labels, other.labels) or not np.array_equal(split.files, other.files):
                    which = f"the {self.name} split of {self.source.title}"
                    raise Problem(f"{which} has other images in another size; measure these models one by one")
            self._by_size[size] = split
        return self._by_size[size]

    @property
    def largest(self):
        """The split in the largest size that was read."""
        return max(self._by_size.values(), key=lambda split: split.images[np.arange(1)].shape[1])

    def _read(self, size):
        shares = {"validation": self.options.get("validation", 0.1), "test": self.options.get("test", 0.2)}
        limit, fingerprint = self.options.get("limit"), None
        if self.is_new:
            split = splits.read_new(self.found, size)
        else:
            split = splits.read_split(self.found, self.name, **shares, size=size)
        if self.name != "test":
            validation = self.name == "validation"
            beside = split if validation else splits.read_split(self.found, "validation", **shares, size=size)
            fingerprint = splits.fingerprint(beside) if len(beside) else None
        if self.name == "train" and limit is not None:
            split = split.take(np.arange(min(limit, len(split))))
        # Only now, since the cuts and the fingerprint depend on the labels as they were found.
        labels = np.array([self.source.class_names.index(name) for name in self.found.class_names])[split.labels]
        what = {"source": self.source, "name": self.name, "limit": limit, "fingerprint": fingerprint, **shares}
        return NamedSplit(split.images, labels, split.files, split.prints, **what)


def find(models, name, data=None, data_dir=None, label=None, csv_order=None):
    """Return the ``Subject`` for models: their own data, cut as in their training, or other data.

    Of one's own pictures on which none of them was trained, the test split is what they bring as such, or all of them.

    Args:
        models: ``SavedModel``s, of the same data unless ``data`` is given.
        name: 'test', 'validation' or 'train'.
        data: what ``--data`` takes; None for the data that the models were trained on.
        data_dir: where TFDS data sets are prepared; None for where the training found them.
        label, csv_order: what ``--label`` and ``--csv-order`` take; None for what the models were trained with.

    Raises:
        Problem: the data cannot be had, have changed since the training, or have a class that no model knows.
    """
    trained = next((model for model in models if model.data), None)
    options = trained.options if trained else {}
    if data is None:
        label, csv_order = label or options.get("label"), csv_order or options.get("csv_order")
    found = data or options.get("data") or trained.data
    if data is None and Path(found).is_absolute() and not Path(found).exists():
        gone = f"{printable(found)}, which is not there any more; pass --data with its new place"
        raise Problem(f"{printable(trained.name)} was trained on {gone}")
    source = sources.find(found, data_dir or options.get("data_dir"), label, csv_order)
    for model in models:
        same_place = model.data_fingerprint and model.options.get("data") == source.option
        if same_place and not is_of(model, source):
            changed = f"{source.title} has changed since {printable(model.name)} was trained on it"
            why = f"its {name} images may be among those that were learnt"
            raise Problem(f"{changed}, so {why}; train again, or pass --data with other pictures")
    if data:
        trained = next((model for model in models if is_of(model, source)), None)
    class_names = _class_names(source, models)
    is_new = trained is None and source.fingerprint is not None and name == "test"
    if is_new:
        which = "its test split is" if "test" in source.splits else "all of it is"
        note(f"{source.title}: no model says that it was trained on it, so {which} measured as new pictures")
    return Subject(source, name, trained.options if trained else {}, class_names, is_new)


def is_of(saved, source):
    """Return whether a ``SavedModel`` was trained on these data: of one's own pictures, on the very same."""
    if source.fingerprint is None:
        return saved.data == source.name
    return saved.data_fingerprint == source.fingerprint()


def _class_names(source, models):
    """Return the class names of the first model that knows all the data's classes; the data's own if none has names."""
    known = [(model, tuple(model.info["class_names"])) for model in models if model.info.get("class_names")]
    if not known:
        return source.class_names
    class_names = next((names for _, names in known if set(source.class_names) <= set(names)), None)
    if class_names is None:
        model, names = known[0]
        unknown = some([name for name in source.class_names if name not in names])
        raise Problem(f"{source.title} has classes that {printable(model.name)} does not know: {unknown}")
    if lacking := [name for name in class_names if name not in source.class_names]:
        note(f"{source.title} has no images of {some(lacking)}")
    return class_names


def by_data(models, data, named):
    """Return the models in lists that share their data, in natural order of the data's names.

    Two folders of one name are not the same data, nor is a folder that has changed between two trainings.

    Args:
        models: ``SavedModel``s.
        data: what all are measured on; None for what each was trained on.
        named: whether the user named the models. Then all must share their data.

    Raises:
        Problem: they do not share it, or none says what it was trained on.
    """
    if data:
        return [models] if models else []
    known = {(model.data, model.data_fingerprint): model for model in models[::-1] if model.data}
    if models and not known:
        raise Problem(f"{printable(models[0].path)} does not say what it was trained on; pass --data")
    ordered = sorted(known, key=lambda key: (natural(key[0]), natural(_place(known[key])), key[1] or ""))
    if named and len(known) > 1:
        alike = len({name for name, _ in ordered}) < len(ordered)
        names = [f"{key[0]} ({_place(known[key])})" if alike else key[0] for key in ordered]
        raise Problem(f"models named together must share their data; these are of {printable(' and '.join(names))}", 2)
    return [
        [model for model in models if not model.data or (model.data, model.data_fingerprint) == key] for key in ordered
    ]


def _place(model):
    """Return what ``--data`` took in a model's training."""
    return model.options.get("data") or model.data
