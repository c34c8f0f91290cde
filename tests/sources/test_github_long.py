"""Requests are bounded by what there is to read, not by the days over which it lies."""

from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from qc_assets.sources.fake.fake_server import FakeGitHub, VirtualClock
from qc_assets.sources.fake.fake_world import World
from qc_assets.sources.fake.github_schema import load_schema
from qc_assets.sources.github import plan
from qc_assets.sources.github.plan import Wish, look, packages
from qc_assets.store.warehouse import Warehouse
from tests.github_runs import run, source, span

FIRST = date(2010, 1, 1)


def _fake(items: int, days: int, clock: VirtualClock) -> FakeGitHub:
    world = World()
    repo = world.add_repo("o/old")
    for n in range(items):
        moment = datetime(2010, 1, 1, 12) + timedelta(days=n * days // items)
        world.add_item(repo, "PullRequest", n + 1, moment, moment)
    return FakeGitHub(load_schema(), world, clock=clock)


def test_many_days_with_gaps_cost_no_more_requests_than_their_items(warehouse: Warehouse, tmp_path: Path) -> None:
    clock = VirtualClock(datetime(2024, 6, 1))
    days = span(FIRST, 200)[::2]
    with _fake(40, 200, clock) as fake:
        report = run(warehouse, source(fake.url, tmp_path, clock), days, ["o/old"])
    assert report.requests == fake.requests + 1 <= 11, "and GET /meta"
    wanted = {n for n in range(40) if (n * 200 // 40) % 2 == 0}
    assert report.rows["pull_requests"] == len(wanted)
    assert len(report.loaded) == len(days) and not report.problems


def test_a_large_repository_is_read_in_packages_of_bounded_size(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(plan, "_SEARCH_LIMIT", 25)
    clock = VirtualClock(datetime(2024, 6, 1))
    with _fake(90, 300, clock) as fake:
        client = source(fake.url, tmp_path, clock).client
        seen = {name: repo for name, repo, _ in look(client, ["o/old"])}
        made = list(packages(client, [Wish("o/old", tuple(span(FIRST, 300)))], seen))
        client.close()
    assert Counter(day for package in made for day in package.days) == Counter(span(FIRST, 300))
    assert all(sum(unit.expected for unit in package.units) <= 25 for package in made)
    assert sum(unit.expected for package in made for unit in package.units) == 90
