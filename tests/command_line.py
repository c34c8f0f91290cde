"""`qc` without a process of its own: importing everything anew takes longer than most commands.

That a process behaves alike is tested where commands are killed, in a fresh clone and in an installed wheel.
"""

import io
import os
import signal
import subprocess
import sys
import traceback
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from qc_assets.cli import console
from qc_assets.cli.main import main


def run_qc(folder: Path, environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """What `qc` answers in a folder to arguments, under `QC_*` variables of which no others are set."""
    outputs = io.StringIO(), io.StringIO()
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    status = 0
    with pytest.MonkeyPatch.context() as patch, chdir(folder):
        for name in [name for name in os.environ if name.startswith("QC_")]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        for stream in (console.out, console.err):
            patch.setattr(stream, "_width", int(environment.get("COLUMNS", "120")))
        patch.setattr(sys, "argv", ["qc", *arguments])
        with redirect_stdout(outputs[0]), redirect_stderr(outputs[1]):
            try:
                main()
            except SystemExit as error:
                status = int(error.code or 0)
            except Exception:  # noqa: BLE001  # as Python does at the end of a process
                traceback.print_exc()
                status = 1
    for number, handler in signals.items():
        signal.signal(number, handler)
    return subprocess.CompletedProcess(arguments, status, *(output.getvalue() for output in outputs))
