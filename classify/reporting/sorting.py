"""Pictures copied into folders, one a class."""

import collections
import filecmp
import io
import re
import shutil
from pathlib import Path

from PIL import Image

from classify.command import Problem, describe, note, printable
from classify.data import pictures
from classify.files import whole

NOT_SURE = "not sure"  # the folder beside the classes'
NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*]')  # by some systems
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # by Windows
LONGEST = 240  # bytes of a folder's name; most systems take 255
ENDINGS = {"JPEG2000": "jp2", "MPO": "jpeg"}  # of files, by Pillow's formats; else the format's name in small letters


class Sorting:
    """Copies pictures into folders, one a class; those that the model is not sure of go into ``not sure`` beside them.

    A file is never overwritten: a picture whose name is taken gets a number. Where the file that is there holds the
    same bytes, the picture is in its place already and is not copied again.

    Args:
        folder: where the folders of the classes shall be; they are made when they are needed.
        class_names: one name a class. What no folder can be called is changed, which is said.

    Raises:
        Problem: ``folder`` is a file.
    """

    def __init__(self, folder, class_names):
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise Problem(f"--sort-into {printable(folder)} is a file; it takes a folder", status=2)
        self.names = folder_names(class_names)
        self.count = collections.Counter()
        for class_name, name in self.names.items():
            if name != class_name:
                note(f"pictures of {printable(class_name)} go into {printable(self.folder / name)}")

    def write(self, path, prediction):
        """Copy the picture file ``path`` by a model's ``Prediction`` and return the path of the copy.

        Raises:
            Problem: it cannot be copied.
        """
        name = NOT_SURE if prediction.unsure else self.names[prediction.best]
        try:
            target = self._copy(path, self.folder / name)
        except OSError as error:
            raise Problem(f"{printable(path)}: cannot be copied ({describe(error)})") from error
        self.count[name] += 1
        return target

    def _copy(self, path, folder):
        content = pictures.standard_input() if str(path) == pictures.STANDARD_INPUT else None
        name = Path(path.name) if content is None else Path(f"stdin.{_ending(content)}")
        folder.mkdir(parents=True, exist_ok=True)
        target, number = folder / name, 2
        while target.exists() or target.is_symlink():
            if _same(target, path, content):
                return target
            target = folder / f"{name.stem}-{number}{name.suffix}"
            number += 1
        with whole(target, sync=False) as beside:
            if content is None:
                shutil.copyfile(path, beside)
            else:
                beside.write_bytes(content)
        return target

    def __str__(self):
        """Return how many pictures are in their places: 'sorted: 12 ants · 5 bees · 1 not sure'."""
        known = [name for name in (*self.names.values(), NOT_SURE) if self.count[name]]
        counts = " · ".join(f"{self.count[name]:,} {printable(name)}" for name in known)
        return f"{printable(self.folder)}: {counts or 'no pictures'}"


def folder_names(class_names):
    """Return a dictionary of the folder's name for each class's name, no two of them alike on any system.

    A slash and what else cannot be in a folder's name becomes an underscore.
    """
    names, taken = {}, {NOT_SURE}
    for class_name in class_names:
        first = name = _as_folder(class_name)
        number = 2
        while name.casefold() in taken:  # some systems take Cat and cat for the same
            name = f"{first}-{number}"
            number += 1
        taken.add(name.casefold())
        names[class_name] = name
    return names


def _as_folder(text):
    name = NOT_IN_NAMES.sub("_", "".join("_" if printable(character) != character else character for character in text))
    name = name.encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore").strip(". ")
    return f"{name}_" if not name or RESERVED.fullmatch(name) else name


def _same(target, path, content):
    """Return whether a file holds a picture's bytes: those of the file ``path``, or ``content`` where that is given."""
    if not target.is_file():
        return False
    return filecmp.cmp(target, path, shallow=False) if content is None else target.read_bytes() == content


def _ending(content):
    with Image.open(io.BytesIO(content)) as image:
        return ENDINGS.get(image.format, image.format.lower())
