"""Files that appear whole or not at all."""

import contextlib
import json
import os
import shutil


@contextlib.contextmanager
def whole(path):
    """Yield a path beside ``path`` to write to; what was written becomes ``path`` at once, or not at all.

    It may be a folder too, which takes the place of a former folder.
    """
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield beside
        if beside.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with open(beside, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        if beside.is_dir():
            shutil.rmtree(beside)
        beside.unlink(missing_ok=True)


def write_text(path, text):
    """Write a text file whole, in UTF-8; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path, content):
    """Write a JSON file whole, indented for a person to read."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
