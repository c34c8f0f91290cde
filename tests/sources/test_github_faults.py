"""Everything that GitHub, the network and the machine do to a long run: the warehouse must not show it."""

import multiprocessing
import random
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from qc_assets.errors import SourceError
from qc_assets.sources.fake.fake_server import FakeGitHub, VirtualClock
from qc_assets.sources.fake.fake_world import World, ordinary, stamp
from qc_assets.sources.github.state import State
from qc_assets.store.warehouse import Warehouse
from tests.github_runs import contents, public_schema, run, source, span

pytestmark = pytest.mark.slow

FIRST = date(2024, 5, 1)
DAYS = span(FIRST, 6)
NOON = datetime(2024, 5, 1, 12)
# Times of reading differ from run to run on a real clock.
MOMENTS = ("observed_at",)


def make_world() -> World:
    world = World()
    for n in range(4):
        repo = world.add_repo(f"o/r{n}")
        ordinary(world, repo, 25 + 20 * n, datetime(2024, 5, 1), timedelta(days=6), seed=n)
        for number in range(1000, 1010):
            issue = world.add_item(repo, "Issue", number, NOON, NOON + timedelta(hours=number - 1000))
            world.add_comment(issue, NOON)
    return world


NAMES = [f"o/r{n}" for n in range(4)]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """The raw tables after a run without any trouble."""
    folder = tmp_path_factory.mktemp("clean")
    store = Warehouse(folder / "qc.duckdb", staging=folder / "staging")
    clock = VirtualClock(datetime(2024, 6, 1))
    with FakeGitHub(public_schema(), make_world(), clock=clock) as fake:
        run(store, source(fake.url, folder, clock), DAYS, NAMES)
    return contents(store, without=MOMENTS)


def assert_same(store: Warehouse, clean: dict[str, pl.DataFrame]) -> None:
    for table, frame in contents(store, without=MOMENTS).items():
        assert frame.equals(clean[table]), table
    assert store.query("SELECT count(*) FROM ops.dead_letters").item() == 0
    assert store.query("SELECT DISTINCT status FROM ops.ingest_log").rows() == [("done",)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        *("502", "504", "500", "reset", "html", "truncated", "resource limits", "null node", "hang"),
        *("limited in a 200", "limited", "secondary", "secondary with seconds", "secondary with a date"),
    ],
)
def test_one_fault_of_each_kind_leaves_no_trace(
    fault: str, clean: dict[str, pl.DataFrame], clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    faults = [None, None, None, fault, None, fault, None]
    with FakeGitHub(public_schema(), make_world(), clock=clock, faults=faults) as fake:
        run(warehouse, source(fake.url, tmp_path, clock, github_read_timeout_s=0.5), DAYS, NAMES)
        assert fake.while_limited == 0, "nothing is asked while limited"
        assert not fake.faults
    assert_same(warehouse, clean)
    if "limited" in fault or "secondary" in fault:
        assert clock.slept >= 29


@pytest.mark.parametrize("seed", range(3))
def test_a_fifth_of_all_requests_failing_at_random_leaves_no_trace(
    seed: int, clean: dict[str, pl.DataFrame], clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    with FakeGitHub(public_schema(), make_world(), clock=clock, fault_rate=0.2, seed=seed) as fake:
        run(warehouse, source(fake.url, tmp_path, clock, github_tries=6, github_page_size=4), DAYS, NAMES)
        assert fake.while_limited == 0
        assert fake.requests > 60
        assert sum(status != 200 for _, status, _ in fake.log) > 3
    assert_same(warehouse, clean)


def test_heavy_pages_are_made_smaller_remembered_and_grown_again(
    clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    world = World()
    ordinary(world, world.add_repo("o/r"), 200, datetime(2024, 5, 1), timedelta(days=1))
    with FakeGitHub(public_schema(), world, clock=clock) as fake:
        fake.engine.heaviest = 3
        github = source(fake.url, tmp_path, clock)
        report = run(warehouse, github, [FIRST], ["o/r"])
        assert report.rows["pull_requests"] == 200
        sizes = [status for name, status, _ in fake.log if "pull_requests" in name]
        assert sizes[:4] == [502, 502, 502, 200], "25, 12 and 6 are too many, 3 are not"
        # After 20 clean pages it tries 6 once, and goes back.
        assert sizes.count(502) == 3 + 3
        before = len(fake.log)
        run(warehouse, github, [FIRST], ["o/r"], refresh=True)
        assert next(s for name, s, _ in fake.log[before:] if "pull_requests" in name) == 200, "the size is remembered"


def test_one_poisonous_pull_request_is_read_in_parts_or_put_aside(
    clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    world = World()
    repo = world.add_repo("o/r")
    ordinary(world, repo, 60, datetime(2024, 5, 1), timedelta(days=1))
    in_parts, without_threads, hopeless = (repo["_pullRequests"][n] for n in (10, 20, 30))
    with FakeGitHub(public_schema(), world, clock=clock) as fake:
        # The first is too heavy only as a whole, which the fake shows by failing where both are asked for at once.
        fake.engine.poison = {without_threads["id"]: {"reviewThreads"}, hopeless["id"]: {"title"}}
        fake.engine.broken = {in_parts["id"]}
        report = run(warehouse, source(fake.url, tmp_path, clock), [FIRST], ["o/r"])
    assert report.rows["pull_requests"] == 59
    assert report.problems == []
    letters = warehouse.query(
        "SELECT item, error_type, action, status, endpoint FROM ops.dead_letters ORDER BY item"
    ).rows()
    assert [(item, kind, action, status) for item, kind, action, status, _ in letters] == [
        (hopeless["id"], "overloaded", "left out", 502),
        (f"o/r#{without_threads['number']} reviewThreads", "overloaded", "kept without it", 502),
    ]
    unread = warehouse.query("SELECT number, unread_parts FROM raw.pull_requests WHERE len(unread_parts) > 0").rows()
    assert unread == [(without_threads["number"], ["reviewThreads"])]
    assert warehouse.query("SELECT status FROM ops.ingest_log").item() == "done"


def test_a_cursor_that_does_not_move_loses_nothing(
    clean: dict[str, pl.DataFrame], clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    with FakeGitHub(public_schema(), make_world(), clock=clock) as fake:

        def stick(n: int) -> None:
            fake.engine.stuck = 5 <= n < 8

        fake.before = stick
        run(warehouse, source(fake.url, tmp_path, clock), DAYS, NAMES)
    assert_same(warehouse, clean)


def test_an_item_that_is_updated_between_two_pages_pushes_no_other_out(
    clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    world = World()
    repo = world.add_repo("o/r")
    ordinary(world, repo, 100, datetime(2024, 5, 1), timedelta(days=1))
    with FakeGitHub(public_schema(), world, clock=clock) as fake:

        def touch(n: int) -> None:
            if n in (3, 4):  # after the first and the second page
                repo["_pullRequests"][n]["updatedAt"] = stamp(datetime(2024, 5, 9, n))

        fake.before = touch
        run(warehouse, source(fake.url, tmp_path, clock), [FIRST], ["o/r"])
        fake.before = lambda n: None
        run(warehouse, source(fake.url, tmp_path, clock), [date(2024, 5, 9)], ["o/r"])
    assert warehouse.query("SELECT count(*) FROM raw.pull_requests").item() == 100
    newest = "SELECT count(*) FROM raw.pull_requests WHERE updated_at > TIMESTAMP '2024-05-09'"
    assert warehouse.query(newest).item() == 2


@pytest.mark.parametrize("after", [1, 2, 4])
def test_a_repository_renamed_in_mid_run_is_read_to_its_end(
    after: int, clean: dict[str, pl.DataFrame], clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    world = make_world()
    with FakeGitHub(public_schema(), world, clock=clock) as fake:

        def rename(n: int) -> None:
            if n == after:
                world.rename("o/r3", "new/r3")

        fake.before = rename
        run(warehouse, source(fake.url, tmp_path, clock, batch_retry_s=60), DAYS, NAMES)
    for table in ("pull_requests", "reviews", "issue_comments", "review_comments", "issues"):
        assert contents(warehouse, without=MOMENTS)[table].equals(clean[table]), table
    names = warehouse.query("SELECT name FROM raw.repositories ORDER BY name")["name"].to_list()
    assert names == ["new/r3", "o/r0", "o/r1", "o/r2"]


def test_of_two_tokens_the_one_with_points_left_is_used_and_a_revoked_one_is_given_up(
    clean: dict[str, pl.DataFrame], clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    tokens = {"one", "two"}
    with FakeGitHub(public_schema(), make_world(), clock=clock, points=60, tokens=tokens) as fake:
        fake._left["one"] = (0, datetime(2024, 6, 1, 0, 50))

        def revoke(n: int) -> None:
            if n == 6:
                tokens.discard("two")

        fake.before = revoke
        github = source(fake.url, tmp_path, clock, github_tokens="one,two")
        run(warehouse, github, DAYS, NAMES)
        assert sum(status == 401 for _, status, _ in fake.log) == 1
        assert fake.while_limited <= 1, "an exhausted token is asked once, as nothing is known of it before"
    assert clock.slept >= 45 * 60, "then the other one's reset is waited for"
    assert_same(warehouse, clean)


def test_without_any_valid_token_the_run_says_so_and_goes_on_later(
    clean: dict[str, pl.DataFrame], clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    tokens = {"t0ken-one"}
    with FakeGitHub(public_schema(), make_world(), clock=clock, tokens=tokens) as fake:

        def revoke(n: int) -> None:
            if n == 7:
                tokens.clear()

        fake.before = revoke
        with pytest.raises(SourceError, match="refuses every token"):
            run(warehouse, source(fake.url, tmp_path, clock), DAYS, NAMES)
        fake.before = lambda n: None
        shown = dict(fake.engine.served)
        tokens.add("other")
        run(warehouse, source(fake.url, tmp_path, clock, github_tokens="other"), DAYS, NAMES)
        assert all(fake.engine.served[item] == count for item, count in shown.items()), "nothing is fetched twice"
    assert_same(warehouse, clean)


@pytest.mark.slow
def test_a_full_disk_stops_the_run_with_a_clear_error_and_loses_nothing(
    clean: dict[str, pl.DataFrame],
    clock: VirtualClock,
    warehouse: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from contextlib import contextmanager

    original = State._open

    @contextmanager
    def on_a_small_disk(self: State) -> Any:
        with original(self) as connection:
            connection.execute("PRAGMA max_page_count = 22")
            yield connection

    with FakeGitHub(public_schema(), make_world(), clock=clock) as fake:
        monkeypatch.setattr(State, "_open", on_a_small_disk)
        with pytest.raises(SourceError, match=r"full.*free some space.*goes on where it stopped"):
            run(warehouse, source(fake.url, tmp_path, clock), DAYS, NAMES)
        failed = warehouse.query("SELECT DISTINCT status FROM ops.ingest_log")["status"].to_list()
        assert "failed" in failed
        monkeypatch.setattr(State, "_open", original)
        run(warehouse, source(fake.url, tmp_path, clock), DAYS, NAMES)
    assert_same(warehouse, clean)


def test_what_fails_is_tried_again_an_hour_later_then_skipped_and_reported(
    clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    with FakeGitHub(public_schema(), make_world(), clock=clock) as fake:
        execute, bad = fake.engine.execute, {"o/r1", "o/r2"}

        def fail(document: Any, variables: Any) -> Any:
            from qc_assets.sources.fake.github_schema import ServerFault

            if any(
                f"repo:{name}" in str(value) and "first_0" in variables for value in variables.values() for name in bad
            ):
                raise ServerFault(500)
            return execute(document, variables)

        fake.engine.execute = fail  # type: ignore[method-assign]
        fake.before = lambda n: bad.discard("o/r1") if clock.slept > 3500 else None
        report = run(warehouse, source(fake.url, tmp_path, clock), DAYS, NAMES)
    assert clock.slept >= 3600
    assert report.repos == {"o/r0", "o/r1", "o/r3"}
    assert report.failed_repos == {"o/r2"}
    assert "o/r2" in report.problems[0]
    host = fake.url.removeprefix("http://")
    letters = warehouse.query("SELECT DISTINCT repo, error_type, status, tries, action FROM ops.dead_letters").rows()
    assert letters == [(f"{host}/o/r2", "transient", 500, 3, "skipped after a second try")]
    statuses = warehouse.query("SELECT repo, status, count(*) FROM ops.ingest_log GROUP BY ALL ORDER BY ALL").rows()
    by_status = zip(("r0", "r1", "r2", "r3"), ("done", "done", "failed", "done"), strict=True)
    assert statuses == [(f"{host}/o/{name}", status, 6) for name, status in by_status]


def _child(url: str, home: str, path: str) -> None:
    from qc_assets.clock import SystemClock

    store = Warehouse(Path(path), staging=Path(home) / "staging", lock_timeout_s=20)
    run(store, source(url, Path(home), SystemClock(), github_page_size=4), DAYS, NAMES)


@pytest.mark.slow
def test_twenty_kills_leave_no_trace_and_little_is_fetched_twice(
    clean: dict[str, pl.DataFrame], warehouse: Warehouse, tmp_path: Path
) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.github_runs"])
    chance = random.Random(5)
    kills = 0
    with FakeGitHub(public_schema(), make_world(), latency_s=0.05) as fake:
        while kills < 20:
            child = processes.Process(target=_child, args=(fake.url, str(tmp_path), str(warehouse.path)))
            child.start()
            reached = fake.requests + chance.randrange(1, 3)
            while child.is_alive() and fake.requests < reached:
                time.sleep(0.002)
            time.sleep(chance.random() * 0.15)
            if not child.is_alive():
                break
            child.kill()
            child.join()
            kills += 1
        _child(fake.url, str(tmp_path), str(warehouse.path))
        repeated = sum(count - 1 for count in fake.engine.served.values())
    assert kills == 20, "the run was over too soon to be killed"
    assert_same(warehouse, clean)
    assert repeated <= kills * 8, "a kill costs the page that was under way, and nothing else"
