"""The answers of a page: bars, doubt, explanations, and what of a file the page is told."""

import json
import re
import shutil

import numpy as np
import pytest

from classify.command import Problem
from classify.data import examples
from classify.inference.predictor import Prediction, Predictor
from classify.reporting.answers import Answers, as_html, data_uri, problem_as_html
from classify.runs import saved

PIXELS = np.zeros((8, 8, 3), "uint8")


def prediction(probabilities, unsure=False, names="abcdefgh"):
    return Prediction("cnn", tuple(names[: len(probabilities)]), np.array(probabilities, "float32"), PIXELS, unsure)


def shown(html):
    """What a section shows, and the class and percentage of each of its bars."""
    return re.findall(r"<span>(.*?)</span><span>(.*?) %</span>.*?width: (.*?)%", html)


@pytest.fixture(scope="module")
def two_sizes(small_model_file, tmp_path_factory):
    """Answers of two models that take pictures of two sizes."""
    file = shutil.copy(small_model_file, tmp_path_factory.mktemp("models") / "small.keras")
    return Answers([Predictor(saved.shipped()), Predictor(saved.find(file))])


def test_bars_are_of_the_five_most_probable_classes_and_of_all_others():
    html = as_html([prediction([0.05, 0.4, 0.02, 0.3, 0.1, 0.07, 0.06])], "data:,")
    assert [row[:2] for row in shown(html)] == [
        ("b", "40.0"), ("d", "30.0"), ("e", "10.0"), ("f", "7.0"), ("g", "6.0"), ("2 others", "7.0")
    ]  # fmt: skip
    assert all(percent == width for _, percent, width in shown(html)) and "not sure" not in html
    assert len(shown(as_html([prediction([0.7, 0.3])], "data:,"))) == 2


def test_doubt_is_said_and_the_exact_numbers_are_there():
    html = as_html([prediction([0.6, 0.4], unsure=True), prediction([0.25, 0.75])], "data:,")
    assert html.count("not sure: perhaps none of the 2 classes") == 1 and html.count("<section") == 2
    exact = json.loads(re.findall('data-answer="(.*?)"', html)[1].replace("&quot;", '"').replace("&#123;", "{"))
    assert exact == {"class": "b", "probability": 0.75, "probabilities": {"a": 0.25, "b": 0.75}, "unsure": False}


def test_names_are_neither_markup_nor_templates():
    html = as_html([prediction([0.6, 0.4], names=("<b>${1}`", "{{x}}\u202e"))], "data:,") + problem_as_html("<i>{{x}}")
    assert not re.search(r"[`$]|<b>|<i>|\{|\u202e", html) and r"\u202e" in html


def test_an_answer_tells_what_is_needed_to_explain_it(two_sizes, tmp_path):
    file = examples.write(tmp_path)[0]
    html, seen = two_sizes.answer(file)
    assert html.count("<section") == 2 and "explanation" not in html
    sizes = [[uri[:16] for uri in uris] for uris in json.loads(seen)]
    assert sizes == [["data:image/png;b", "data:image/webp;"]] * 2
    explained = two_sizes.explain(seen)
    assert explained.count('class="explanation"') == 2
    before, after = (re.findall(r'data-answer="(.*?)"', page) for page in (html, explained))
    assert before == after  # to the last digit, since the model gets the same pixels


def test_a_file_that_cannot_be_read_is_named_without_its_folder(two_sizes, tmp_path):
    (tmp_path / "a <b>.png").write_text("text")
    html, seen = two_sizes.answer(tmp_path / "a <b>.png")
    assert seen is None and "a &lt;b&gt;.png: cannot be read as an image" in html and str(tmp_path) not in html
    assert "no such file" in two_sizes.answer(tmp_path / "missing.png")[0]


@pytest.mark.parametrize(
    "seen", [None, "", "null", "[]", "{", '[["data:,", "data:,"]]', '[["", ""], ["", ""]]', "[[1, 2]]"]
)
def test_what_was_never_seen_is_not_explained(two_sizes, seen):
    assert "drop it again" in two_sizes.explain(seen)


def test_a_model_that_cannot_be_explained_says_so_and_the_other_is(two_sizes, tmp_path, monkeypatch):
    def refuse(predictor):
        if predictor is two_sizes.predictors[0]:
            raise Problem("no convolutions")
        return explain(predictor)

    explain = two_sizes._explanations
    monkeypatch.setattr(two_sizes, "_explanations", refuse)
    html = two_sizes.explain(two_sizes.answer(examples.write(tmp_path)[2])[1])
    assert "no convolutions" in html and html.count('class="explanation"') == 1


def test_a_data_uri_is_the_picture():
    assert data_uri(PIXELS, "PNG").startswith("data:image/png;base64,iVBOR")
