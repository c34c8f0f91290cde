"""Running something in a process of its own: seconds and peak memory."""

import importlib
import multiprocessing
import queue
import resource
import time
from collections.abc import Callable
from typing import Any


def _run(work: Callable[..., Any], arguments: tuple[Any, ...], answers: Any) -> None:
    # Imports are start-up, not work: the rivals have theirs behind them, too.
    for module in (
        "qc_assets.sources.gharchive.source",
        "qc_assets.sources.demo.source",
        "qc_assets.sources.loading",
        "pandas",
    ):
        importlib.import_module(module)
    started = time.perf_counter()
    result = work(*arguments)
    seconds = time.perf_counter() - started
    answers.put((result, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def isolated(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float, float]:
    """Call `work` in a fresh process.

    Returns:
        Its result, its seconds without start-up and imports, and the process's peak memory in MiB.
    """
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    process = spawn.Process(target=_run, args=(work, arguments, answers))
    process.start()
    while True:
        try:
            answer = answers.get(timeout=1)
            break
        except queue.Empty:  # has it died?
            if process.exitcode not in (None, 0):
                raise RuntimeError(f"{work.__name__} died with {process.exitcode}") from None
    process.join()
    return answer


def verdict(ratio: float, limit: float, what: str) -> str:
    """One line: the ratio and whether it keeps the limit."""
    return f"ratio {ratio:.2f} ({what}); aim: at most {limit:g} -> {'met' if ratio <= limit else 'MISSED'}"
