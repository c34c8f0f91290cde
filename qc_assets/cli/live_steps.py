"""A run of a job while it goes on: a live table of its steps in a terminal, a line for each elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from qc_assets import progress
from qc_assets.cli import console
from qc_assets.files import keep_private

if TYPE_CHECKING:
    from dagster import EventLogEntry

Hearer = Callable[["EventLogEntry"], None]
"""Called with each event of a run, as Dagster stores it."""

_ROOM = 8  # lines of a terminal that the table leaves free
_STATES = {"waiting": "dim", "done": "green", "failed": "red", "skipped": "yellow", "running": "bold"}


@dataclass
class _Step:
    state: str = "waiting"
    began: float = 0.0
    seconds: float | None = None


@dataclass
class Steps:
    """The steps of a run, as its events tell.

    Attributes:
        title: what the run is for.
        say: called with a sentence whenever a step ends, if given.
    """

    title: str
    say: Callable[[str], None] | None = None
    began: float = field(default_factory=time.monotonic)
    _steps: dict[str, _Step] = field(default_factory=dict)
    _words: str = ""
    _share: float | None = None

    def hear(self, event: "EventLogEntry") -> None:
        """Take note of an event of the run."""
        told, key = event.dagster_event, event.step_key
        if told is None or key is None:
            return
        step = self._steps.setdefault(key, _Step())
        if told.event_type_value == "STEP_START":
            step.state, step.began = "running", time.monotonic()
            self._words, self._share = "", None
        state = {"STEP_SUCCESS": "done", "STEP_FAILURE": "failed", "STEP_SKIPPED": "skipped"}.get(told.event_type_value)
        if state is None:
            return
        step.state = state
        step.seconds = time.monotonic() - step.began if step.began else 0.0
        if self.say is not None:
            ended = sum(other.seconds is not None for other in self._steps.values())
            self.say(f"step {ended} of {len(self._steps)}, {key}: {state} after {step.seconds:.1f} s")

    def tell(self, what: str, done: float, total: float) -> None:
        """Take note of how far the step is that runs."""
        self._words, self._share = what, done / total if total else None

    def __rich__(self) -> Group:
        """The table, as long as the terminal is high: the newest steps, and the next ones."""
        rows = Table.grid(padding=(0, 2))
        for column in ("right", "left", "left"):
            rows.add_column(justify=column)  # type: ignore[arg-type]  # rich names the words that it takes
        begun = [name for name, step in self._steps.items() if step.state != "waiting"]
        begun.sort(key=lambda name: self._steps[name].began)
        waiting = [name for name, step in self._steps.items() if step.state == "waiting"]
        room = max(console.err.height - _ROOM, 3)
        shown = begun[-(room - 1) :]
        if len(begun) > len(shown):
            rows.add_row("", Text(f"… {len(begun) - len(shown)} steps before", style="dim"), "")
        for name in shown:
            step = self._steps[name]
            seconds = step.seconds if step.seconds is not None else time.monotonic() - step.began
            words = ""
            if step.state == "running":
                share = "" if self._share is None else f"{self._share:.0%} "
                words = f"{share}{self._words}"
            rows.add_row(f"{seconds:,.1f} s", Text(name, style=_STATES[step.state]), Text(words or step.state))
        if waiting:
            rows.add_row("", Text(f"{len(waiting)} to come: {', '.join(waiting[:4])}", style="dim"), "")
        ended = sum(step.seconds is not None for step in self._steps.values())
        head = f"{self.title}: {ended} of {len(self._steps)} steps, {time.monotonic() - self.began:,.0f} s"
        return Group(Spinner("dots", Text(head)), rows)


@contextmanager
def shown_live(title: str, kept_in: Path) -> Iterator[Hearer]:
    """Show on stderr how far a run is: a live table in a terminal, else, and with ``--json``, a line for each step.

    Dagster turns stdout and stderr of a running step away, and shows what is written there in its own time: a table
    has to be drawn on a copy of the terminal, and what libraries say would be written across it, so that it goes into
    a file.

    Args:
        title: what the run is for.
        kept_in: folder of that file.

    Yields:
        What is to be called with each event of the run.
    """
    if console.is_log():
        with console.lines_of(title) as line:
            yield Steps(title, say=line).hear
        return
    steps = Steps(title)
    library_log = kept_in / "libraries.log"
    kept_in.mkdir(parents=True, exist_ok=True)
    with _aside(library_log) as terminal, progress.listen(steps.tell):
        drawn = console.SafeConsole(file=terminal, soft_wrap=False, emoji=False, markup=False)
        with Live(steps, console=drawn, refresh_per_second=4, transient=True, redirect_stdout=False):
            yield steps.hear
    if library_log.stat().st_size:
        console.err.print(
            f"What libraries said meanwhile is in {library_log}.", markup=False, highlight=False, style="dim"
        )


@contextmanager
def _aside(path: Path) -> Iterator[Any]:
    """Write what this process says into a file, anew; yields a copy of its stderr as it was."""
    keep_private(path)
    saved = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    try:
        with path.open("wb") as file, os.fdopen(os.dup(saved[2]), "w") as terminal:
            for descriptor in saved:
                os.dup2(file.fileno(), descriptor)
            yield terminal
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, copy in saved.items():
            os.dup2(copy, descriptor)
            os.close(copy)
