"""Bars that show how long something takes, on standard error where that is a terminal."""

import sys

from classify.command import printable


def live(*columns):
    """Return a ``rich.progress.Progress`` on standard error that leaves nothing behind.

    Where standard error is no terminal it shows nothing.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, highlight=False)
    disable = not console.is_terminal
    return Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False, disable=disable
    )


def track(items, total, doing, size=len):
    """Yield from ``items``; while the next one is made a bar shows the time left.

    While the consumer has an item there is no bar, so it may print.

    Args:
        items: what takes the time to make, such as a generator of batches.
        total: the sum of the items' sizes.
        doing: the bar's label.
        size: a function that returns how far an item takes the bar.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.progress import Progress, TextColumn

    label = TextColumn("{task.description}", markup=False)  # a name in it may look like markup
    with live(label, *Progress.get_default_columns()[1:]) as bar:
        task = bar.add_task(printable(doing), total=total)
        for item in items:
            bar.advance(task, size(item))
            bar.stop()
            yield item
            bar.start()


def duration(seconds):
    """Return a time for a person: '8 s', '8 min 12 s', '1 h 05 min'."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
