"""A clock that a simulation sets, for every process that it starts."""

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from libfaketime import get_reload_information


class SimulatedClock:
    """Moments that one process sets and others live in, by a file that libfaketime reads at every look at the clock.

    The process that sets it lives in real time. Time goes on at its usual pace from the moment that was set.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ahead_s = 0.0
        self.set(self.now())

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process that shall live by this clock; its files keep their real times."""
        _, additions = get_reload_information()
        return {**additions, "FAKETIME_TIMESTAMP_FILE": str(self._file), "NO_FAKE_STAT": "1"}

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self._ahead_s, UTC).replace(tzinfo=None)

    def set(self, moment: datetime) -> None:
        """Let it be `moment` (naive UTC) now."""
        self._ahead_s = moment.replace(tzinfo=UTC).timestamp() - time.time()
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._ahead_s:+.0f}\n")
        new.replace(self._file)

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        (stop or threading.Event()).wait(max(0.0, seconds))
