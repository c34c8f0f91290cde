"""A long history through Dagster, and through the loader alone.

The rival is `qc_assets.sources.loading.load` with the same source and days, and no Dagster around it: what it takes is
what the data cost.
"""

import tempfile
import time
from datetime import date, datetime, timedelta
from pathlib import Path

from benchmarks.measure import verdict
from benchmarks.sizes import sized
from qc_assets.assets.partitions import days_between
from qc_assets.cli.runs import open_instance, run_job
from qc_assets.settings import Settings, load_settings
from qc_assets.sources.fake.fake_server import FakeGitHub
from qc_assets.sources.fake.fake_world import World
from qc_assets.sources.fake.github_schema import load_schema
from qc_assets.sources.loading import load
from qc_assets.sources.registry import open_source
from qc_assets.store.warehouse import Warehouse

FIRST = date(2010, 1, 1)
MOST = 2.0


def _world(items: int, days: int) -> World:
    """One repository, whose pull requests and issues lie evenly over the days."""
    world = World()
    repo = world.add_repo("o/old")
    for n in range(items):
        moment = datetime.combine(FIRST, datetime.min.time()) + timedelta(days=days * n / items)
        item = world.add_item(repo, "PullRequest" if n % 2 else "Issue", n + 1, moment, moment)
        world.add_comment(item, moment)
    return world


def long_history(items: int = sized(5000, 40), count: int = sized(14 * 365, 40)) -> float:
    """Load a history both ways; returns how many times as long it takes with Dagster."""
    last = FIRST + timedelta(days=count - 1)
    days = days_between(FIRST, last)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for way in ("loader", "Dagster"):
            with FakeGitHub(load_schema(), _world(items, len(days)), points=None) as fake:
                settings = load_settings(
                    source="github", github_url=fake.url, github_tokens="t0ken", repos="o/old", start_date=FIRST,
                    end_date=last, home=Path(folder) / way, warehouse=Path(folder) / way / "qc.duckdb",
                )  # fmt: skip
                begun = time.perf_counter()
                _load(way, settings, days)
                seconds[way] = time.perf_counter() - begun
                print(f"{way}: {seconds[way]:.0f} s, {fake.requests} requests for {items:,} items", flush=True)
            rows = "SELECT (SELECT count(*) FROM raw.pull_requests) + (SELECT count(*) FROM raw.issues)"
            if Warehouse.from_settings(settings).query(rows).item() != items:
                raise SystemExit(f"{way} did not load all items")
    return seconds["Dagster"] / seconds["loader"]


def _load(way: str, settings: Settings, days: list[date]) -> None:
    if way == "loader":
        load(Warehouse.from_settings(settings), open_source(settings), days, repos=settings.repos)
    else:
        open_instance(settings).dispose()  # its databases are made once a home
        run_job(settings, "ingest", days=days)


def main() -> None:
    print(verdict(long_history(), MOST, "14 years of 5,000 items with Dagster / the loader alone"))


if __name__ == "__main__":
    main()
