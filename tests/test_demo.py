"""The page of `demo.py`, in a real browser."""

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.request
import zlib
from pathlib import Path

import pytest
from conftest import PROJECT, headless_chromium, script
from PIL import Image

import demo
from classify.data import examples
from classify.inference import ood
from classify.runs.saved import SHIPPED

NASTY = ("{{value}} ${1+1} {% x %}", "<img src=x onerror=alert(1)>", "a class with a long name " * 4, "貓", "`b`")
# Python's own record of all that a process connects to and looks up.
WATCH = """
import os, sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        address = arguments[1] if event == "socket.connect" else arguments[0]
        print(address[0] if isinstance(address, tuple) else address, file=open(os.environ["WATCHED"], "a"))
sys.addaudithook(watch)
"""


@contextlib.contextmanager
def served(folder, *models):
    """Run `demo.py`; yield its address, the folder for its uploads and the file with what it connected to."""
    (folder / "sitecustomize.py").write_text(WATCH)
    (folder / "temporary").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(folder), "WATCHED": str(folder / "watched")}
    environment |= {"TMPDIR": str(folder / "temporary"), "https_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, PROJECT / "demo.py", *map(str, models)]
    with open(folder / "errors", "w") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            address = process.stdout.readline().split()
            assert address, (folder / "errors").read_text()
            yield address[0], folder / "temporary", folder / "watched"
        finally:
            process.terminate()
            assert process.wait(20) == 130
            process.stdout.close()
    assert list((folder / "temporary").iterdir()) == []


def python(code, *arguments, **environment):
    """Run some Python in a process of its own, in the project's folder."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, **environment}
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=300)


def test_without_gradio_a_line_says_what_to_install(tmp_path):
    (tmp_path / "gradio.py").write_text("raise ModuleNotFoundError('No module named gradio', name='gradio')")
    process = script("demo.py", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert process.returncode == 1 and process.stdout == ""
    assert process.stderr == "demo.py: gradio is not installed; python -m pip install -r requirements-demo.txt\n"


def test_a_command_line_that_cannot_be_used(in_process, tmp_path):
    process = in_process(demo.main, "--prot", "8000", cwd=tmp_path)
    assert process.returncode == 2 and process.stderr.endswith("unknown option --prot; did you mean --port?\n")
    process = in_process(demo.main, "no-such-run", cwd=tmp_path)
    assert process.returncode == 1 and process.stderr == "there is no run or model no-such-run\n"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = in_process(demo.main, SHIPPED, "--port", taken.getsockname()[1], cwd=tmp_path)
    assert process.returncode == 1 and "demo.py: address already in use" in process.stderr
    process = in_process(demo.main, SHIPPED, "--host", "192.0.2.1", cwd=tmp_path)
    assert process.returncode == 1 and "demo.py: cannot assign requested address" in process.stderr


def test_only_this_computer_may_open_the_page_unless_asked():
    assert demo.parse([]) == demo.Settings(models=[], host="127.0.0.1", port=None, trust=False)
    assert demo.parse(["cnn", "--host", "0.0.0.0", "--port", "80"]) == demo.Settings(["cnn"], "0.0.0.0", 80, False)


THOUSAND = """
import resource, shutil, sys, tempfile
from pathlib import Path
import demo
from classify.inference.predictor import Predictor
from classify.reporting.answers import Answers
from classify.runs import saved
with tempfile.TemporaryDirectory() as folder:
    page = demo.build(demo.start_gradio(folder), Answers([Predictor(saved.shipped())]), [])
    answer = next(function.fn for function in page.fns.values() if function.name == "answer")
    for number in range(1, 1001):
        file = shutil.copy(sys.argv[1], Path(folder) / f"{number}.png")
        assert "data-answer" in answer({"path": file})[1] and not Path(file).exists()
        if number in (200, 1000):
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
assert "keras" not in sys.modules and "tensorflow" not in sys.modules
"""


@pytest.mark.demo
def test_memory_is_flat_over_1000_predictions_and_keras_stays_away(tmp_path):
    """From the 200th to the 1,000th the most memory in use may grow by 16 MB, which is 20 KB a picture."""
    if not importlib.util.find_spec("gradio"):
        pytest.skip("no Gradio")
    process = python(THOUSAND, examples.write(tmp_path)[2])
    assert process.returncode == 0, process.stderr
    early, late = map(int, process.stdout.split())
    assert late - early < 16 * 2**10, (early, late)  # kilobytes


@pytest.mark.demo
def test_the_page_works_without_a_network(page, chromium, picture):
    """The browser's test once more, where there is no network but the computer's own addresses."""
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        pytest.skip("no network namespaces")
    test = f"{__file__}::test_an_upload_gets_the_answer_of_predict_and_is_deleted"
    command = f"ip link set lo up && exec {sys.executable} -m pytest -q -p no:cacheprovider {test}"
    process = subprocess.run(["unshare", "-rn", "sh", "-c", command], cwd=PROJECT, capture_output=True, text=True)
    assert process.returncode == 0 and "1 passed" in process.stdout, process.stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory, small_model_file):
    """The page on the shipped model and on one that is never sure of its classes, which have odd names."""
    if not importlib.util.find_spec("gradio"):
        pytest.skip("no Gradio")
    folder = tmp_path_factory.mktemp("demo")
    for suffix in (".keras", ".tflite"):
        if small_model_file.with_suffix(suffix).exists():
            shutil.copy(small_model_file.with_suffix(suffix), folder / f"nasty{suffix}")
    always = {"score": ood.SCORE, "threshold": 0.0}
    (folder / "nasty.json").write_text(json.dumps({"class_names": NASTY, "unsure": always}))
    with served(folder, SHIPPED, folder / "nasty.keras") as everything:
        yield everything


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    webcam = "use-fake-device-for-media-stream", "use-fake-ui-for-media-stream"
    logs = {"goog:loggingPrefs": {"performance": "ALL"}}
    browser = headless_chromium(tmp_path_factory.mktemp("browser"), *webcam, **logs)
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium, page):
    """The browser with the page open, as wide as a desktop's."""
    for file in uploads(page):  # what a failed test left is no fault of the next one
        file.unlink()
    resize(chromium, 1400)
    open_page(chromium, page)
    return chromium


def open_page(browser, page):
    browser.get(page[0])
    ready(browser)


def ready(browser):
    wait(lambda: elements(browser, "input[type=file]") and len(elements(browser, ".gallery-item")) == 3)


def resize(browser, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def elements(browser, selector):
    return browser.find_elements("css selector", selector)


def wait(condition, seconds=60):
    """Return what the condition returns as soon as it is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.05)
    return value


def upload(browser, file):
    elements(browser, "input[type=file]")[0].send_keys(str(file))


def answers(browser):
    """What the page says of a picture, one object a model."""
    return [json.loads(section.get_attribute("data-answer")) for section in elements(browser, ".answer")]


def problem(browser):
    return "".join(element.text for element in elements(browser, ".problem"))


@pytest.fixture
def picture(tmp_path):
    """A PNG file with transparency, which a page could decode in other ways than `predict.py`."""
    image = Image.open(examples.write(tmp_path)[0]).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "temple.png")
    return tmp_path / "temple.png"


def uploads(page):
    """The files that the page keeps; not those of the examples."""
    bundled = {"china.jpg", "flower.jpg", "digit.png"}
    return [file for file in page[1].rglob("*") if file.is_file() and file.name not in bundled]


@pytest.mark.demo
def test_an_upload_gets_the_answer_of_predict_and_is_deleted(browser, page, picture):
    process = script("predict.py", picture, "--json", "--model", SHIPPED, cwd=picture.parent)
    expected = json.loads(process.stdout)
    upload(browser, picture)
    shipped, nasty = wait(lambda: answers(browser))
    assert shipped["class"] == expected["class"] and shipped["unsure"] == expected["unsure"]
    assert shipped["probability"] == pytest.approx(expected["probability"], abs=1e-4)
    assert shipped["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-4)
    assert tuple(nasty["probabilities"]) == NASTY and nasty["unsure"]
    first, second = (section.text for section in elements(browser, ".answer"))
    assert f"{expected['class']}\n{100 * expected['probability']:.1f} %" in first and "5 others" in first
    assert ("not sure: perhaps none of the 10 classes" in first) == expected["unsure"]
    assert "not sure: perhaps none of the 5 classes" in second
    assert uploads(page) == []


@pytest.mark.demo
def test_names_are_text_and_never_markup(browser, picture):
    upload(browser, picture)
    wait(lambda: answers(browser))
    text = elements(browser, ".answer")[1].text
    assert all(name.strip() in text for name in NASTY) and not elements(browser, "img[src=x]")


@pytest.mark.demo
def test_explanations_stand_beside_the_bars_on_request(browser, picture):
    upload(browser, picture)
    before = wait(lambda: answers(browser))
    assert not elements(browser, "img.explanation")
    wait(lambda: elements(browser, "#explain"))[0].click()
    images = wait(lambda: elements(browser, "img.explanation"))
    assert len(images) == 2 and all(int(image.get_property("naturalWidth")) > 500 for image in images)
    assert [answer["probabilities"] for answer in answers(browser)] == [
        pytest.approx(answer["probabilities"], abs=1e-5) for answer in before
    ]


@pytest.mark.demo
def test_an_example_is_answered_by_a_click_and_stays(browser, page):
    for _ in range(2):
        elements(browser, ".gallery-item")[0].click()
        assert wait(lambda: answers(browser))[0]["class"] == "ship"
        open_page(browser, page)
    assert uploads(page) == []


@pytest.mark.demo
def test_a_picture_by_webcam(browser, page):
    elements(browser, "button[aria-label='Capture from camera']")[0].click()
    wait(lambda: [button for button in elements(browser, "#picture button") if "Webcam" in button.text])[0].click()
    wait(lambda: browser.execute_script("return document.querySelector('#picture video')?.videoWidth"))
    wait(lambda: elements(browser, "button[aria-label='capture photo']"))[0].click()
    wait(lambda: answers(browser))
    assert uploads(page) == []


# Each question waits half a second, so that a picture comes while the one before it is not answered.
SLOW = """
const ask = window.fetch;
window.fetch = async (address, ...settings) => {
  if (String(address).includes("queue/join")) await new Promise(resolve => setTimeout(resolve, 500));
  return ask(address, ...settings);
};
"""
COPY = """
const [done, canvas] = [arguments[0], document.createElement("canvas")];
canvas.getContext("2d").fillRect(0, 0, 30, 30);
canvas.toBlob(blob => navigator.clipboard.write([new ClipboardItem({"image/png": blob})]).then(done));
"""


@pytest.mark.demo
@pytest.mark.parametrize("way", ["the button", "Ctrl-V"])
def test_a_picture_from_the_clipboard(browser, page, way):
    permissions = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.execute_cdp_cmd("Browser.grantPermissions", permissions)
    browser.execute_script(SLOW)
    browser.execute_async_script(COPY)
    if way == "the button":
        elements(browser, "button[aria-label='Paste from clipboard']")[0].click()
    else:
        elements(browser, "body")[0].send_keys("\ue009v")
    wait(lambda: answers(browser))
    assert uploads(page) == []


def wide_png(path, side):
    """Write a black PNG of side x side pixels, strip by strip."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, row = zlib.compressobj(1), bytes(1 + side // 8)
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


@pytest.mark.demo
def test_a_file_that_cannot_be_used_gets_a_line_and_the_page_goes_on(browser, page, picture, tmp_path):
    (tmp_path / "text.png").write_text("a letter")
    (tmp_path / "empty.png").write_bytes(b"")
    wide_png(tmp_path / "wide.png", 17_328)  # 300 megapixels
    (tmp_path / "damaged.png").write_bytes(picture.read_bytes()[:3000])
    lines = {
        "text.png": "text.png: cannot be read as an image",
        "empty.png": "empty.png: cannot be read as an image",
        "wide.png": "wide.png: has more pixels than the 178,956,970 allowed",
        "damaged.png": "damaged.png: is damaged",
    }
    for name, line in lines.items():
        upload(browser, tmp_path / name)
        wait(lambda: problem(browser).startswith(line))  # noqa: B023
        assert not answers(browser) and not [b for b in elements(browser, "#explain") if b.is_displayed()]
    assert uploads(page) == []
    upload(browser, picture)
    wait(lambda: answers(browser))


@pytest.mark.demo
def test_a_file_of_more_than_50_mb_is_refused(browser, page, picture, tmp_path):
    (tmp_path / "large.png").write_bytes(picture.read_bytes() + bytes(50 * 2**20))
    upload(browser, tmp_path / "large.png")
    wait(lambda: "maximum" in elements(browser, "body")[0].text)
    assert not answers(browser)
    open_page(browser, page)
    upload(browser, picture)
    wait(lambda: answers(browser))
    assert uploads(page) == []


@pytest.mark.demo
def test_ten_uploads_at_once_are_all_answered(browser, page, picture):
    first = browser.current_window_handle
    for _ in range(9):
        browser.switch_to.new_window("tab")
        browser.get(page[0])
    for tab in browser.window_handles:
        browser.switch_to.window(tab)
        ready(browser)
    for tab in browser.window_handles:
        browser.switch_to.window(tab)
        upload(browser, picture)  # the same file: one answer must not delete another's
    for tab in browser.window_handles:
        browser.switch_to.window(tab)
        wait(lambda: answers(browser))
        if tab != first:
            browser.close()
    browser.switch_to.window(first)
    assert uploads(page) == []


OVERLAPS = """
const selector = "h1, #picture, .gallery-item, .prose p, figure, .answer h3, .answer .doubt, .class, #explain";
const shown = [...document.querySelectorAll(selector)].filter(element => element.getClientRects().length);
const width = document.documentElement.clientWidth;
const outside = shown.filter(element => element.getBoundingClientRect().right > width + 0.5
  || element.scrollWidth > element.clientWidth + 1 && element.clientWidth);
const pairs = shown.flatMap((a, i) => shown.slice(i + 1).filter(b => {
  const [r, s] = [a.getBoundingClientRect(), b.getBoundingClientRect()];
  return !a.contains(b) && !b.contains(a) && Math.min(r.right, s.right) - Math.max(r.left, s.left) > 1
    && Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top) > 1;
}).map(b => [a, b]));
const scrolls = document.documentElement.scrollWidth > width ? ["the page scrolls"] : [];
return [scrolls, outside.map(e => e.outerHTML.slice(0, 80)), pairs.map(p => p.map(e => e.outerHTML.slice(0, 80)))];
"""


@pytest.mark.demo
@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_overlaps(browser, picture, width):
    resize(browser, width)
    upload(browser, picture)
    wait(lambda: answers(browser))
    wait(lambda: elements(browser, "#explain"))[0].click()
    wait(lambda: elements(browser, "img.explanation"))
    time.sleep(0.5)
    assert browser.execute_script(OVERLAPS) == [[], [], []]
    tops = {section.rect["y"] for section in elements(browser, ".answer")}
    assert len(tops) == (1 if width == 1400 else 2)  # side by side, or one below the other


@pytest.mark.demo
@pytest.mark.parametrize("path", ["http://example.com/picture.png", str(PROJECT / "docs" / "explain.png")])
def test_a_request_made_by_hand_gets_nothing_that_was_not_uploaded(page, path):
    """That nothing was fetched, the next test sees."""
    content = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}], "fn_index": 0, "session_hash": "mine"}
    body, kind = json.dumps(content).encode(), {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{page[0]}gradio_api/queue/join", body, kind)) as response:
        assert response.status == 200
    with urllib.request.urlopen(f"{page[0]}gradio_api/queue/data?session_hash=mine") as response:
        assert '"success":false' in response.read().decode()
    assert Path(path).name == "picture.png" or Path(path).exists()


@pytest.mark.demo
def test_neither_browser_nor_server_asks_another_computer(browser, page, picture):
    """This comes last: it sees all that the tests above did."""
    upload(browser, picture)
    wait(lambda: answers(browser))
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    ours = [url for url in sent if url.startswith(page[0])]
    assert ours and all(url.startswith((page[0], "data:", "blob:", "chrome")) for url in sent)
    asked = set(page[2].read_text().split())
    assert asked and asked <= {"127.0.0.1", "localhost", "None"}
