"""What run.json, or the .json beside a model file, says of a model: its entries, and what each of them may be."""

import json
import sys

from classify.command import Problem, describe, printable


def _is_text(value):
    return isinstance(value, str)


def _is_number(value):
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max  # JSON as Python reads it knows NaN and Infinity too


def _is_count(value):
    return _is_number(value) and isinstance(value, int) and value >= 0


def _is_object_of(fits):
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


def _are_names(value):
    return isinstance(value, list) and all(map(_is_text, value)) and len(set(value)) == len(value)


def _is_rule(value):
    if not (isinstance(value, dict) and _is_text(value.get("score")) and _is_number(value.get("threshold"))):
        return False
    return not value.keys() & {"weight", "mean", "precision"} or _has_statistics(value)


def _has_statistics(rule):
    mean, precision = rule.get("mean"), rule.get("precision")
    square = _are_numbers(mean) and isinstance(precision, list) and len(precision) == len(mean)
    return square and all(_are_numbers(row, len(mean)) for row in precision) and _is_number(rule.get("weight"))


def _are_numbers(value, length=None):
    return isinstance(value, list) and all(map(_is_number, value)) and len(value) == (length or len(value))


LARGEST = 2**22  # bytes; 20,000 class names take a tenth of it
TEXT = "a text", _is_text
TEXT_OR_NULL = "a text or null", lambda value: value is None or _is_text(value)
COUNT = "a whole number, 0 or larger", _is_count
COUNT_OR_NULL = "a whole number, 0 or larger, or null", lambda value: value is None or _is_count(value)
SHARE = "a number from 0 to below 1", lambda value: _is_number(value) and 0 <= value < 1
TRUE_OR_FALSE = "true or false", lambda value: isinstance(value, bool)
OBJECT = "an object", lambda value: isinstance(value, dict)
RULE = (
    "null, or an object with score, a text, and threshold, a number, and where it has one of them weight, a number, and"
    " mean and precision, numbers in a row and in a square",
    lambda value: value is None or _is_rule(value),
)

# Every entry may be missing: an older run, or a stranger's file, has fewer of them. Further entries may be there.
ENTRIES = {
    "status": TEXT,
    "recipe": TEXT,
    "options": OBJECT,
    "options.data": TEXT_OR_NULL,
    "options.data_dir": TEXT_OR_NULL,
    "options.label": TEXT_OR_NULL,
    "options.csv_order": TEXT_OR_NULL,
    "options.validation": SHARE,
    "options.test": SHARE,
    "options.limit": COUNT_OR_NULL,
    "data": TEXT,
    "data_fingerprint": TEXT_OR_NULL,
    "reduction": TEXT,
    "mirror": TRUE_OR_FALSE,
    "class_names": ("a list of texts, none of them twice", _are_names),
    "unsure": RULE,
    "splits": ("an object of whole numbers", _is_object_of(_is_count)),
    "seed": COUNT,
    "processor": TEXT,
    "precision": TEXT,
    "seconds": ("a number", _is_number),
    "packages": ("an object of texts", _is_object_of(_is_text)),
    "commit": TEXT_OR_NULL,
    "temperature": ("a number larger than 0", lambda value: _is_number(value) and value > 0),
    "validation_fingerprint": TEXT_OR_NULL,
}


def read(file):
    """Return what a description says, as a dictionary in which every entry that is there is one of ``ENTRIES``' kind.

    Raises:
        Problem: the file cannot be read, is no JSON object, or an entry has another type; it names file and entry.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise _problem(file, f"it is larger than {LARGEST:,} bytes")
        info = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Problem(describe(error)) from error
    except (ValueError, RecursionError) as error:
        raise _problem(file, "it is no JSON") from error
    if not isinstance(info, dict):
        raise _problem(file, "it is no JSON object")
    for name, (words, fits) in ENTRIES.items():
        *outer, key = name.split(".")
        entries = info.get(outer[0], {}) if outer else info
        if key in entries and not fits(entries[key]):
            raise _problem(file, f"its entry {name} is not {words}")
    return info


def _problem(file, what):
    return Problem(f"{printable(file)} is not a run's description: {what}; delete it or train again")
