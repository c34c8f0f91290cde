"""Interrupts that come while a library writes, and where Python would drop them."""

import gc
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from qc_assets.interrupts import held_interrupts, insistent_interrupts


class Interrupted(BaseException):
    """As Dagster raises one of its own."""


@pytest.fixture(autouse=True)
def _interrupts_raise() -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise Interrupted

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_begun_ends_before_it_is_interrupted(number: signal.Signals) -> None:
    done = []
    with pytest.raises(Interrupted), held_interrupts():
        with held_interrupts():
            signal.raise_signal(number)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    with pytest.raises(Interrupted):
        signal.raise_signal(number)


def test_whoever_insists_need_not_wait() -> None:
    with pytest.raises(Interrupted), held_interrupts():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second is raised at once")


def test_an_error_is_not_hidden_by_what_was_held() -> None:
    with pytest.raises(Interrupted) as raised, held_interrupts():
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError
    assert isinstance(raised.value.__context__, ZeroDivisionError)


def test_signals_that_are_ignored_stay_ignored_and_other_threads_have_nothing_to_hold() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_interrupts():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    held = []

    def elsewhere() -> None:
        with held_interrupts():
            held.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert held == [before]


class InterruptedInItsEnd:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_in_a_destructor_comes_again() -> None:
    with pytest.raises(Interrupted), insistent_interrupts():
        InterruptedInItsEnd()
        gc.collect()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            time.sleep(0.01)


def test_other_troubles_of_destructors_are_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ZeroDivisionError

    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_type))
    with insistent_interrupts():
        Broken()
        gc.collect()
    assert told == [ZeroDivisionError]
