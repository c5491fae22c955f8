"""What a look through one's own pictures finds: how many, how large, which cannot be read, which are there twice."""

import numpy as np

from classify.command import Problem, printable, some
from classify.files import write_text

UNREADABLE_SHARE = 0.05  # above it the folder is not what the user thinks it is
MANY_MORE = 3  # times as many pictures of one class as of another: worth a word
FEW_CLASSES = 10  # so many are counted one by one


def check_readable(path, folder, files, facts):
    """Write the files that cannot be read, and why, to unreadable.txt in the store's folder; return a line, or "".

    Raises:
        Problem: they are more than a twentieth of all.
    """
    unreadable = [(file, fact["problem"]) for file, fact in zip(files, facts, strict=True) if "problem" in fact]
    if not unreadable:
        return ""
    listing = folder / "unreadable.txt"
    write_text(listing, "".join(f"{printable(file)}: {problem}\n" for file, problem in unreadable))
    reason = f"{some([file for file, _ in unreadable])} (and why: {printable(listing)})"
    if len(unreadable) > UNREADABLE_SHARE * len(files):
        raise Problem(
            f"{len(unreadable):,} of the {len(files):,} pictures in {printable(path)} cannot be read; mend or remove"
            f" them: {reason}"
        )
    return f"{_counted(len(unreadable), 'file')} cannot be read: {reason}"


def findings(split, facts, class_names, parts):
    """Return what a person should know of the pictures of all splits before training, as a list of lines.

    Args:
        split: a ``Split`` of all readable pictures.
        facts: what is known of each, dictionaries with ``size``, (width, height).
        class_names: by label.
        parts: the name of the split that each stands in, an array of texts.
    """
    counts = np.bincount(split.labels, minlength=len(class_names))
    by_part = {part: np.bincount(split.labels[parts == part], minlength=len(class_names)) for part in _unique(parts)}
    lines = [f"{part}: {_classes(numbers, class_names)}" for part, numbers in by_part.items()]
    sizes = np.fromiter((fact["size"] for fact in facts), np.dtype((int, 2)), len(split))
    smallest, middle, largest = (sizes[np.argsort(sizes.prod(axis=1))[i]] for i in (0, len(sizes) // 2, -1))
    if (sizes == smallest).all():
        lines.append(f"all of {_size(smallest)} pixels")
    else:
        lines.append(f"sizes {_size(smallest)} to {_size(largest)}, half of them up to {_size(middle)}")
    if counts.max() > MANY_MORE * counts.min():
        most, fewest = (printable(class_names[i]) for i in (counts.argmax(), counts.argmin()))
        times = counts.max() / max(1, counts.min())
        lines.append(f"{times:.0f} times as many pictures of {most} as of {fewest}: try --class-weight balanced")
    return lines + _copies(split, parts)


def _unique(parts):
    """Return the names of the splits in their order."""
    return list(dict.fromkeys(parts.tolist()))


def _classes(counts, class_names):
    if len(class_names) > FEW_CLASSES:
        return f"{len(class_names):,} classes of {counts.min():,} to {counts.max():,} pictures"
    return " · ".join(f"{n:,} {printable(name)}" for n, name in zip(counts, class_names, strict=True))


def _copies(split, parts):
    """Return a line on the copies within a class and a split, and one on those with different labels."""
    order = np.argsort(split.prints, kind="stable")
    starts = np.flatnonzero(np.diff(split.prints[order], prepend=~split.prints[order[:1]]))
    lengths = np.diff(starts, append=len(order))
    several = lengths > 1  # few, as a rule: an array for each picture would fill memory
    groups = [order[a : a + n] for a, n in zip(starts[several], lengths[several], strict=True)]
    same = [rows for rows in groups if len(set(split.labels[rows])) == len(set(parts[rows])) == 1]
    different = [rows for rows in groups if len(set(split.labels[rows])) > 1]
    lines = []
    if same:
        further = sum(len(rows) - 1 for rows in same)
        lines.append(f"{_counted(further, 'picture')} there more than once: {some(_pairs(split, same))}")
    if different:
        pairs = some(_pairs(split, different))
        lines.append(f"{_counted(len(different), 'picture')} there with different labels: {pairs}")
    return lines


def _pairs(split, groups):
    return [f"{split.files[rows[0]]} = {split.files[rows[1]]}" for rows in groups]


def _counted(n, noun):
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _size(size):
    return f"{size[0]:,} x {size[1]:,}"
