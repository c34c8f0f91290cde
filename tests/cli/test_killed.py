"""Commands that are killed leave nothing that the next command does not mend."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from qc_assets.assets.run_owners import dead_runs
from qc_assets.cli.runs import open_instance
from qc_assets.settings import Settings


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM], ids=lambda number: number.name)
def test_a_killed_command_leaves_no_run_that_goes_on_for_ever(
    qc: Any, make_settings: Callable[..., Settings], tmp_path: Path, number: signal.Signals
) -> None:
    environment = {"QC_HOME": str(tmp_path / "home"), "QC_WAREHOUSE": str(tmp_path / "qc.duckdb"), "QC_DEMO_DAYS": "60"}
    command = [sys.executable, "-m", "qc_assets.cli", "backfill", "--from", "2024-01-01", "--to", "2024-02-20"]
    with open_instance(make_settings()) as instance:
        process = subprocess.Popen(
            command, env=os.environ | environment, stderr=subprocess.PIPE, text=True,
            # Started by `nohup`, tests ignore SIGHUP, and what they start would, too.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )  # fmt: skip
        while not instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
        (run,) = instance.get_runs()
        if number == signal.SIGKILL:
            assert run.status == dg.DagsterRunStatus.STARTED
            assert [record.dagster_run.run_id for record in dead_runs(instance)] == [run.run_id]
        else:
            assert run.is_finished and "run the same command again to go on" in " ".join(error.split())
        done = qc("backfill", "--from", "2024-01-01", "--to", "2024-01-02")
        assert done.returncode == 0, done.stderr
        assert sorted(run.status.value for run in instance.get_runs()) == ["FAILURE", "SUCCESS"]
