"""Where long work reports how far it is. Dagster runs listen to nothing; the command line draws a bar."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qc_assets.sources.source import Note, Progress

_listeners: list[Progress] = []


def report(what: str, done: float, total: float) -> None:
    """Tell whoever listens in this process."""
    for listener in _listeners:
        listener(what, done, total)


def logged(log: Callable[[str], None], every_s: float = 30.0) -> Progress:
    """`report` for a long run: `log` is also handed every `Note`, and another sentence every `every_s` seconds."""
    last = time.monotonic()

    def tell(what: str, done: float, total: float) -> None:
        nonlocal last
        report(what, done, total)
        if isinstance(what, Note) or time.monotonic() - last >= every_s:
            last = time.monotonic()
            log(what)

    return tell


@contextmanager
def listen(listener: Progress) -> Iterator[None]:
    """Have `listener` called for the length of a block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
