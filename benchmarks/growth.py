"""How costs grow: every step of the main job at three sizes of the demo, days of one load, and a day after months.

A step's exponent is the slope of log seconds over log size between the two larger sizes: 1 is linear, and what a step
costs with nothing to do makes it less. Limit: 1.1.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from benchmarks.measure import verdict
from benchmarks.sizes import sized
from qc_assets.assets.partitions import days_between
from qc_assets.cli.runs import open_instance, run_job
from qc_assets.settings import load_settings
from qc_assets.sources.loading import load
from qc_assets.sources.registry import open_source
from qc_assets.store.warehouse import Warehouse

SIZES = sized((2_000, 8_000, 32_000), (300, 600, 1_200))
DAYS = sized((500, 2_000, 8_000), (20, 40, 80))
MONTHS = sized((1, 12, 36), (1, 2, 3))
LIMIT = 1.1
# A step of a blink has no exponent: what is measured then is the machine.
LEAST_SECONDS = 2.0


def exponent(sizes: tuple[float, float], costs: tuple[float, float]) -> float:
    """Slope of log cost over log size between two sizes."""
    return math.log(costs[1] / costs[0]) / math.log(sizes[1] / sizes[0])


def run_demo(home: Path, pull_requests: int) -> tuple[dict[str, float], float]:
    """Run the main job on a demo of a size, as a user does.

    Returns:
        Seconds of each step, and the peak memory of the process in MiB.
    """
    environment = os.environ | {
        "QC_HOME": str(home),
        "QC_WAREHOUSE": str(home / "qc.duckdb"),
        "QC_DEMO_PRS": str(pull_requests),
    }
    command = [sys.executable, "-m", "qc_assets.cli", "demo", "--details", "--json"]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=complaints)
        _, status, usage = os.wait4(process.pid, 0)
        output.seek(0)
        complaints.seek(0)
        if os.waitstatus_to_exitcode(status) not in (0, 1):  # 1: a check is red
            sys.exit(complaints.read().decode()[-2000:])
        document = json.loads(output.read())
    return document["seconds"], usage.ru_maxrss / 1024


def table_of_exponents(sizes: tuple[int, ...] = SIZES) -> dict[str, float]:
    """Print what each step costs at each size; returns the exponents of those that cost something."""
    costs: list[dict[str, float]] = []
    memory: list[float] = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as home:
            seconds, peak = run_demo(Path(home), size)
        costs.append(seconds)
        memory.append(peak)
        print(f"{size:,} pull requests: {sum(seconds.values()):.0f} s, peak {peak:.0f} MiB", flush=True)
    pair = (float(sizes[-2]), float(sizes[-1]))
    exponents = {}
    for step in sorted(costs[-1], key=lambda name: -costs[-1][name]):
        ladder = [cost.get(step, 0.0) for cost in costs]
        if ladder[-1] < LEAST_SECONDS or ladder[-2] <= 0:
            continue
        exponents[step] = exponent(pair, (ladder[-2], ladder[-1]))
        print(f"{step:32} {' '.join(f'{value:8.1f}' for value in ladder)} s  exponent {exponents[step]:5.2f}")
    exponents["memory"] = exponent(pair, (memory[-2], memory[-1]))
    print(f"{'memory':32} {' '.join(f'{value:8.0f}' for value in memory)} MiB exponent {exponents['memory']:5.2f}")
    return exponents


def one_more_day(home: Path, months: tuple[int, ...] = MONTHS, a_day: int = 20) -> dict[int, dict[str, float]]:
    """Load day after day, and time a day's share of the work when so many months are loaded.

    Args:
        home: an empty folder.
        months: at which the next day is timed, ascending.
        a_day: pull requests opened a day.

    Returns:
        CPU seconds of loading a day, of the coverage, of the features, and of the snapshot's identity, by month.
    """
    length = 30 * months[-1] + 1
    settings = load_settings(
        source="demo", demo_prs=a_day * length, demo_days=length, home=home, warehouse=home / "qc.duckdb",
        _env_file=None,
    )  # fmt: skip
    warehouse, source = Warehouse.from_settings(settings), open_source(settings)
    days, costs, begun = days_between(settings.first_date, settings.last_date), {}, 0
    for month in months:
        end = 30 * month
        if end > begun:
            load(warehouse, source, days[begun:end])
        steps: dict[str, Callable[[], object]] = {
            "loading": lambda end=end: load(warehouse, source, days[end : end + 1]),
            "coverage": lambda: warehouse.rebuild(
                "ops/coverage", {"min_archive_completeness": settings.min_archive_completeness}
            ),
            "features": lambda: warehouse.rebuild(
                "features/pull_requests", settings.feature_parameters("pull_requests")
            ),
            "snapshot": lambda: warehouse.snapshot(["raw.pull_requests", "raw.reviews"]),
        }
        costs[month] = {}
        for name, work in steps.items():
            started = time.process_time()
            work()
            costs[month][name] = time.process_time() - started
        begun = end + 1
        day = settings.first_date + timedelta(days=end)
        print(
            f"{day}, after {month} months: "
            + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in costs[month].items()),
            flush=True,
        )
    return costs


def days_at_once(home: Path, days: tuple[int, ...] = DAYS, pull_requests: int = 300) -> float:
    """Load the same pull requests spread over so many days, each time by one run of Dagster's, into empty homes.

    Returns:
        The exponent of the seconds by days, see `exponent`.
    """
    costs = []
    for count in days:
        settings = load_settings(
            source="demo", demo_prs=pull_requests, demo_days=count, home=home / str(count),
            warehouse=home / str(count) / "qc.duckdb", _env_file=None,
        )  # fmt: skip
        open_instance(settings).dispose()  # its databases are made once a home
        begun = time.perf_counter()
        run_job(settings, "ingest", days=days_between(settings.first_date, settings.last_date))
        costs.append(time.perf_counter() - begun)
        print(f"{count:,} days at once: {costs[-1]:.1f} s", flush=True)
    return exponent((days[-2], days[-1]), (costs[-2], costs[-1]))


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        print(verdict(days_at_once(Path(home)), LIMIT, "exponent of days loaded at once"))
    exponents = table_of_exponents()
    worst = max(exponents, key=lambda step: exponents[step])
    print(verdict(exponents[worst], LIMIT, f"largest exponent, {worst}"))
    with tempfile.TemporaryDirectory() as home:
        costs = one_more_day(Path(home))
    first, last = costs[MONTHS[0]], costs[MONTHS[-1]]
    for name in first:
        print(verdict(last[name] / first[name], 1.5, f"{name} of one more day after {MONTHS[-1]} months / after one"))
