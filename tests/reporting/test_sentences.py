import numpy as np
import pytest

from classify.evaluation.metrics import calibration, measure
from classify.reporting import sentences as captions

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
    text = plain(captions.confusion)(measure(LABELS, answers(PREDICTED), NAMES))
    expected = "Most often mistaken: cat for dog, 4 of 10; dog for cat, 3 of 20; ship for dog, 1 of 30."
    assert text == f"{expected} All mistakes: 8 of 60."


def test_without_a_mistake_none_is_named():
    text = plain(captions.confusion)(measure(LABELS, answers(LABELS), NAMES))
    assert text == "All 60 images are on the diagonal: there is no mistake."


def test_one_models_best_and_poorest_class_and_the_widest_gap_of_two():
    first, second = (
        {"name": name, **measure(LABELS, answers(p), NAMES)} for name, p in (("a", PREDICTED), ("b", LABELS))
    )
    assert plain(captions.recalls)([first]) == "Best at ship, 96.7 %; poorest at cat, 60.0 %."
    assert plain(captions.recalls)([first, second]) == (
        "Easiest is ship, 98.3 % in the mean of the models; hardest cat, 80.0 %."
        " The widest gap is at cat: of its 10 images b finds 100.0 %, a 60.0 %."
    )
    assert plain(captions.recalls)([second, second]).endswith("All models find equally many of each class.")


def test_confidence_beside_accuracy():
    """52 of 60 are right, 86.7 %; all answers are 80 % sure or, next, 99 %."""
    assert plain(captions.reliability)(calibration(LABELS, answers(PREDICTED))) == (
        "80.0 % sure in the mean and right in 86.7 %: 6.7 points less sure than right. Expected calibration error 6.7"
        " points. The largest group of answers, 60, is 73 to 80 % sure, and 86.7 % of it is right."
    )
    assert "12.3 points surer than right" in plain(captions.reliability)(calibration(LABELS, answers(PREDICTED, 0.99)))
    assert "as sure as right" in plain(captions.reliability)(calibration(LABELS, answers(PREDICTED, 52 / 60)))


def test_mistakes_are_counted_and_the_sure_ones_among_them():
    sure = np.where(np.arange(60) < 2, 0.95, 0.6)
    text = plain(captions.mistakes)(LABELS, answers(PREDICTED, sure), shown=5)
    assert text == "8 mistakes in 60 images, 2 of them with more than 90 % confidence; here are the 5 it is surest of."
    assert "none of them with more" in plain(captions.mistakes)(LABELS, answers(PREDICTED), shown=8)
    assert plain(captions.mistakes)(LABELS, answers(LABELS), shown=0) == "No mistake in 60 images."


def test_who_is_right_where_models_disagree():
    other = LABELS.copy()
    other[:4], other[59] = 2, 0  # the same 4 cats, as ships, and a ship
    text = plain(captions.disagreements)(LABELS, ["a", "b"], np.stack([PREDICTED, other]))
    assert text == "The models answer differently on 9 of 60 images: a is right on 1, b is right on 4, neither on 4."
    text = plain(captions.disagreements)(LABELS, ["a", "b", "c"], np.stack([PREDICTED, other, LABELS]))
    assert text.endswith("c is right on 9, none of them on 0.")
    assert "same answer to each of the 60" in plain(captions.disagreements)(
        LABELS, ["a", "b"], np.stack([other, other])
    )


def test_a_training_is_told_from_its_kept_epoch():
    history = [
        {"epoch": epoch, "loss": 1, "accuracy": epoch / 10, "val_loss": 1, "val_accuracy": value, "learning_rate": 1}
        for epoch, value in enumerate((0.3, 0.5, 0.8, 0.7), 1)
    ]
    assert plain(captions.curves)(history) == (
        "Epoch 3 of 4 was kept: 80.0 % of the validation images right, 30.0 % of the training images."
        " After epoch 2, half-way, validation accuracy was 50.0 %."
    )
    blind = [{key: value for key, value in row.items() if not key.startswith("val")} for row in history]
    assert (
        plain(captions.curves)(blind)
        == "Epoch 4 of 4 was kept, the last, as none was validated: 40.0 % of the training images right."
    )
    assert "half-way" not in plain(captions.curves)(history[:1])


@pytest.mark.parametrize(
    ("split", "trained_on", "words"),
    [("test", ["digits", None], None), ("validation", ["digits"], "flatter"), ("train", ["digits"], "remember")],
)
def test_what_could_be_mistaken_is_said(split, trained_on, words):
    said = captions.warnings(split, "digits", trained_on)
    assert (len(said) == 1 and words in said[0]) if words else not said
    assert captions.warnings("test", "digits", ["cifar10"]) == [
        "This is other data than was trained on, which was cifar10."
    ]


def test_no_line_is_broken_before_a_per_cent_sign():
    assert captions.unbroken("cnn is\n95 % sure") == "cnn is 95\u00a0% sure"
