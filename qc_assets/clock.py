"""Time that can be replaced, so that hours of waiting can be tested."""

import threading
from datetime import UTC, datetime
from typing import Protocol


def now_utc() -> datetime:
    """The present as the warehouse has every instant: naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


class Clock(Protocol):
    """Something that tells the time and can wait."""

    def now(self) -> datetime:
        """Naive UTC."""
        ...

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Wait, or until `stop` is set."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return now_utc()

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        (stop or threading.Event()).wait(max(0.0, seconds))


def parse_instant(text: str) -> datetime:
    """An ISO 8601 instant, such as GitHub's ``2024-05-01T12:00:00Z``, as naive UTC."""
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def naive_utc(instant: datetime) -> datetime:
    """An instant as the warehouse has it; one without a time zone is UTC already.

    Raises:
        ValueError: if no calendar has it.
    """
    try:
        return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant
    except OverflowError as error:
        raise ValueError("is no time that a calendar has") from error
