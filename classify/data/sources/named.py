"""A data set that TFDS, TensorFlow Datasets, knows by name: prepared before, or downloaded now."""

import contextlib
import difflib
import io
import re
import string
import sys
import threading
import urllib.parse
from pathlib import Path

from classify.command import Problem, describe, printable
from classify.data import download
from classify.data.download import Unreachable
from classify.data.sources import prepared

NAME = re.compile(r"\w+(/[\w.-]+)?(:\d+\.\d+\.\d+)?", re.ASCII)  # mnist, emnist/letters, mnist:3.0.1
CATALOGUE = "https://www.tensorflow.org/datasets/catalog"


def source(name, data_dir=None, label=None):
    """Return the ``Source`` of a data set of images with class labels.

    It is looked for in the data folder and in TFDS's public bucket; else TFDS downloads it from its own host.

    Args:
        name: as TFDS writes it: ``mnist``, ``emnist/letters`` with a configuration, ``mnist:3.0.1`` with a version.
        data_dir: the folder where TFDS prepares data sets; None is TFDS's own default.
        label: as in ``prepared.source``.

    Raises:
        Problem: TFDS knows no such data set, it is not one of images, or it cannot be had.
    """
    shown, folder = printable(name), prepared.data_folder(data_dir)
    if not NAME.fullmatch(name):
        raise _unknown(name)
    import tensorflow_datasets as tfds

    with contextlib.suppress(tfds.core.DatasetNotFoundError):
        copy = tfds.core.read_only_builder.builder_from_files(name, data_dir=folder)
        return prepared.source(Path(copy.data_path), name, label)
    known = tfds.list_builders(with_community_datasets=False)
    if re.split("[/:]", name)[0] not in known:
        raise _unknown(name, known)
    try:
        builder = tfds.builder(name, data_dir=folder)
    except Exception as error:  # a configuration or a version that is unknown, or a package that is missing
        raise Problem(f"TFDS cannot make {shown}: {_reason(error.__cause__ or error)}; see {CATALOGUE}") from error
    prepared.choose(builder, shown, label)  # before something is downloaded in vain
    try:
        download.fetch_prepared(builder.info.full_name, folder, builder.name)
    except Unreachable as bucket:
        try:
            _prepare(builder)
        except Unreachable as host:
            raise Problem(
                f"{shown} could not be loaded: {bucket}; {host}. Try again later, or pass --data-dir with a folder"
                " where TFDS has prepared it"
            ) from host
    return prepared.source(Path(builder.data_path), name, label)


def _unknown(name, known=()):
    """Return a ``Problem`` that says what ``--data`` takes."""
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    takes = "--data takes cifar10, digits, a name from TFDS's catalogue, or a path"
    return Problem(f"there is no data set {printable(name)}: {takes}{hint}")


def _prepare(builder):
    """Let TFDS download and prepare a data set.

    Raises:
        Unreachable: a host did not answer, or stopped sending.
        Problem: the data set must be downloaded by hand, or its files cannot be prepared.
    """
    import tensorflow_datasets as tfds

    tfds.display_progress_bar(sys.stderr.isatty())
    try:
        # Its notices go to standard output, which is for results.
        with _patient(builder.name), contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare()
    except Unreachable:
        raise
    except Exception as error:  # whatever TFDS and the code of the data set raise
        page = f"{CATALOGUE}/{builder.name}"
        if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
            place = printable(builder.data_dir_root / "downloads" / "manual")
            raise Problem(f"{builder.name} must be downloaded by hand, into {place}; see {page}") from error
        raise Problem(f"TFDS could not prepare {builder.name}: {_reason(error)}; see {page}") from error


@contextlib.contextmanager
def _patient(title):
    """Let TFDS's downloads end when a host is silent: by itself it asks for minutes, and waits for ever."""
    from tensorflow_datasets.core.download import downloader

    former, given_up, hosts = downloader._open_url, threading.Event(), set()

    @contextlib.contextmanager
    def open_url(url, **options):
        """As TFDS's own: yield the response, which has an address and headers, and its content in pieces."""
        if given_up.is_set():
            raise Unreachable("another download failed")
        try:
            if downloader._DRIVE_URL.match(url):  # Google asks something back first, which TFDS answers
                with former(url, timeout=download.PATIENCE, **options) as (response, content):
                    yield response, _until(given_up, content)
                return
            url = urllib.parse.quote(url, safe=string.punctuation)  # some have spaces in them
            host = urllib.parse.urlsplit(url).netloc
            if host not in hosts:  # a data set may be thousands of files
                hosts.add(host)
                download.ask(url, title)
            with download.connect(url) as response:
                yield response, _until(given_up, iter(lambda: download.receive(response, url), b""))
        except Unreachable:
            given_up.set()  # the others end too: the program would wait for them at its end
            raise

    downloader._open_url = open_url
    try:
        yield
    finally:
        downloader._open_url = former
        given_up.set()


def _until(given_up, content):
    for piece in content:
        if given_up.is_set():
            return
        yield piece


def _reason(error):
    """Return the first line of an error that says something."""
    if isinstance(error, OSError):
        return describe(error)
    return printable(next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__))
