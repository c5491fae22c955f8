import errno
import hashlib
import socket

import pytest

from classify.data import download


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_a_host_that_never_answers_is_given_up(tmp_path, monkeypatch):
    assert 2 * download.PATIENCE < 20
    monkeypatch.setattr(download, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(download.Unreachable, match="did not answer within 0.3 s"):
            download.fetch_file(f"{address}/archive", tmp_path / "archive", "CIFAR-10", hashlib.sha256(), "")


def test_a_full_disk_is_a_download_that_failed(server, tmp_path, monkeypatch):
    """So that a plain `python train_cnn.py` goes on with digits."""
    (server[1] / "archive").write_bytes(b"content")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_receive", full)
    with pytest.raises(download.Unreachable, match="cannot be written .*the disk is full"):
        download.fetch_file(f"{server[0]}/archive", tmp_path / "archive", "CIFAR-10", hashlib.sha256(), "")


def test_a_bucket_that_answers_something_else_is_unreachable(server, tmp_path, monkeypatch):
    (server[1] / "bucket").write_text("<html>please log in</html>")
    monkeypatch.setattr(download, "BUCKET", f"{server[0]}/bucket")
    with pytest.raises(download.Unreachable, match="does not list"):
        download.fetch_prepared("cifar10/3.0.2", tmp_path, "CIFAR-10")


def test_a_proxy_that_is_no_address_is_said_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("http_proxy", "http:/no-address")
    monkeypatch.setattr("urllib.request._opener", None)  # it remembers the proxies of its first use
    monkeypatch.setattr(download, "BUCKET", "http://example.invalid/bucket")
    with pytest.raises(download.Unreachable, match="example.invalid did not answer .*no-address"):
        download.fetch_prepared("cifar10/3.0.2", tmp_path, "CIFAR-10")
    assert "Traceback" not in capsys.readouterr().err
