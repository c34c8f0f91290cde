"""Writers of a journal that are killed in the middle of it."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

MANY = 5_000


def accepted_until_killed(write: Callable[..., None], *arguments: Any) -> int:
    """Let a process of its own write until it has told that thousands of entries were accepted, and kill it.

    Args:
        write: called with the arguments, and a queue into which it puts how many were accepted so far.
        arguments: of `write`.

    Returns:
        What it told last.
    """
    spawn = multiprocessing.get_context("spawn")
    told = spawn.Queue()
    process = spawn.Process(target=write, args=(*arguments, told))
    process.start()
    accepted = 0
    while accepted < MANY:
        accepted = told.get(timeout=60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return accepted
