import numpy as np
import pytest

from classify.evaluation.metrics import calibration, compare, measure
from classify.reporting import sentences

NAMES = ("cat", "dog", "ship")


def answers(predicted, sure=0.8):
    """Probabilities of a model that gives these answers, and is so sure of each."""
    sure = np.broadcast_to(sure, len(predicted))
    rows = np.repeat((1 - sure)[:, None] / 2, 3, axis=1)
    rows[np.arange(len(predicted)), predicted] = sure
    return rows


def plain(say):
    """The sentence function with ordinary spaces."""
    return lambda *arguments, **options: say(*arguments, **options).replace("\u00a0", " ")


LABELS = np.repeat([0, 1, 2], [10, 20, 30])
PREDICTED = LABELS.copy()
PREDICTED[:4], PREDICTED[10:13], PREDICTED[30] = 1, 0, 1  # 4 cats as dogs, 3 dogs as cats, a ship as a dog


def test_the_most_frequent_mistakes_are_named_with_their_numbers():
    text = plain(sentences.confusion)(measure(LABELS, answers(PREDICTED), NAMES))
    expected = "Most often mistaken: cat for dog, 4 of 10; dog for cat, 3 of 20; ship for dog, 1 of 30."
    assert text == f"{expected} All mistakes: 8 of 60."


def test_without_a_mistake_none_is_named():
    text = plain(sentences.confusion)(measure(LABELS, answers(LABELS), NAMES))
    assert text == "No mistake in 60 images: all are on the diagonal."


def test_one_models_best_and_poorest_class_and_the_widest_gap_of_two():
    first, second = (
        {"name": name, **measure(LABELS, answers(p), NAMES)} for name, p in (("a", PREDICTED), ("b", LABELS))
    )
    assert plain(sentences.recalls)([first]) == "Easiest class: ship, 96.7 %. Hardest: cat, 60.0 %."
    assert plain(sentences.recalls)([first, second]) == (
        "Easiest class, mean of the models: ship, 98.3 %. Hardest: cat, 80.0 %."
        " The models differ most on cat: of its 10 images b finds 100.0 %, a 60.0 %."
    )
    assert plain(sentences.recalls)([second, second]).endswith("All models find equally many of each class.")


def test_confidence_beside_accuracy():
    """52 of 60 are right, 86.7 %; all answers are 80 % sure or, next, 99 %."""
    assert plain(sentences.reliability)(calibration(LABELS, answers(PREDICTED))) == (
        "Mean confidence 80.0 %, accuracy 86.7 %: underconfident by 6.7 points. Expected calibration error: 6.7 points."
        " The largest group, 60 answers, has 73 to 80 % confidence; 86.7 % of it is right."
    )
    assert "overconfident by 12.3 points" in plain(sentences.reliability)(calibration(LABELS, answers(PREDICTED, 0.99)))
    assert "86.7 %: they agree." in plain(sentences.reliability)(calibration(LABELS, answers(PREDICTED, 52 / 60)))


def test_mistakes_are_counted_and_the_sure_ones_among_them():
    sure = np.where(np.arange(60) < 2, 0.95, 0.6)
    text = plain(sentences.mistakes)(LABELS, answers(PREDICTED, sure), shown=5)
    assert text == "8 mistakes in 60 images, 2 of them with more than 90 % confidence. Here are the 5 it is surest of."
    assert "none of them with more" in plain(sentences.mistakes)(LABELS, answers(PREDICTED), shown=8)
    assert plain(sentences.mistakes)(LABELS, answers(LABELS), shown=0) == "No mistake in 60 images."


def test_who_is_right_where_models_disagree():
    other = LABELS.copy()
    other[:4], other[59] = 2, 0  # the same 4 cats, as ships, and a ship
    text = plain(sentences.disagreements)(LABELS, ["a", "b"], np.stack([PREDICTED, other]))
    assert text == "The models answer differently on 9 of 60 images: a is right on 1, b is right on 4, neither on 4."
    text = plain(sentences.disagreements)(LABELS, ["a", "b", "c"], np.stack([PREDICTED, other, LABELS]))
    assert text.endswith("c is right on 9, none of them on 0.")
    assert "same answer to each of the 60" in plain(sentences.disagreements)(
        LABELS, ["a", "b"], np.stack([other, other])
    )


def test_a_training_is_told_from_its_kept_epoch():
    history = [
        {"epoch": epoch, "loss": 1, "accuracy": epoch / 10, "val_loss": 1, "val_accuracy": value, "learning_rate": 1}
        for epoch, value in enumerate((0.3, 0.5, 0.8, 0.7), 1)
    ]
    assert plain(sentences.curves)(history) == (
        "Epoch 3 of 4 was kept: 80.0 % of the validation images right, 30.0 % of the training images."
        " Halfway, after epoch 2, validation accuracy was 50.0 %."
    )
    blind = [{key: value for key, value in row.items() if not key.startswith("val")} for row in history]
    assert (
        plain(sentences.curves)(blind)
        == "The last of 4 epochs was kept, without validation: 40.0 % of the training images right."
    )
    assert "Halfway" not in plain(sentences.curves)(history[:1])


@pytest.mark.parametrize(("split", "words"), [("test", None), ("validation", "flatter"), ("train", "remember")])
def test_what_could_be_mistaken_is_said(split, words):
    cautions = sentences.cautions(split, [])
    assert (len(cautions) == 1 and words in cautions[0]) if words else not cautions
    others = "The models were trained on other data: a or b."
    assert sentences.cautions(split, ["b", "a", "b"]) == [*cautions, others]


def test_a_verdict_in_plain_words():
    comparison = {"models": ["inception", "cnn"], "difference": 0.061, "interval": [0.04, 0.082], "p": 1e-5}
    comparison["recall"] = {"cat": 0.1, "dog": 0.0, "ship": -0.02, "bird": 0.05, "frog": 0.01}
    counts = {"disagreements": 1520, "only_first_right": 1030, "only_second_right": 420, "disagreements_both_wrong": 70}
    comparison |= counts
    assert plain(sentences.verdict)(comparison) == (
        "inception is 6.1 points more accurate than cnn (95 % interval 4.0 to 8.2);"
        " the difference is not chance (McNemar p < 0.001)."
        " It gains most on cat (+10.0) and bird (+5.0); cnn is better on ship (-2.0)."
        " They disagree on 1,520 images: inception is right on 1,030, cnn on 420, neither on 70."
    )
    comparison |= {"p": 0.4, "recall": {"cat": 0.0}}
    text = sentences.verdict(comparison)
    assert "the difference may be chance (McNemar p = 0.400). They disagree" in text and "\n" not in text


def test_the_verdict_on_a_model_and_itself():
    comparison = {"models": ["one", "the other"], **compare(LABELS, LABELS, LABELS, NAMES)}
    text = plain(sentences.verdict)(comparison)
    assert text.startswith("one and the other are equally accurate (95 % interval -")
    assert text.endswith("They give the same answer to every image.")


def test_what_calibration_did():
    text = sentences.calibrated({"name": "cnn", "calibrated": {"temperature": 0.61}})
    assert text.startswith("cnn: temperature 0.610, now built into its model.keras.")
    text = sentences.calibrated({"name": "cnn", "calibrated": {"temperature": 1.0}})
    assert text == "cnn: temperature 1.000; no other gives a lower loss."


def test_no_line_can_break_before_a_per_cent_sign():
    history = [{"epoch": 1, "accuracy": 0.5, "val_accuracy": 0.5, "val_loss": 1}]
    row = {"name": "cnn", **measure(LABELS, answers(PREDICTED), NAMES)}
    comparison = {"models": ["a", "b"], **compare(LABELS, LABELS, PREDICTED, NAMES)}
    for text in (
        sentences.accuracy(row),
        sentences.verdict(comparison),
        sentences.curves(history),
        sentences.recalls([row]),
        sentences.reliability(calibration(LABELS, answers(PREDICTED))),
        sentences.mistakes(LABELS, answers(PREDICTED), shown=5),
    ):
        assert "\u00a0%" in text and " %" not in text and "\n" not in text


def test_what_a_picture_looks_like_is_neither_of_two_classes_and_none_of_more():
    doubt = {"file": None, "split": "test", "row": 0, "label": "ants", "looks_like": None, "label_quality": 0.104}
    assert sentences.looks_like(doubt, 2) == "looks like neither (0.10)"
    assert sentences.looks_like(doubt, 3) == "looks like none (0.10)"
    assert sentences.looks_like(doubt | {"looks_like": "bees"}, 2) == "looks like bees (0.10)"
    assert sentences.labels({"n": 5, "splits": ["test"], "doubtful": [doubt]}).startswith("1 of 5 labels looks wrong")
