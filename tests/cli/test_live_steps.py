"""How far a run is, as a person sees it: in a real terminal, and in a log."""

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyte
import pytest

from qc_assets.cli.live_steps import Steps

_SIZE = (30, 110)


def _in_a_terminal(environment: dict[str, str], *arguments: str) -> tuple[int, list[list[str]]]:
    """Exit status of `qc` in a pseudo-terminal, and its screen after each thing that it wrote."""
    process, terminal = pty.fork()
    if process == 0:
        os.execve(sys.executable, [sys.executable, "-m", "qc_assets.cli", *arguments], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))
    screen = pyte.HistoryScreen(_SIZE[1], _SIZE[0])
    stream, screens = pyte.ByteStream(screen), []
    while True:
        try:
            written = os.read(terminal, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not written:
            break
        stream.feed(written)
        screens.append([line.rstrip() for line in screen.display])
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), screens


def test_a_terminal_sees_the_steps_while_they_run_and_the_end_after_them(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QC_")}
    environment = kept | {
        "QC_HOME": str(tmp_path / "home"),
        "QC_WAREHOUSE": str(tmp_path / "qc.duckdb"),
        "QC_DEMO_PRS": "300",
        "QC_DEMO_DAYS": "14",
        "TERM": "xterm",
    }
    status, screens = _in_a_terminal(environment, "backfill", "--from", "2024-01-01", "--to", "2024-01-14")
    assert status == 0, "\n".join(screens[-1])
    seen = ["\n".join(screen) for screen in screens]
    assert any(re.search(r"backfill 2024-01-01 to 2024-01-14: 0 of \d+ steps, \d+ s", screen) for screen in seen)
    assert any(re.search(r"s\s+raw_tables\s+\d+% \S+", screen) for screen in seen), "what the step itself reports"
    assert "In the warehouse now" in seen[-1] and "steps," not in seen[-1]
    assert (tmp_path / "home" / "logs" / "libraries.log").stat().st_mode & 0o077 == 0


def _event(kind: str, step: str | None = "train_p0") -> Any:
    return SimpleNamespace(step_key=step, dagster_event=SimpleNamespace(event_type_value=kind))


def test_a_log_gets_a_line_for_each_step_and_none_for_what_is_no_step() -> None:
    said: list[str] = []
    steps = Steps("demo", say=said.append)
    for kind in ("ASSET_MATERIALIZATION_PLANNED", "STEP_START", "ASSET_OBSERVATION", "STEP_SUCCESS"):
        steps.hear(_event(kind))
    steps.hear(_event("ASSET_MATERIALIZATION_PLANNED", "bias_p0"))
    steps.hear(_event("PIPELINE_START", None))
    steps.hear(SimpleNamespace(step_key="bias_p0", dagster_event=None))  # type: ignore[arg-type]  # words of a step
    steps.hear(_event("STEP_SKIPPED", "bias_p0"))
    assert said == ["step 1 of 1, train_p0: done after 0.0 s", "step 2 of 2, bias_p0: skipped after 0.0 s"]


@pytest.mark.parametrize(("steps", "shown"), [(3, 3), (200, 21)])
def test_the_table_is_never_longer_than_the_terminal(steps: int, shown: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from qc_assets.cli import console

    monkeypatch.setattr(console.err, "_height", 30)
    watched = Steps("demo")
    for number in range(steps):
        watched.hear(_event("STEP_START", f"step_{number}"))
        watched.hear(_event("STEP_SUCCESS", f"step_{number}"))
    drawn = console.SafeConsole(width=110, height=30, force_terminal=True)
    with drawn.capture() as capture:
        drawn.print(watched)
    lines = capture.get().splitlines()
    assert len(lines) <= 30 and f"step_{steps - 1}" in lines[-1]
    assert sum("done" in line for line in lines) == shown
