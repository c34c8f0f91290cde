"""Who closed an item, with what and why, as GitHub and the archive tell it."""

from datetime import datetime
from typing import Any

from qc_assets.sources.fake.fake_server import FakeGitHub, VirtualClock
from qc_assets.sources.fake.fake_world import World, stamp, user
from qc_assets.sources.fake.github_schema import load_schema
from qc_assets.store.warehouse import Warehouse
from tests.github_runs import run, source, span

OPENED, CLOSED = datetime(2024, 5, 1, 9), datetime(2024, 5, 1, 12)
COLUMNS = "closed_by_id IS NOT NULL, closed_by_login, closed_by_is_bot, closed_with"


def test_github_tells_who_closed_it_with_what_and_why(warehouse: Warehouse, tmp_path: Any) -> None:
    world = World()
    repo = world.add_repo("o/r")
    over = {"state": "CLOSED", "closedAt": stamp(CLOSED)}
    pr = world.add_item(repo, "PullRequest", 1, OPENED, CLOSED, **over)
    commit = world.add_commit(pr, OPENED)["commit"]
    world.add_event(pr, "ClosedEvent", CLOSED, actor=user(5, "merger", "Bot"), closer=commit)
    stale = world.add_item(repo, "Issue", 2, OPENED, CLOSED, **over, stateReason="NOT_PLANNED")
    world.add_event(stale, "ClosedEvent", OPENED, actor=user(9, "once"), closer=pr)
    world.add_event(stale, "ClosedEvent", CLOSED, actor=user(6, "sweeper"), stateReason="NOT_PLANNED")
    again = world.add_item(repo, "Issue", 3, OPENED, CLOSED, stateReason="REOPENED")
    world.add_event(again, "ClosedEvent", OPENED, actor=user(6, "sweeper"), closer=pr)
    with FakeGitHub(load_schema(), world, clock=VirtualClock(datetime(2024, 6, 1))) as fake:
        run(warehouse, source(fake.url, tmp_path, fake.clock), span(OPENED.date(), 1), ["o/r"])
    prs = warehouse.query(f"SELECT {COLUMNS} FROM raw.pull_requests").rows()
    assert prs == [(True, "merger[bot]", True, "commit")]
    issues = warehouse.query(f"SELECT {COLUMNS}, state_reason FROM raw.issues ORDER BY number").rows()
    assert issues == [(True, "sweeper", False, "nothing", "not_planned"), (False, None, None, None, "reopened")]
