"""Who was asked, which files, which branches: what GitHub shows of an opening whatever came later, and at what cost."""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qc_assets.sources.fake.fake_server import FakeGitHub, VirtualClock
from qc_assets.sources.fake.fake_world import Node, World, ordinary, user
from qc_assets.sources.fake.github_schema import OWN_SCHEMA, load_schema
from qc_assets.store.warehouse import Warehouse
from tests.github_runs import run, source, span

DAY = date(2024, 5, 1)
NOON = datetime(2024, 5, 1, 12)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
Read = Callable[..., Any]


def file(path: str, additions: int = 1, deletions: int = 0, status: str = "modified") -> Node:
    return {"filename": path, "additions": additions, "deletions": deletions, "status": status}


@pytest.fixture
def world() -> World:
    made = World()
    repo = made.add_repo("o/r")
    for n in range(60):
        made.add_base_commit(repo, NOON - timedelta(days=1) + n * HOUR / 2)
    return made


@pytest.fixture
def fake(world: World, clock: VirtualClock) -> Iterator[FakeGitHub]:
    with FakeGitHub(load_schema(OWN_SCHEMA), world, clock=clock) as server:
        yield server


@pytest.fixture
def load(fake: FakeGitHub, clock: VirtualClock, warehouse: Warehouse, tmp_path: Path) -> Read:
    def read(**settings: Any) -> Any:
        settings = {"github_files": True} | settings
        return run(warehouse, source(fake.url, tmp_path, clock, **settings), [DAY], ["o/r"], refresh=True)

    return read


def pull(world: World, number: int, **fields: Any) -> Node:
    return world.add_item(world.repos["o/r"], "PullRequest", number, NOON, NOON + 6 * HOUR, **fields)


def files(warehouse: Warehouse, number: int = 1) -> list[tuple[Any, ...]]:
    query = "SELECT path, change, additions, deletions FROM raw.files WHERE number = $n ORDER BY path"
    return warehouse.query(query, {"n": number}).rows()


def fact(warehouse: Warehouse, name: str, number: int = 1) -> Any:
    return warehouse.query(f"SELECT {name} FROM raw.pull_requests WHERE number = $n", {"n": number}).item()


@pytest.mark.parametrize("later", ["nothing", "a push", "a force push", "a force push whose commits are gone"])
def test_the_files_are_those_of_the_opening_whatever_was_pushed_later(
    later: str, world: World, load: Read, warehouse: Warehouse
) -> None:
    pr = pull(world, 1)
    world.add_commit(pr, NOON - 2 * HOUR, files=[file("a.py", 20, 10), file("new.py", 3, 0, "added")])
    world.add_commit(pr, NOON - HOUR, files=[file("tests/a.py", 7, 3)])
    if later == "a push":
        world.add_commit(pr, NOON + HOUR, files=[file("later.py")])
    elif later != "nothing":
        world.force_push(pr, NOON + HOUR, is_kept="gone" not in later)
        world.add_commit(pr, NOON + HOUR, files=[file("later.py")])
    assert load().dead_letters == 0
    told = [("a.py", "modified", 20, 10), ("new.py", "added", 3, 0), ("tests/a.py", "modified", 7, 3)]
    assert files(warehouse) == told
    assert fact(warehouse, "opened_files_from") == fact(warehouse, "opened_sizes_from")


def test_without_the_setting_no_file_is_read_and_none_is_said_to_be(
    world: World, fake: FakeGitHub, load: Read, warehouse: Warehouse
) -> None:
    world.add_commit(pull(world, 1), NOON - HOUR, files=[file("a.py")])
    load(github_files=False)
    assert (files(warehouse), fact(warehouse, "opened_files_from")) == ([], None)
    assert not any(name.startswith("GET") for name, _, _ in fake.log)


def test_the_files_of_an_opening_are_asked_for_once(
    world: World, fake: FakeGitHub, load: Read, warehouse: Warehouse
) -> None:
    for number in range(1, 7):
        world.add_commit(pull(world, number), NOON - HOUR, files=[file(f"{number}.py")])
    load()
    compared = [name for name, _, _ in fake.log if name.startswith("GET /repos")]
    assert len(compared) == len(set(compared)) == 6
    load()
    assert len([name for name, _, _ in fake.log if name.startswith("GET /repos")]) == 6
    assert warehouse.query("SELECT count(*) FROM raw.files").item() == 6


def test_a_comparison_that_is_refused_leaves_the_files_unknown_and_says_so(
    world: World, load: Read, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_commit(pull(world, 1), NOON - HOUR, files=[file("a.py")])
    monkeypatch.setattr(world, "compared", lambda base, head: None)
    assert load().dead_letters == 1
    assert (files(warehouse), fact(warehouse, "opened_files_from")) == ([], None)
    letter = warehouse.query("SELECT item, action FROM ops.dead_letters").row(0)
    assert letter == ("o/r#1 opened files", "kept without them")


def test_a_merge_of_the_base_in_the_opening_brings_others_files_so_none_are_known(
    world: World, load: Read, warehouse: Warehouse
) -> None:
    pr = pull(world, 1)
    world.add_commit(pr, NOON - 2 * HOUR, files=[file("a.py")])
    world.add_commit(pr, NOON - HOUR, messageHeadline="Merge branch 'main' into x", files=[file("others.py")])
    load()
    assert (files(warehouse), fact(warehouse, "opened_files_from")) == ([], None)


def test_hostile_paths_are_text_and_bounded(world: World, load: Read, warehouse: Warehouse) -> None:
    paths = ["a\nb.py", "ü/日本.md", "nul\x00.py", "\ud800.py", "x" * 5000, "'; DROP TABLE raw.files; --", "<b>.js"]
    odd = [file(path) for path in paths] + [file("sizes.py", "many", -3, "unheard of")]  # type: ignore[arg-type]
    world.add_commit(pull(world, 1), NOON - HOUR, files=odd + [file(f"f{n}") for n in range(400)])
    assert load().dead_letters == 0
    told = {path: rest for path, *rest in files(warehouse)}
    assert len(told) == 300, "as many as GitHub shows"
    assert {"a\nb.py", "ü/日本.md", "nul\ufffd.py", "\ufffd.py", "x" * 4096, "'; DROP TABLE raw.files; --"} < set(told)
    assert told["sizes.py"] == ["changed", None, None]


def test_who_was_asked_when_and_by_whom(world: World, load: Read, warehouse: Warehouse) -> None:
    pr = pull(world, 1)
    team = {"__typename": "Team", "combinedSlug": "o/owners"}
    for kind, at, who in (
        ("ReviewRequestedEvent", NOON, user(8)),
        ("ReviewRequestedEvent", NOON + 2 * SECOND, team),
        ("ReviewRequestedEvent", NOON + HOUR, user(9)),
        ("ReviewRequestRemovedEvent", NOON + 2 * HOUR, user(8)),
        ("ReviewRequestedEvent", NOON + 3 * HOUR, None),
    ):
        world.add_event(pr, kind, at, actor=user(7), requestedReviewer=who)
    load()
    columns = "reviewer_login, own_id(reviewer_id), is_team, action, requested_by_login, created_at"
    rows = warehouse.query(f"SELECT {columns} FROM raw.review_requests ORDER BY created_at").rows()
    assert rows == [
        ("user8", 8, False, "requested", "user7", NOON),
        ("o/owners", None, True, "requested", "user7", NOON + 2 * SECOND),
        ("user9", 9, False, "requested", "user7", NOON + HOUR),
        ("user8", 8, False, "removed", "user7", NOON + 2 * HOUR),
        ("ghost", None, False, "requested", "user7", NOON + 3 * HOUR),
    ]
    assert fact(warehouse, "opened_reviewers") == 2, "what was asked for later is not of the opening"


@pytest.mark.parametrize(
    ("kind", "before"),
    [("BaseRefChangedEvent", "previousRefName"), ("AutomaticBaseChangeSucceededEvent", "oldBase")],
)
def test_the_base_is_that_of_the_opening(
    kind: str, before: str, world: World, load: Read, warehouse: Warehouse
) -> None:
    pull(world, 1, isCrossRepository=True)
    stacked = pull(world, 2)
    world.add_event(stacked, kind, NOON + HOUR, **{before: "below"})
    world.add_event(stacked, kind, NOON + 2 * HOUR, **{before: "another"})
    load(github_files=False)
    rows = warehouse.query("SELECT opened_base_ref, is_from_fork FROM raw.pull_requests ORDER BY number").rows()
    assert rows == [("main", True), ("below", False)]


@pytest.mark.slow
def test_a_thousand_pull_requests_with_requests_and_branches_stay_within_the_budget(
    world: World, clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    repo = world.add_repo("acme/atlas")
    ordinary(world, repo, 1000, datetime(2024, 5, 1), timedelta(days=10))
    for pr in repo["_pullRequests"]:
        opened = datetime.fromisoformat(pr["createdAt"].removesuffix("Z"))
        for who in (8, 9):
            world.add_event(pr, "ReviewRequestedEvent", opened, actor=user(7), requestedReviewer=user(who))
    with FakeGitHub(load_schema(OWN_SCHEMA), world, clock=clock) as server:
        report = run(warehouse, source(server.url, tmp_path, clock), span(DAY, 10), ["acme/atlas"])
        assert report.rows["review_requests"] == 2000
        assert server.requests <= 75
        assert server.spent <= 400
