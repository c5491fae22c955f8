import argparse

import pytest

import evaluate
import predict
import train_cnn
import train_inception
from classify import options


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
        (["--out", ""], "--out: an empty name"),
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


def test_what_follows_two_dashes_is_no_option():
    parser = options.Parser("")
    parser.add_argument("names", nargs="+")
    parser.add_argument("--top")
    assert parser.parse_args(["a", "--top", "3", "b"]).names == ["a", "b"]
    assert parser.parse_args(["--top", "3", "--", "-a", "b"]).names == ["-a", "b"]


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/", "/3", "-1/3", "a/b", "1/0"])
def test_a_shard_that_is_none(text):
    assert list(range(7))[options.shard("2/3")] == [1, 4]
    with pytest.raises(argparse.ArgumentTypeError, match="is not I/N, such as 1/4"):
        options.shard(text)
