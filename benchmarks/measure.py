"""Running something in a process of its own, and what came of it in a line."""

import importlib
import multiprocessing
import queue
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.results import record
from benchmarks.sizes import sized


def _measured(work: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, float, float]:
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
    return result, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _run(work: Callable[..., Any], arguments: tuple[Any, ...], answers: Any) -> None:
    answers.put(_measured(work, arguments))


def isolated(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float, float]:
    """Call `work` in a fresh process, or, with QC_BENCH_SMALL, in this one, which is quicker.

    Returns:
        Its result, its seconds without start-up and imports, and the process's peak memory in MiB.
    """
    if sized(False, True):
        return _measured(work, arguments)
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


def verdict(
    ratio: float | None,
    limit: float,
    what: str,
    *,
    at_least: bool = False,
    unit: str = "s",
    samples: Sequence[Sequence[float] | float] = (),
) -> str:
    """One line: the ratio and whether it keeps the limit; `results.record` has it, too.

    Args:
        ratio: None is the median of the samples.
        limit: at most, or at least, so much.
        what: ours / the rival.
        at_least: whether more is better.
        unit: of the samples.
        samples: pairs (ours, the rival's), or ratios.
    """
    figure = record(what, ratio, limit, more_is_better=at_least, unit=unit, samples=samples)
    of = f", median of {len(samples)}" if samples else ""
    aim = f"aim: at {'least' if at_least else 'most'} {limit:g}"
    return f"ratio {figure.ratio:.2f} ({what}{of}); {aim} -> {'met' if figure.met else 'MISSED'}"
