"""The report: what the page says and shows, and that a real browser shows it."""

import base64
import dataclasses
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import headless_chromium
from PIL import Image

from classify.data.dataset import Source
from classify.evaluation import metrics
from classify.evaluation.labels import report
from classify.evaluation.measuring import Measurement, compare
from classify.evaluation.subject import NamedSplit
from classify.reporting import plots, sentences
from classify.reporting.html import image_uri, render
from classify.runs.history import COLUMNS
from classify.runs.saved import SavedModel

NASTY = '<script>alert("1")</script> & $\\frac{'
DIGITS = tuple("0123456789")


def answers(rng, labels, classes, skill):
    """Probabilities of a model that is the better the larger its skill."""
    logits = rng.normal(0, 1, (len(labels), classes))
    logits[np.arange(len(labels)), labels] += skill
    return (np.exp(2 * logits) / np.exp(2 * logits).sum(axis=1, keepdims=True)).astype("float32")


def trained(folder, name, history=True, **info):
    """A ``SavedModel`` whose run holds a history."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    if history:
        lines = [f"{epoch},{2 / epoch},{1 - 0.5 / epoch},{2 / epoch},{1 - 0.6 / epoch},0.01,3" for epoch in range(1, 7)]
        (folder / name / "history.csv").write_text("\n".join([",".join(COLUMNS), *lines]))
        (folder / name / "run.json").write_text("{}")
    return SavedModel(name, folder / name / "model.keras", {"data": "digits"} | info)


def rendered(saved, probabilities, split, more=(), check=None):
    """The page on these models, as ``evaluate.py`` makes it, and the comparisons in it."""
    class_names = split.source.class_names
    measurements = [
        Measurement(
            model,
            answers,
            {
                "name": model.name,
                **metrics.measure(split.labels, answers, class_names),
                "calibration": metrics.calibration(split.labels, answers),
                "parameters": 1_168_362,
                "bytes": 4_769_347,
                "images_per_second": 2561.3,
                **dict(more),
            },
        )
        for model, answers in zip(saved, probabilities, strict=True)
    ]
    comparisons = compare(measurements, split)
    return render(split, measurements, comparisons, check), comparisons


def images(rng, n, class_names=DIGITS, name="test"):
    labels = np.arange(n) % len(class_names)
    source = Source("digits", "digits", "scikit-learn", class_names, ("train", "test"), None)
    images = rng.integers(0, 256, (n, 32, 32, 3), dtype="uint8")
    return NamedSplit(images, labels, source=source, name=name, validation=0.1)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of one, two and four models; the last with 100 classes and names that nobody should choose."""
    folder, rng = tmp_path_factory.mktemp("pages"), np.random.default_rng(0)
    names = (NASTY, "a class with quite a long name, longer than any picture has room for", "貓", *map(str, range(97)))
    few, many = images(rng, 360), images(rng, 2_000, names)
    models = [trained(folder, name) for name in ("cnn-digits", "cnn-tutorial-digits")]
    more = [*models, trained(folder, '"><img src=x>', history=False), trained(folder, "inception-2")]
    made = {
        "one": rendered(models[:1], [answers(rng, few.labels, 10, 2)], few),
        "two": rendered(models, [answers(rng, few.labels, 10, skill) for skill in (3, 2)], few),
        "four": rendered(more, [answers(rng, many.labels, 100, skill) for skill in (4, 3, 2, 1)], many),
    }
    for name, (html, _) in made.items():
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    return folder, made


@pytest.fixture
def without_charts(monkeypatch):
    """Leave the charts empty: they take most of the time."""
    monkeypatch.setattr(plots, "embed", lambda *arguments, **options: ("data:,", "data:,"))


class Tags(HTMLParser):
    """Keeps the tags of a page with their attributes, and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data.replace("\u00a0", " ")

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("name", ["one", "two", "four"])
def test_the_page_needs_nothing_else_and_runs_nothing(pages, name):
    html, _ = pages[1][name]
    tags = Tags(html)
    for tag, attributes in tags.tags:
        for key in {"src", "srcset", "href"} & attributes.keys():
            assert attributes[key].startswith(("data:", "#")), tag
    assert not tags.named("script") and "url(" not in html and "@import" not in html
    assert len(html) < 3_000_000


def test_names_are_text_and_never_markup(pages):
    html, _ = pages[1]["four"]
    tags = Tags(html)
    assert NASTY in tags.text and '"><img src=x>' in tags.text
    assert not tags.named("script") and all(image["src"].startswith("data:") for image in tags.named("img"))
    for source in tags.named("source"):
        ElementTree.fromstring(base64.b64decode(source["srcset"].split(",")[1]))  # well-formed whatever the names
    drawn = base64.b64decode(tags.named("source")[-1]["srcset"].split(",")[1]).decode()
    assert "script>" not in drawn


def test_a_name_cannot_turn_the_text_around_it(tmp_path, rng, without_charts):
    split = images(rng, 20, ("\u202eevil", "b\x07"))
    html, _ = rendered([trained(tmp_path, "cnn")], [answers(rng, split.labels, 2, 1)], split)
    assert "\\u202eevil" in html and "b\\x07" in html and not {"\u202e", "\x07"} & set(html)


def test_the_page_says_what_was_measured_and_the_verdict(pages):
    html, [comparison] = pages[1]["two"]
    text = Tags(html).text
    assert "digits test: cnn-digits and cnn-tutorial-digits" in text and "360 images, scikit-learn." in text
    assert sentences.verdict(comparison).replace("\u00a0", " ") in text
    assert html.count("<picture>") == 7  # curves, confusion and reliability of each, and the classes
    assert len(Tags(html).named("figure")) == html.count("<figcaption>") == 7


def test_labels_in_doubt_are_shown_with_their_pictures(tmp_path, rng, without_charts, monkeypatch):
    monkeypatch.setattr("classify.reporting.html.DOUBTS", 2)
    split = images(rng, 30, ("ants", NASTY))
    probabilities = answers(rng, split.labels, 2, 9)
    split.labels[[4, 11, 20]] = [1, 0, 1]
    probabilities[[4, 11, 20]] = [(0.999, 0.001), (0.002, 0.998), (0.997, 0.003)]
    check = report({"test": split}, split.source.class_names, probabilities)
    check.entry["doubtful"][1].update(file="<b>a file</b>.gif", looks_like=None)
    assert check.rows.tolist() == [4, 11, 20]
    page, _ = rendered([trained(tmp_path, "cnn")], [probabilities], split, check=check)
    section = Tags(page[page.index('<section id="labels">') :])
    assert [image["src"] for image in section.named("img")] == [image_uri(split.images[row]) for row in (4, 11)]
    assert [image["alt"] for image in section.named("img")] == [
        f"labelled {NASTY}, looks like ants (0.00)",
        "labelled ants, looks like neither (0.00)",
    ]
    assert "<b>a file</b>.gif" in section.text and "test 4" in section.text and not section.named("script")
    assert "3 of 30 labels look wrong (test)" in section.text and "Here are 2 of them." in section.text
    assert '<a href="#labels">' in page
    assert "#labels" not in rendered([trained(tmp_path, "cnn")], [probabilities], split)[0]


def test_one_model_is_no_comparison(pages):
    html, _ = pages[1]["one"]
    text = Tags(html).text
    assert "cnn-digits is right on" in text and "Where they disagree" not in text and "McNemar" not in text
    assert html.count("<picture>") == 4


def test_a_model_without_a_history_says_so(pages):
    html, _ = pages[1]["four"]
    assert Tags(html).text.count("This model has no history.csv") == 1 and html.count("<picture>") == 12
    assert "Shown are the 20 of 100 classes that the models differ most on." in Tags(html).text


def test_every_image_has_words_for_those_who_do_not_see_it(pages):
    for html, _ in pages[1].values():
        assert all(image["alt"] for image in Tags(html).named("img"))


def test_other_data_and_other_splits_are_called_so(tmp_path, rng, without_charts):
    validation, test = images(rng, 40, name="validation"), images(rng, 40)
    saved, probabilities = [trained(tmp_path, "cnn", data="cifar10")], [answers(rng, test.labels, 10, 2)]
    text = Tags(rendered(saved, probabilities, validation)[0]).text
    assert "digits validation: cnn" in text and "flatter" in text and "trained on other data: cifar10" in text
    assert "flatter" not in Tags(rendered(saved, probabilities, test)[0]).text


def test_ones_own_pictures_are_told_from_others_by_their_fingerprint(tmp_path, rng, without_charts):
    split = images(rng, 40)
    split = dataclasses.replace(split, source=dataclasses.replace(split.source, fingerprint=lambda: "1" * 32))
    probabilities = [answers(rng, split.labels, 10, 2)]
    for name, fingerprint, other in (("old name", "1", False), ("digits", "2", True)):
        saved = [trained(tmp_path, "cnn", data=name, data_fingerprint=32 * fingerprint)]
        text = Tags(rendered(saved, probabilities, split)[0]).text
        assert (f"trained on other data: {name}" in text) is other


def test_models_without_mistakes_or_differences(tmp_path, rng):
    split = images(rng, 40)
    perfect = np.eye(10, dtype="float32")[split.labels]
    saved = [trained(tmp_path, "a"), trained(tmp_path, "b")]
    text = Tags(rendered(saved, [perfect, perfect], split)[0]).text
    assert text.count("No mistake in 40 images.") == 2 and "equally accurate" in text
    assert "same answer to each of the 40 images" in text


def test_the_surest_mistakes_come_first(tmp_path, rng, without_charts):
    split = images(rng, 40)
    probabilities = np.eye(10)[split.labels] * 0.9 + 0.01
    for image, sure in ((7, 0.7), (3, 0.95), (12, 0.8)):
        probabilities[image] = (1 - sure) / 9
        probabilities[image, 0] = sure
    html, _ = rendered([trained(tmp_path, "a")], [probabilities], split)
    tiles = [image for image in Tags(html).named("img") if "called" in image["alt"]]
    assert [tile["alt"] for tile in tiles] == ["3, called 0", "2, called 0", "7, called 0"]
    np.testing.assert_array_equal(pixels(tiles[0]["src"]), split.images[3])


def test_disagreements_are_ranked_by_the_least_sure_model(tmp_path, rng, without_charts):
    split = images(rng, 40)
    first, second = (np.eye(10)[split.labels] * 0.9 + 0.01 for _ in range(2))
    for image, sure, other_sure in ((21, 0.99, 0.5), (33, 0.8, 0.91), (5, 0.6, 0.91)):
        first[image] = (1 - sure) / 9
        first[image, 0] = sure
        assert second[image].max() == pytest.approx(0.91)
        second[image] = (1 - other_sure) / 9
        second[image, split.labels[image]] = other_sure
    html, _ = rendered([trained(tmp_path, name) for name in "ab"], [first, second], split)
    tiles = re.findall(r'<img src="([^"]*)" alt="(\d)"', html)
    assert [label for _, label in tiles] == ["3", "5", "1"]
    np.testing.assert_array_equal(pixels(tiles[0][0]), split.images[33])


def pixels(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB"))


def test_large_images_become_thumbnails(rng):
    assert pixels(image_uri(rng.integers(0, 256, (300, 200, 3), dtype="uint8"))).shape == (96, 64, 3)


def luminance(colour):
    """Relative luminance, as WCAG 2.1 defines it."""
    shares = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_text_and_colours_stand_out_from_both_grounds(pages):
    """WCAG 2.1: 4.5 for text, 3 for what a picture needs."""
    css = pages[1]["two"][0]
    themes = [dict(re.findall(r"--([a-z]+): (#\w{6})", part)) for part in css.split("prefers-color-scheme: dark) {", 1)]
    for theme in themes:
        for text in ("ink", "muted", "link"):
            assert contrast(theme[text], theme["ground"]) >= 4.5
        assert contrast(theme["ink"], theme["raised"]) >= 4.5
    light, dark = (theme["ground"] for theme in themes)
    for colour in (*plots.MODELS, plots.VALIDATION):
        assert contrast(colour, light) >= 3 and contrast(plots.DARK[colour], dark) >= 3


def test_augmentation_and_corrupted_images_are_shown_where_they_were_measured(tmp_path, rng, without_charts):
    split = images(rng, 60)
    saved, probabilities = [trained(tmp_path, "cnn")], [answers(rng, split.labels, 10, 2)]
    plain, _ = rendered(saved, probabilities, split)
    assert "test-time augmentation" not in plain and "corrupted" not in plain
    more = {
        "tta": {"accuracy": 0.8125, "accuracy_interval": [0.7, 0.9]},
        "robustness": {"mean": 0.4321, "interval": [0.4, 0.5]},
    }
    full, _ = rendered(saved, probabilities, split, more=more)
    assert all(text in full for text in ("81.2\N{NO-BREAK SPACE}% <small>70.0 to 90.0", "<small>40.0 to 50.0"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = headless_chromium(tmp_path_factory.mktemp("browser"))
    yield chromium
    chromium.quit()


TOO_WIDE = """
document.querySelectorAll("details").forEach(details => details.open = true);
const width = document.documentElement.clientWidth;
return [...document.querySelectorAll("*")].filter(element =>
  element.getBoundingClientRect().right > width + 0.5 || element.scrollWidth > Math.max(element.clientWidth, 1) + 1
  && getComputedStyle(element).display != "inline").map(element => element.outerHTML.slice(0, 100));
"""
NOT_SHOWN = "return [...document.images].filter(image => !(image.complete && image.naturalWidth)).length"
CUT = """
return [...document.querySelectorAll("picture img")].flatMap(image => {
  const code = new TextDecoder().decode(Uint8Array.from(atob(image.currentSrc.split(",")[1]), c => c.charCodeAt(0)));
  const svg = document.body.appendChild(new DOMParser().parseFromString(code, "image/svg+xml").documentElement);
  const frame = svg.getBoundingClientRect();
  const cut = [...svg.querySelectorAll("text")].filter(text => {
    const box = text.getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1
      || box.bottom > frame.bottom + 1;
  }).map(text => image.alt + ": " + text.textContent);
  svg.remove();
  return cut;
});
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", ["one", "two", "four"])
def test_a_browser_shows_all_of_it(pages, browser, name, width, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get((pages[0] / f"{name}.html").as_uri())
    assert browser.execute_script("return innerWidth") == width
    assert browser.execute_script("return document.images.length") > 10
    assert browser.execute_script(NOT_SHOWN) == 0
    assert browser.execute_script(TOO_WIDE) == []
    assert browser.execute_script(CUT) == []
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 21, 26)"}[scheme]
    assert browser.get_log("browser") == []
