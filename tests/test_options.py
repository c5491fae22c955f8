import argparse

import pytest

import evaluate
import predict
import train_cnn
import train_inception
from classify import options
from classify.training import loop as training


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epohcs", "5"], "unknown option --epohcs; did you mean --epochs?"),
        (["--epoch", "5"], "unknown option --epoch; did you mean --epochs?"),
        (["--learning_rate=1"], "did you mean --learning-rate?"),
        (["--zzz"], "unknown option --zzz; see --help"),
        (["stray"], "unexpected argument stray"),
        (["--epochs", "0"], "--epochs: 0 is not a whole number of at least 1"),
        (["--seed", "4294967296"], "at least 0 and at most 4294967295"),
        (["--epochs", "many"], "many is not a whole number"),
        (["--dropout", "1"], "--dropout: 1 is not a number of at least 0 and below 1"),
        (["--learning-rate", "0"], "0 is not a number of more than 0"),
        (["--learning-rate", "nan"], "nan is not a number"),
        (["--optimizer", "adamm"], "--optimizer: invalid choice"),
        (["--data"], "--data: expected one argument"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        train_cnn.parse(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and message in error and error.count("\n") == 1


@pytest.mark.parametrize("script", [train_cnn, train_inception, evaluate, predict])
def test_help_fits_80_columns(script, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        script.parse(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10 and max(map(len, lines)) <= 80


def test_options_may_stand_between_images():
    args = predict.parse(["a.png", "--top", "2", "b.png"])
    assert args.images == ["a.png", "b.png"] and args.top == 2


def test_missing_images_are_said(capsys):
    with pytest.raises(SystemExit) as stop:
        predict.parse([])
    assert stop.value.code == 2 and "IMAGE" in capsys.readouterr().err


def test_numbers_at_their_bounds():
    assert options.number(0, 1)("0") == 0.0
    assert options.whole_number(1)("1") == 1
    with pytest.raises(argparse.ArgumentTypeError):
        options.number(0, 1)("inf")


def settled(*arguments, images=45_000):
    args = train_cnn.parse(list(arguments))
    training.settle(args, train_cnn.RECIPES[args.recipe], images)
    return args


def test_a_recipe_fills_in_what_was_left_out():
    tutorial = settled("--recipe", "tutorial", "--epochs", "3")
    assert (tutorial.epochs, tutorial.batch_size, tutorial.learning_rate) == (3, 32, 1e-3)
    assert (tutorial.augment, tutorial.dropout, tutorial.schedule) == (False, 0.0, "constant")
    assert tutorial.activation == "relu" and settled("--recipe", "record").activation == "silu"
    assert settled("--recipe", "record", "--activation", "tanh").activation == "tanh"
    assert settled().augment is True and settled("--no-augment").augment is False


def test_another_optimizer_brings_its_own_learning_rate():
    assert tuple(training.OPTIMIZERS) == (*options.OPTIMIZERS, "muon")
    adam, sgd = settled(), settled("--optimizer", "sgd")
    assert sgd.learning_rate == pytest.approx(10 * adam.learning_rate)
    assert sgd.learning_rate * sgd.weight_decay == pytest.approx(adam.learning_rate * adam.weight_decay)
    assert settled("--optimizer", "sgd", "--learning-rate", "0.3").learning_rate == 0.3
    assert settled("--recipe", "record").learning_rate == pytest.approx(0.17)
    assert settled("--recipe", "record", "--optimizer", "adam").learning_rate == 5e-3


def test_few_images_get_smaller_batches_unless_a_size_is_given():
    assert settled(images=1_280).batch_size == 64
    assert settled(images=10).batch_size == 16
    assert settled("--batch-size", "512", images=10).batch_size == 512


def test_what_follows_two_dashes_is_no_option():
    parser = options.Parser("")
    parser.add_argument("names", nargs="+")
    parser.add_argument("--top")
    assert parser.parse_args(["a", "--top", "3", "b"]).names == ["a", "b"]
    assert parser.parse_args(["--top", "3", "--", "-a", "b"]).names == ["-a", "b"]
