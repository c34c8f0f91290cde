"""`kill -9` at random points of each step: a rerun ends as if nothing had happened."""

import multiprocessing
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from qc_assets.serving.journal import Journal
from tests import killed_steps
from tests.killed_steps import STEPS, run_step, settings_of
from tests.serving.test_importing import prediction

KILLS = 2


def prepare(step: str, folder: Path) -> None:
    """What a step needs before it."""
    folder.mkdir()
    if step == "publish":
        killed_steps.train(folder)
    if step == "import":
        journal = Journal(settings_of(folder).journal_file)
        journal.record(
            "prediction", [prediction(number) for number in range(1, 3_001)], written_at="2026-02-28T12:00:00"
        )
        journal.close()


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_was_killed_ends_as_if_nothing_had_happened(step: str, tmp_path: Path) -> None:
    # Processes that have imported everything already, so that a kill hits the work; and a seed that is told.
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.killed_steps"])
    prepare(step, tmp_path / "start")
    for name in ("whole", "killed"):
        shutil.copytree(tmp_path / "start", tmp_path / name)
    first = context.Process(target=time.sleep, args=(0,))  # pays for starting the fork server
    first.start()
    first.join()
    started = time.monotonic()
    process = context.Process(target=run_step, args=(step, str(tmp_path / "whole")))
    process.start()
    process.join()
    took_s = time.monotonic() - started
    assert process.exitcode == 0
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    for _ in range(KILLS):
        process = context.Process(target=run_step, args=(step, str(tmp_path / "killed")))
        process.start()
        process.join(chance.uniform(0.05, 1.0) * took_s)
        process.kill()
        process.join()
    last = context.Process(target=run_step, args=(step, str(tmp_path / "killed")))
    last.start()
    last.join()
    assert last.exitcode == 0, f"seed {seed}"
    outcome = STEPS[step][1]
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole"), f"seed {seed}"
