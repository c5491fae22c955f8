"""CSV files in which each row is an image of CIFAR-10's kind: 3,072 values from 0 to 255, and a label at one end."""

import functools
import hashlib
import itertools

import numpy as np

from classify.command import Problem, printable
from classify.data.dataset import Source, Split
from classify.data.sources import batches, folder, prepared
from classify.progress import track

ORDERS = ("cifar", "rgb")  # of a row's values: all red ones, then green, then blue; or pixel by pixel
LABELS = {"label", "labels", "class", "class_name", "target", "category", "y"}  # what a header may call the label
BLOCK = 1000  # rows that are read at a time


def source(path, order=None):
    """Return the ``Source`` of a CSV file, or of a folder with ``train.csv`` and perhaps ``test.csv``.

    The values are whole numbers from 0 to 255. The label, a number or a word, stands before or after them. A header
    row may say which; else it is the end that holds words, or the smaller numbers.

    Args:
        path: the file or folder.
        order: a name in ``ORDERS``; None is CIFAR-10's, ``cifar``.

    Raises:
        Problem: a file is not of this kind, or test has a label that train lacks.
    """
    tables = {"train": _Table(path / "train.csv" if path.is_dir() else path)}
    if path.is_dir() and (path / "test.csv").is_file():
        tables["test"] = _Table(path / "test.csv", tables["train"].label_first)
    texts = {name: table.labels() for name, table in tables.items()}
    class_names, labels = batches.classes(printable(path), texts)

    def read(split, size=None):
        values = tables[split].values(len(labels[split]))
        return Split(values.reshape(-1, 32, 32, 3) if order == "rgb" else batches.images(values), labels[split])

    who = identity(path, [table.file for table in tables.values()], class_names, tuple(tables))
    return Source(**who, class_names=class_names, splits=tuple(tables), read=read)


def identity(path, files, class_names, splits, shape=(32, 32)):
    """Return the arguments of ``Source`` that say which data these are: CIFAR-10 if they look like it, else one's own.

    Without a test split they are one's own in any case: what is cut from them is no test of a model of CIFAR-10.

    Args:
        path: what ``--data`` was given, a file or a folder.
        files: all that is read.
        class_names, splits, shape: as in ``Source``.
    """
    resolved = path.resolve()
    if class_names == batches.CLASS_NAMES and shape == (32, 32) and "test" in splits:
        who = {"name": "cifar10"}
    else:
        name = resolved.name if path.is_dir() else resolved.stem
        name = f"{name}-own" if name in folder.TAKEN else name or "pictures"
        mirror = not prepared.shows_characters(name.lower())
        who = {"name": name, "mirror": mirror, "fingerprint": functools.cache(functools.partial(_fingerprint, files))}
    return {**who, "option": str(resolved), "where": prepared.short_path(path), "shape": shape, "side": min(shape)}


def _fingerprint(files):
    """Return 32 hexadecimal digits that stand for the names and the contents of files."""
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as content:
            digest.update(f"{file.name}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:32]


def fields(line):
    """Return the fields of a line of a CSV file as texts."""
    return [_clean(field) for field in line.split(",")]


def _clean(field):
    return field.strip().strip('"')


def lines(file):
    """Yield the lines of a CSV file that are not empty, each with its number, which begins at 1."""
    with open(file, encoding="utf-8-sig", errors="replace") as text:
        for number, line in enumerate(text, 1):
            if line.strip():
                yield number, line


class _Table:
    """A CSV file of images.

    Attributes:
        file: its path.
        label_first: whether the label stands before the values.
    """

    def __init__(self, file, label_first=None):
        """``label_first``: where the label stands if the header does not say it; None: look for it."""
        self.file, self.name = file, printable(file)
        first = next(lines(file), None)
        if first is None:
            raise Problem(f"{self.name} is empty")
        columns = fields(first[1])
        self._check_columns(columns, first[0])
        self.header = not all(_is_value(field) for field in columns[1:-1])
        named = [field.lower() in LABELS for field in (columns[0], columns[-1])] if self.header else [False, False]
        if named[0] != named[1]:
            self.label_first = named[0]
        else:
            self.label_first = self._first_holds_labels() if label_first is None else label_first

    def _rows(self):
        return itertools.islice(lines(self.file), 1 if self.header else 0, None)

    def _first_holds_labels(self):
        """Return whether the label stands before the values, by the first rows."""
        rows = [line for _, line in itertools.islice(self._rows(), BLOCK)]
        ends = [_clean(line.partition(",")[0]) for line in rows], [_clean(line.rpartition(",")[2]) for line in rows]
        first, last = (max(map(int, end), default=0) if all(map(_is_value, end)) else -1 for end in ends)
        if first == last and rows:
            raise Problem(f"{self.name}: is the label the first column or the last? A header row with label says it")
        return first < last

    def _split(self, line):
        """Return a row's label and the text of its values."""
        label, _, values = line.partition(",") if self.label_first else line.rpartition(",")[::-1]
        return _clean(label), values

    def labels(self):
        """Return the label of each row, a list of texts."""
        labels = []
        for number, line in self._rows():
            label = self._split(line)[0]
            if not label:
                raise Problem(f"{self.name}, row {number:,}: has no label; mend or remove the row")
            labels.append(label)
        if not labels:
            raise Problem(f"{self.name} holds no images, a header row only")
        return labels

    def values(self, count):
        """Return the values of all rows, of which there are ``count``: uint8 of shape (count, 3072)."""
        values, done = np.empty((count, batches.VALUES), "uint8"), 0
        for block in track(self._blocks(), count, f"reading {self.file.name}"):
            values[done : done + len(block)] = block
            done += len(block)
        return values

    def _blocks(self):
        rows = self._rows()
        while block := list(itertools.islice(rows, BLOCK)):
            try:
                texts = [self._split(line)[1] for _, line in block]
                values = np.loadtxt(texts, "uint8", comments=None, delimiter=",", quotechar='"', ndmin=2)
                if values.shape[1] != batches.VALUES:
                    raise ValueError
            except ValueError as error:
                raise self._fault(block) from error
            yield values

    def _fault(self, block):
        """Return a ``Problem`` that names the first row in which something is wrong."""
        for number, line in block:
            columns = fields(line)
            self._check_columns(columns, number)
            values = columns[1:] if self.label_first else columns[:-1]
            wrong = next((value for value in values if not _is_value(value)), None)
            if wrong is not None:
                wrong = printable(wrong[:20]) or "nothing"
                return Problem(f"{self.name}, row {number:,}: holds {wrong}; values are whole numbers from 0 to 255")
        return Problem(f"{self.name}: its rows cannot be read as numbers")

    def _check_columns(self, columns, number):
        if len(columns) != batches.VALUES + 1:
            raise Problem(
                f"{self.name}, row {number:,}: has {len(columns):,} columns; an image is {batches.VALUES:,} values and"
                " a label, separated by commas"
            )


def _is_value(field):
    return field.isascii() and field.isdecimal() and int(field[:4]) <= 255 and len(field) < 5
