"""Ctrl-C and SIGTERM, at moments when Python would lose them or a library would be left half-way by them.

A signal's handler raises wherever the main thread happens to be. In a destructor or in a callback of a weak reference
Python prints "Exception ignored" and goes on as if nobody had asked; in the middle of a transaction SQLAlchemy leaves
its connection open, and whatever the same process writes next finds the database locked.
"""

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AGAIN_S = 0.05  # the destructor is over then


@contextmanager
def held_interrupts() -> Iterator[None]:
    """Let what is begun here come to its end: an interrupt is raised when the block is left, a second one at once.

    Does nothing in other threads than the main one, where Python handles no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    held: list[int] = []

    def restore() -> None:
        for number, handler in before.items():
            if handler is not None:  # None: not Python's, and it cannot be put back
                signal.signal(number, handler)

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)
        if len(held) > 1:
            restore()
            signal.raise_signal(number)

    for number, handler in before.items():
        if handler not in (None, signal.SIG_IGN):
            signal.signal(number, hold)
    try:
        yield
    finally:
        restore()
        if len(held) == 1:
            signal.raise_signal(held[0])


@contextmanager
def insistent_interrupts() -> Iterator[None]:
    """Interrupts that Python drops, because a destructor was at work, come again a moment later."""
    before = sys.unraisablehook

    def interrupt_again(lost: Any) -> None:
        if issubclass(lost.exc_type, Exception | SystemExit | GeneratorExit):
            before(lost)
            return
        # From another thread, as one that is raised in here is dropped, too.
        again = threading.Timer(_AGAIN_S, _thread.interrupt_main)
        again.daemon = True
        again.start()

    sys.unraisablehook = interrupt_again
    try:
        yield
    finally:
        sys.unraisablehook = before
