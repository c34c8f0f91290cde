"""Where long work reports how far it is. Dagster runs listen to nothing; the command line draws a bar."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Reporter = Callable[[str, float, float], None]
"""Called with what is being done, how much of it is done, and how much there is."""


class Note(str):
    """What is being done, and a person should see it at once: a wait, a failure."""


class Milestone(str):
    """What is being done, and the log of a run should have it, however soon after another sentence."""


def unheard(what: str, done: float, total: float) -> None:
    """A `Reporter` that tells nobody."""


_listeners: list[Reporter] = []


def report(what: str, done: float, total: float) -> None:
    """Tell whoever listens in this process."""
    for listener in _listeners:
        listener(what, done, total)


def logged(log: Callable[[str], None], every_s: float = 30.0) -> Reporter:
    """`report` for a long run: `log` also gets every `Note` and `Milestone`, and a sentence every `every_s` seconds."""
    tell = told(log, every_s, at_once=(Note, Milestone))

    def tell_all(what: str, done: float, total: float) -> None:
        report(what, done, total)
        tell(what, done, total)

    return tell_all


def told(log: Callable[[str], None], every_s: float, *, at_once: tuple[type[str], ...] = (Note,)) -> Reporter:
    """A listener that hands `log` every `Note`, or other kinds of sentence, and any every `every_s` seconds."""
    last = time.monotonic()

    def tell(what: str, done: float, total: float) -> None:
        nonlocal last
        if isinstance(what, at_once) or time.monotonic() - last >= every_s:
            last = time.monotonic()
            log(what)

    return tell


@contextmanager
def listen(listener: Reporter) -> Iterator[None]:
    """Have `listener` called for the length of a block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
