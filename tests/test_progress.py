import io

import pytest

from classify import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_track_yields_all_and_leaves_no_bar_while_the_consumer_has_an_item(stream, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr", stream())
    bars = []
    live = progress.live
    monkeypatch.setattr(progress, "live", lambda *columns: bars.append(live(*columns)) or bars[-1])
    seen = []
    for item in progress.track(iter([[1, 2], [3]]), 3, "counting"):
        seen += item
        assert not any(bar.live.is_started for bar in bars)
        print("a result")
    assert seen == [1, 2, 3] and capsys.readouterr().out == "a result\n" * 2
    assert [bar.tasks[0].completed for bar in bars] == ([3] if stream is Terminal else [])


def test_a_bars_label_is_text_and_no_markup(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    list(progress.track(iter([[1]]), 1, "[/] :dog: \x1b[2J"))
    import sys

    assert "[/] :dog: \\x1b[2J" in sys.stderr.getvalue()


def test_live_shows_nothing_off_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with progress.live() as bar:
        bar.update(bar.add_task("", total=1), completed=1)
    import sys

    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (492, "8 min 12 s"), (3900, "1 h 05 min")]
)
def test_a_duration_for_a_person(seconds, text):
    assert progress.duration(seconds) == text
