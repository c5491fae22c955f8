"""Fetching what is not at hand: a word within seconds from a host, then a bar with time left.

TFDS's own download retries a silent host for minutes without a word, and its ``try_gcs`` is switched off
inside TFDS 4.9.10, so both are done here, over HTTPS.
"""

import base64
import contextlib
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

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from classify.command import describe, note

BUCKET = "https://storage.googleapis.com/storage/v1/b/tfds-data/o"
PATIENCE = 9  # seconds for a host to answer, and between two pieces; two hosts are asked, within 20 s


class Unreachable(Exception):
    """A host did not answer, or did not send what it should; the message names the host and says why."""


def fetch_prepared(name, data_dir):
    """Copy a prepared data set such as ``cifar10/3.0.2`` from TFDS's public bucket; return its folder."""
    folder = Path(data_dir) / name
    listing = f"{BUCKET}?prefix=datasets/{name}/"
    note(f"asking {_host(listing)} for CIFAR-10 …")
    with _connect(listing) as answer:
        try:
            files = [
                (item["mediaLink"], Path(item["name"]).name, item["md5Hash"], int(item["size"]))
                for item in json.load(answer)["items"]
            ]
        except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{_host(listing)} does not list {name}") from error
    part = folder.parent / f".part-{os.getpid()}"
    try:
        part.mkdir(parents=True, exist_ok=True)
        with _progress() as progress:
            task = progress.add_task("CIFAR-10", total=sum(size for *_, size in files))
            for link, file, md5, _ in files:
                digest = hashlib.md5(usedforsecurity=False)
                with _connect(link) as answer:
                    _receive(answer, link, part / file, digest, progress, task)
                if base64.b64encode(digest.digest()).decode() != md5:
                    raise Unreachable(f"{_host(listing)} sent a damaged {file}")
        part.rename(folder)
    except OSError as error:
        raise Unreachable(f"{folder.parent} cannot be written ({describe(error)})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def fetch_file(url, path, name, digest, expected):
    """Download ``url`` to ``path`` and return that.

    Args:
        url, path: from where, to where; its folder is made.
        name: what it is, for the progress bar.
        digest: a new ``hashlib`` object; the file must come to the hexadecimal digest ``expected``.
    """
    note(f"asking {_host(url)} for {name} …")
    part = path.parent / f".part-{os.getpid()}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _connect(url) as answer, _progress() as progress:
            size = answer.headers["Content-Length"]
            task = progress.add_task(name, total=int(size) if size else None)
            _receive(answer, url, part, digest, progress, task)
        if digest.hexdigest() != expected:
            raise Unreachable(f"{_host(url)} sent a damaged {path.name}")
        part.replace(path)
    except OSError as error:
        raise Unreachable(f"{path.parent} cannot be written ({describe(error)})") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return path


def _receive(answer, url, path, digest, progress, task):
    with open(path, "wb") as file:
        while piece := _read(answer, url):
            file.write(piece)
            digest.update(piece)
            progress.update(task, advance=len(piece))


def _read(answer, url):
    try:
        return answer.read(1 << 16)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{_host(url)} stopped sending") from error


def _connect(url):
    """Open ``url``. The thread bounds what no socket timeout does: looking up a name."""
    answer = []

    def connect():
        try:
            answer.append(urllib.request.urlopen(url, timeout=PATIENCE))
        except (OSError, http.client.HTTPException) as error:
            answer.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not answer or isinstance(getattr(answer[0], "reason", answer[0]), TimeoutError):
        raise Unreachable(f"{_host(url)} did not answer within {PATIENCE} s")
    if isinstance(answer[0], Exception):
        raise Unreachable(f"{_host(url)} did not answer ({_reason(answer[0])})") from answer[0]
    return answer[0]


def _reason(error):
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code}"
    reason = getattr(error, "reason", error)
    return getattr(reason, "strerror", None) or str(reason)


def _host(url):
    return urllib.parse.urlsplit(url).netloc


def _progress():
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
