"""Where long work reports how far it is. Dagster runs listen to nothing; the command line draws a bar."""

from collections.abc import Iterator
from contextlib import contextmanager

from qc_assets.sources.source import Progress

_listeners: list[Progress] = []


def report(what: str, done: float, total: float) -> None:
    """Tell whoever listens in this process."""
    for listener in _listeners:
        listener(what, done, total)


@contextmanager
def listen(listener: Progress) -> Iterator[None]:
    """Have `listener` called for the length of a block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
