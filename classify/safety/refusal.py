"""A file that is not opened, and why."""


class Refused(Exception):
    """A file that is not to be opened.

    Args:
        why: what the file is or does, to stand behind its name: 'is refused: it holds a Lambda layer, which is code'.
        by_name: whether it is refused for the kind of something in it. Other kinds are opened with --trust.
    """

    def __init__(self, why, by_name=False):
        super().__init__(why)
        self.by_name = by_name


def refuse(why, by_name=False):
    """Raise ``Refused``.

    Args:
        why: what the file is or has, to stand behind 'is refused: '.
        by_name: as in ``Refused``.
    """
    raise Refused(f"is refused: {why}", by_name)


def unless(holds, why, by_name=False):
    """Do as ``refuse`` does if something does not hold. Where ``why`` takes time to write, an ``if`` is faster."""
    if not holds:
        refuse(why, by_name)
