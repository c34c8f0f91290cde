"""Sizes and standing at the opening, whatever was pushed over it later."""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qc_assets.sources.fake.fake_server import FakeGitHub, VirtualClock
from qc_assets.sources.fake.fake_world import Node, World, stamp
from qc_assets.sources.fake.github_schema import OWN_SCHEMA, load_schema
from qc_assets.store.warehouse import Warehouse
from tests.github_runs import run, source

DAY = date(2024, 5, 1)
NOON = datetime(2024, 5, 1, 12)
HOUR = timedelta(hours=1)
SIZES = "opened_additions, opened_deletions, opened_changed_files, opened_commits, opened_sizes_from"


@pytest.fixture
def world() -> World:
    made = World()
    repo = made.add_repo("o/r")
    for n in range(300):  # a busy branch: two commits an hour up to the opening, and on
        made.add_base_commit(repo, NOON - timedelta(days=5) + n * HOUR / 2)
    return made


@pytest.fixture
def sizes(
    world: World, clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> Iterator[Callable[[], dict[int, Any]]]:
    with FakeGitHub(load_schema(OWN_SCHEMA), world, clock=clock) as fake:

        def read() -> dict[int, Any]:
            report = run(warehouse, source(fake.url, tmp_path, clock), [DAY], ["o/r"], refresh=True)
            assert report.dead_letters == 0
            rows = warehouse.query(f"SELECT number, {SIZES} FROM raw.pull_requests ORDER BY number").rows()
            return {number: tuple(row) for number, *row in rows}

        yield read


def pull(world: World, number: int, *, begun: timedelta = 2 * HOUR, later: bool = False) -> Node:
    """Of two commits (30 and 10 lines) at the opening; with `later`, a third was pushed an hour after it."""
    pr = world.add_item(world.repos["o/r"], "PullRequest", number, NOON, NOON + 6 * HOUR)
    world.add_commit(pr, NOON - begun, 20, 10)
    world.add_commit(pr, NOON - HOUR, 7, 3, changedFilesIfAvailable=2)
    if later:
        world.add_commit(pr, NOON + HOUR, 500, 0)
    return pr


BEFORE = (27, 13, 3, 2)


def test_sizes_of_the_opening_survive_what_was_pushed_over_it(world: World, sizes: Any) -> None:
    pull(world, 1, later=True)
    world.force_push(pull(world, 2, later=True), NOON + 2 * HOUR)
    twice = pull(world, 3)
    world.force_push(twice, NOON + 2 * HOUR)
    world.add_commit(twice, NOON + 3 * HOUR, 900, 900)
    world.force_push(twice, NOON + 4 * HOUR, squashed=True, is_kept=False)
    world.force_push(pull(world, 4, begun=timedelta(days=4)), NOON + 2 * HOUR)
    half = pull(world, 5)
    survivor = half["_commits"][0]
    world.force_push(half, NOON + 2 * HOUR)
    half["_commits"][0] = survivor
    world.repos["o/r"]["_main"]["_history"].insert(0, survivor["commit"])  # merged by a merge commit
    assert sizes() == {
        1: (*BEFORE, "commits"),
        2: (*BEFORE, "force_push"),
        3: (*BEFORE, "force_push"),
        4: (*BEFORE, "force_push"),
        5: (*BEFORE, "force_push"),
    }


def test_where_the_branch_of_before_is_not_to_be_had_dates_of_writing_tell_and_else_nothing(
    world: World, sizes: Any
) -> None:
    world.force_push(pull(world, 1, later=True), NOON + 2 * HOUR, is_kept=False)
    gone = pull(world, 2)
    world.force_push(gone, NOON + 2 * HOUR)
    gone["baseRef"] = None
    anew = pull(world, 3)
    world.force_push(anew, NOON + 2 * HOUR, is_kept=False)
    for node in anew["_commits"]:
        node["commit"]["authoredDate"] = stamp(NOON + 2 * HOUR)
    no_base = pull(world, 4)
    no_base["baseRef"] = {"__typename": "Ref", "target": {"__typename": "Commit", "_history": []}}
    world.force_push(no_base, NOON + 2 * HOUR, squashed=True)
    assert sizes() == {
        1: (*BEFORE, "authored_dates"),
        2: (*BEFORE, "authored_dates"),
        3: (None,) * 5,
        4: (27, 13, 3, 1, "authored_dates"),
    }


def test_merges_of_the_base_bring_no_lines_and_do_not_end_the_branch(world: World, sizes: Any) -> None:
    pr = world.add_item(world.repos["o/r"], "PullRequest", 1, NOON, NOON + 6 * HOUR)
    world.add_commit(pr, NOON - 9 * HOUR, 20, 10)
    world.add_commit(pr, NOON - 3 * HOUR, 800, 800, messageHeadline="Merge branch 'main' into feature")
    world.add_commit(pr, NOON - HOUR, 7, 3)
    event = world.force_push(pr, NOON + 2 * HOUR)
    # As git log shows it: what the merge brought stands among the branch's own, by date.
    base = [c for c in world.repos["o/r"]["_main"]["_history"] if c["committedDate"] < stamp(NOON - 3 * HOUR)]
    history = {commit["oid"]: commit for commit in (*event["beforeCommit"]["_history"], *base)}
    event["beforeCommit"]["_history"] = sorted(history.values(), key=lambda c: c["committedDate"], reverse=True)
    assert sizes()[1] == (27, 13, 2, 3, "force_push")


def test_what_an_early_reading_saw_stays(world: World, clock: VirtualClock, sizes: Any, warehouse: Warehouse) -> None:
    pr = pull(world, 1)
    pr |= {"updatedAt": stamp(NOON), "authorAssociation": "FIRST_TIME_CONTRIBUTOR"}
    clock._now = NOON + timedelta(minutes=5)
    assert sizes()[1] == (*BEFORE, "commits")
    pr |= {"updatedAt": stamp(NOON + 3 * HOUR), "authorAssociation": "CONTRIBUTOR"}
    world.force_push(pr, NOON + 2 * HOUR, is_kept=False)
    for node in pr["_commits"]:
        node["commit"] |= {"additions": 999}
    late = world.add_item(world.repos["o/r"], "PullRequest", 2, NOON, NOON, authorAssociation="MEMBER")
    assert late["authorAssociation"]
    for _ in range(2):  # read again on the same day, and again
        clock.sleep(86_400)
        assert sizes()[1] == (*BEFORE, "commits")
    query = "SELECT author_association, opened_author_association FROM raw.pull_requests ORDER BY number"
    assert warehouse.query(query).rows() == [("CONTRIBUTOR", "FIRST_TIME_CONTRIBUTOR"), ("MEMBER", None)]
    assert warehouse.query("SELECT count(*) FROM observed.pull_requests").item() == 3


def test_force_pushes_are_asked_for_in_few_requests(
    world: World, clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    for number in range(1, 21):
        world.force_push(pull(world, number, begun=timedelta(days=number % 4, hours=2)), NOON + 2 * HOUR)
    with FakeGitHub(load_schema(OWN_SCHEMA), world, clock=clock) as fake:
        run(warehouse, source(fake.url, tmp_path, clock), [DAY], ["o/r"])
        plain = 3  # a look, the counts, a page
        assert fake.requests <= plain + 2 + 3 * 2
    assert warehouse.query("SELECT DISTINCT opened_sizes_from FROM raw.pull_requests").rows() == [("force_push",)]


def test_who_signed_the_commits_of_the_opening_is_kept(
    world: World, clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    """As of the opening: what is signed later is not told, nor what merges bring or a rewriting may have changed."""
    ann = {"__typename": "GitActor", "name": "Ann", "email": "ann@example.org"}
    claude = "Why.\n\nCo-Authored-By: Claude <noreply@anthropic.com>\nSigned-off-by: Ann <ann@example.org>"
    signed = world.add_item(world.repos["o/r"], "PullRequest", 1, NOON, NOON + 6 * HOUR, headRefName="claude/x")
    world.add_commit(signed, NOON - 2 * HOUR, author=ann)
    world.add_commit(signed, NOON - HOUR, author=ann, messageBody=claude)
    later = world.add_item(world.repos["o/r"], "PullRequest", 2, NOON, NOON + 6 * HOUR)
    world.add_commit(later, NOON - HOUR, author=None)
    world.add_commit(later, NOON - HOUR, author=ann, messageHeadline="Merge branch 'main' into x", messageBody=claude)
    world.add_commit(later, NOON + HOUR, author=ann, messageBody=claude)
    pushed = pull(world, 3)
    world.force_push(pushed, NOON + 2 * HOUR)
    rewritten = pull(world, 4)
    world.force_push(rewritten, NOON + 2 * HOUR, is_kept=False)
    long = world.add_item(world.repos["o/r"], "PullRequest", 5, NOON, NOON + 6 * HOUR)
    world.add_commit(long, NOON - HOUR, author=ann, messageBody="Co-authored-by: x" * 100_000 + "\n" + claude)
    with FakeGitHub(load_schema(OWN_SCHEMA), world, clock=clock) as fake:
        run(warehouse, source(fake.url, tmp_path, clock), [DAY], ["o/r"])
    rows = warehouse.query("SELECT number, head_ref, opened_coauthors FROM raw.pull_requests ORDER BY number").rows()
    both = ["Ann <ann@example.org>", "Claude <noreply@anthropic.com>"]
    assert rows == [
        (1, "claude/x", both),
        (2, "work", []),
        (3, "work", ["Somebody <somebody@example.org>"]),
        (4, "work", None),
        (5, "work", both),
    ]
