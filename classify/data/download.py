"""Downloads: a word within seconds from a host, then a bar with the time left.

TFDS's own download asks a silent host for minutes without a word, and its ``try_gcs`` is switched off inside TFDS
4.9.10, so both are done here, over HTTPS.
"""

import base64
import hashlib
import http.client
import json
import os
import shutil
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from classify.command import describe, note
from classify.files import whole
from classify.progress import live

BUCKET = "https://storage.googleapis.com/storage/v1/b/tfds-data/o"
PATIENCE = 9  # seconds for a host to answer, and between two pieces; two hosts are asked, within 20 s


class Unreachable(Exception):
    """A host did not answer, or did not send what it should; the message names the host and says why."""


def fetch_prepared(name, data_dir, title):
    """Copy a prepared data set such as ``cifar10/3.0.2`` from TFDS's public bucket into ``data_dir/name``.

    Args:
        name: its folder in the bucket.
        data_dir: the folder where TFDS prepares data sets.
        title: how it is called, for the progress bar.

    Returns:
        That folder. It appears whole or not at all, and replaces no folder that is there already.

    Raises:
        Unreachable: the bucket does not answer or sends something else, or the folder cannot be written.
    """
    folder = Path(data_dir) / name
    ask(BUCKET, title)
    files = _listed(name)
    part = folder.parent / f".part-{os.getpid()}"
    try:
        part.mkdir(parents=True, exist_ok=True)
        with _bar() as bar:
            task = bar.add_task(title, total=sum(size for *_, size in files))
            for link, file, md5, _ in files:
                digest = hashlib.md5(usedforsecurity=False)
                with connect(link) as response:
                    _receive(response, link, part / file, digest, bar, task)
                if base64.b64encode(digest.digest()).decode() != md5:
                    raise Unreachable(f"{_host(BUCKET)} sent a damaged {file}")
        part.rename(folder)  # not files.whole, which would delete a folder of the user's at this place
    except OSError as error:
        raise Unreachable(f"{folder.parent} cannot be written ({describe(error)})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def fetch_file(url, path, name, digest, expected):
    """Download a file; it appears whole or not at all.

    Args:
        url, path: from where, to where. The folder is made.
        name: what it is, for the progress bar.
        digest: a new ``hashlib`` object.
        expected: the hexadecimal digest that the file must come to.

    Raises:
        Unreachable: the host does not answer or sends something else, or the file cannot be written.
    """
    ask(url, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as part:
            with connect(url) as response, _bar() as bar:
                size = response.headers["Content-Length"]
                task = bar.add_task(name, total=int(size) if size else None)
                _receive(response, url, part, digest, bar, task)
            if digest.hexdigest() != expected:
                raise Unreachable(f"{_host(url)} sent a damaged {path.name}")
    except OSError as error:
        raise Unreachable(f"{path.parent} cannot be written ({describe(error)})") from error


def ask(url, title):
    """Say which host is asked for what."""
    note(f"asking {_host(url)} for {title} …")


def _listed(name):
    """Return the files of a prepared data set in the bucket, which lists them in pages.

    Each is its address, its name, its MD5 in base64 and its size in bytes.
    """
    files, page = [], ""
    while page is not None:
        listing = f"{BUCKET}?prefix=datasets/{name}/{page}"
        with connect(listing) as response:
            try:
                answer = json.load(response)
                files += [
                    (item["mediaLink"], Path(item["name"]).name, item["md5Hash"], int(item["size"]))
                    for item in answer["items"]
                ]
                token = answer.get("nextPageToken")
            except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException) as error:
                raise Unreachable(f"{_host(listing)} does not list {name}") from error
        page = f"&pageToken={urllib.parse.quote(token)}" if token else None
    return files


def _receive(response, url, path, digest, bar, task):
    """Write what a host sends to a file, and feed the digest and the bar."""
    with open(path, "wb") as file:
        while piece := receive(response, url):
            file.write(piece)
            digest.update(piece)
            bar.advance(task, len(piece))


def receive(response, url):
    """Return the next piece of what a host sends, as bytes; none at its end.

    Raises:
        Unreachable: nothing comes for ``PATIENCE`` seconds, or less comes than was announced.
    """
    try:
        piece = response.read(1 << 16)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{_host(url)} stopped sending") from error
    if not piece and getattr(response, "length", None):  # what remains of the announced length
        raise Unreachable(f"{_host(url)} stopped sending")
    return piece


def connect(url):
    """Open ``url`` and return the response. A thread does it, since no socket timeout covers the look-up of a name.

    Raises:
        Unreachable: the host does not answer within ``PATIENCE`` seconds.
    """
    outcome = []

    def connect():
        try:
            outcome.append(urllib.request.urlopen(url, timeout=PATIENCE))
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a proxy that is no address
            outcome.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    response = outcome[0] if outcome else TimeoutError()
    if isinstance(getattr(response, "reason", response), TimeoutError):
        raise Unreachable(f"{_host(url)} did not answer within {PATIENCE} s")
    if isinstance(response, Exception):
        raise Unreachable(f"{_host(url)} did not answer ({_reason(response)})") from response
    return response


def _reason(error):
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code}"
    reason = getattr(error, "reason", error)
    return getattr(reason, "strerror", None) or str(reason)


def _host(url):
    return urllib.parse.urlsplit(url).netloc


def _bar():
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return live(*columns, TimeRemainingColumn())
