import functools
import hashlib
import shutil

import keras
import pytest

from classify.command import Problem
from classify.transfer import weights
from models.inception import build_inception


def build(weights_option):
    file = weights.find(weights_option)
    with weights.checked(file):
        return build_inception((16, 16, 3), 4, file, upsampling=5)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(weights, "URL", f"http://127.0.0.1:9/{weights.NAME}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "base.weights.h5"
    keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(80, 80, 3)).save_weights(path)
    return path


def test_a_weights_file_is_loaded(file):
    model = build(str(file))
    expected = keras.applications.InceptionV3(weights=str(file), include_top=False, input_shape=(80, 80, 3))
    for a, b in zip(model.get_layer("inception_v3").get_weights(), expected.get_weights(), strict=True):
        assert (a == b).all()


def test_none_gives_random_weights():
    assert weights.find("none") is None


def test_a_missing_file_is_named():
    with pytest.raises(Problem, match="no weights file nowhere.h5"):
        build("nowhere.h5")


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "another network"])
def test_a_wrong_file_is_named_in_one_line(kind, file, tmp_path):
    path = tmp_path / "wrong.weights.h5"
    if kind == "truncated":
        path.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif kind == "another network":
        keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)]).save_weights(path)
    else:
        path.write_text("hello" if kind == "text" else "")
    with pytest.raises(Problem, match="wrong.weights.h5 does not hold InceptionV3's weights") as problem:
        build(str(path))
    assert "\n" not in str(problem.value)


def test_a_failed_download_says_what_to_do(tmp_path):
    with pytest.raises(Problem) as problem:
        build("imagenet")
    message = str(problem.value)
    assert weights.NAME in message and str(tmp_path / "keras" / "models") in message
    assert "--weights path/to/file" in message and "127.0.0.1:9 did not answer" in message


def test_the_download_is_checked_and_kept_where_keras_looks(file, tmp_path, monkeypatch):
    import http.server
    import threading

    shutil.copy(file, tmp_path / weights.NAME)
    monkeypatch.setattr(weights, "MD5", hashlib.md5(file.read_bytes()).hexdigest())
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(weights, "URL", f"http://127.0.0.1:{server.server_address[1]}/{weights.NAME}")
        path = weights.find("imagenet")
        server.shutdown()
    assert path == str(tmp_path / "keras" / "models" / weights.NAME)
    assert weights.find("imagenet") == path  # without the server
