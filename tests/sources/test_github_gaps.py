"""What GitHub or an older server hides, lacks, refuses for good or has renamed: what is known of it, and held back."""

import re
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from qc_assets.errors import SourceError
from qc_assets.progress import Note
from qc_assets.sources.fake.fake_server import FakeGitHub, VirtualClock
from qc_assets.sources.fake.fake_world import World, ordinary
from qc_assets.sources.fake.github_schema import OWN_SCHEMA, load_schema
from qc_assets.sources.github.query import Part, join, operations
from qc_assets.sources.github.schema_gaps import everywhere, named_gaps, pruned
from qc_assets.store.warehouse import Warehouse
from tests.fakes.raw_server import document, raw_server
from tests.github_runs import run, source, span

NOW = datetime(2024, 6, 1, 12)
FIRST = date(2024, 5, 1)
DAYS = span(FIRST, 3)


def made(world: World, name: str, pull_requests: int = 6, seed: int = 0) -> None:
    ordinary(world, world.add_repo(name), pull_requests, datetime(2024, 5, 1), timedelta(days=3), seed=seed)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.mark.parametrize("status", [b"403 Forbidden", b"404 Not Found", b"410 Gone", b"451 Unavailable"])
def test_refusals_for_good_are_not_waited_for_and_a_load_of_nothing_fails(
    status: bytes, clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    answer = [piece.replace(b"200 OK", status) for piece in document(b'{"message": "no"}')]
    with raw_server(answer) as url, pytest.raises(SourceError, match=r"none of 2 repositories .* HTTP 4.*: no"):
        run(warehouse, source(url, tmp_path, clock), DAYS, ["o/a", "o/b"])
    assert clock.slept == 0
    assert warehouse.query("SELECT DISTINCT status FROM ops.ingest_log").rows() == [("failed",)]
    actions = warehouse.query("SELECT count(*), min(action) FROM ops.dead_letters").rows()
    assert actions == [(6, "skipped, as trying again would not help")]


def test_a_name_that_nobody_has_costs_only_itself_unless_it_is_the_only_one(
    clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    world = World()
    made(world, "o/a")
    with FakeGitHub(load_schema(), world, clock=clock) as fake:
        with pytest.raises(SourceError, match="none of 1 repositories"):
            run(warehouse, source(fake.url, tmp_path, clock), DAYS, ["o/typo"])
        assert run(warehouse, source(fake.url, tmp_path, clock), DAYS, ["o/a", "o/typo"]).repos == {"o/a"}
        run(warehouse, source(fake.url, tmp_path, clock), DAYS, ["o/a", "o/typo"])


def older_schema() -> str:
    """The schema without some fields, an argument, kinds of events and a type."""
    lacks = re.compile(
        r"^\s*(CONVERT_TO_DRAFT_EVENT|REVIEW_DISMISSED_EVENT|licenseInfo.*|lastEditedAt.*)$", re.MULTILINE
    )
    text = lacks.sub("", OWN_SCHEMA.read_text()).replace("stateReason(enableDuplicate: Boolean = false)", "stateReason")
    text = text.replace("fullDatabaseId: BigInt", "databaseId: Int")
    return re.sub(r"\btype ReviewDismissedEvent [^}]*\}\n", "", text).replace("| ReviewDismissedEvent", "")


@pytest.mark.slow
def test_an_older_server_is_read_without_what_it_lacks_and_that_is_unknown(
    clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    world, notes = World(), []
    made(world, "o/a", 12)
    for node in world.repos["o/a"]["_pullRequests"]:
        for thing in [
            node,
            *node["_reviews"],
            *node["_comments"],
            *(c for t in node["_reviewThreads"] for c in t["_comments"]),
        ]:
            thing["databaseId"] = int(thing["fullDatabaseId"])
    schema = build_schema(older_schema(), assume_valid=True)
    with FakeGitHub(schema, world, clock=clock) as fake:
        github = source(fake.url, tmp_path, clock)
        report = run(
            warehouse,
            github,
            DAYS,
            ["o/a"],
            progress=lambda what, *_: notes.append(what) if isinstance(what, Note) else None,
        )
        assert fake.requests <= 10, "the schema is asked for once"
    assert report.rows["pull_requests"] == 12 and not report.problems and clock.slept == 0
    assert len(notes) == 1 and "Repository.licenseInfo" in notes[0] and "PullRequestReview.fullDatabaseId" in notes[0]
    known = "count(licence), (SELECT count(opened_body) FROM raw.pull_requests), (SELECT count(*) FROM raw.reviews)"
    licences, bodies, reviews = warehouse.query(f"SELECT {known} FROM raw.repositories").row(0)
    assert (licences, bodies) == (0, 0) and reviews == sum(
        len(pr["_reviews"]) for pr in world.repos["o/a"]["_pullRequests"]
    )
    parts = warehouse.query("SELECT DISTINCT unread_parts FROM raw.pull_requests").item()
    assert {"lastEditedAt", "ConvertToDraftEvent"} <= set(parts)


@pytest.mark.parametrize("operation", operations())
def test_what_is_pruned_is_valid_in_the_older_schema(operation: str) -> None:
    schema, (text, _) = build_schema(older_schema(), assume_valid=True), join([Part(operation, {})])
    errors = [{"message": error.message} for error in validate(schema, parse(text))]
    gaps = named_gaps(tuple(errors)) or set()
    gaps |= {"Issue.stateReason(enableDuplicate:)"}
    gaps |= {f"PullRequestTimelineItemsItemType.{name}_EVENT" for name in ("CONVERT_TO_DRAFT", "REVIEW_DISMISSED")}
    assert validate(schema, parse(pruned(text, frozenset(gaps)))) == []


def test_a_refusal_tells_what_is_missing_where_the_schema_is_not_shown() -> None:
    ghes = {
        "extensions": {"code": "undefinedField"},
        "message": "Field 'fullDatabaseId' doesn't exist on type 'PullRequestReview'",
    }
    assert named_gaps((ghes,)) == {"PullRequestReview.fullDatabaseId"}
    assert named_gaps(({"message": "No such type X, so it can't be a fragment condition"},)) == {"X"}
    assert named_gaps(({"message": "Could not resolve to a Repository"},)) is None
    review = {"PullRequestReview.fullDatabaseId"}

    def asked_of_a_review(gaps: set[str]) -> str:
        return pruned(join([Part("reviews", {})])[0], frozenset(gaps)).split("on PullRequestReviewConnection")[1]

    older = asked_of_a_review(review).partition("author")[0]
    assert "databaseId" in older and "fullDatabaseId" not in older, "it was called so before"
    review.add("PullRequestReview.databaseId")
    assert "atabaseId" not in asked_of_a_review(review).partition("author")[0]
    assert {"PullRequest.fullDatabaseId", "Issue.fullDatabaseId"} <= everywhere(review)


def hide(fake: FakeGitHub, ids: set[str]) -> None:
    """Have a fake count these items and never show them, as GitHub does with what a token may not see."""
    execute = fake.engine.execute

    def executed(document: Any, variables: Any) -> dict[str, Any]:
        body = execute(document, variables)
        for found in (body["data"] or {}).values():
            if found and found.get("nodes"):
                found["nodes"] = [None if node and node.get("id") in ids else node for node in found["nodes"]]
        return body

    fake.engine.execute = executed  # type: ignore[method-assign]


@pytest.mark.slow
def test_hidden_items_hold_back_their_own_days_and_are_named(
    clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    world = World()
    for n in range(3):
        made(world, f"o/r{n}", seed=n)
    hidden = world.repos["o/r1"]["_pullRequests"][3]
    with FakeGitHub(load_schema(), world, clock=clock) as fake:
        hide(fake, {hidden["id"]})
        report = run(warehouse, source(fake.url, tmp_path, clock), DAYS, world.repos)
        assert len(report.problems) == 1 and fake.requests < 25
        day = date.fromisoformat(hidden["updatedAt"][:10])
        host = fake.url.removeprefix("http://")
        held_back = "SELECT repo, partition_date FROM ops.ingest_log WHERE status <> 'done'"
        assert warehouse.query(held_back).rows() == [(f"{host}/o/r1", day)]
        letters = "SELECT item, error_type, repo, partition_date, action FROM ops.dead_letters"
        search = f"repo:o/r1 is:pr updated:{hidden['updatedAt']}..{hidden['updatedAt']} sort:created-asc"
        assert warehouse.query(letters).rows() == [(search, "hidden", f"{host}/o/r1", day, "the day is held back")]
        assert warehouse.query("SELECT count(*) FROM raw.pull_requests").item() == 17

        run(warehouse, source(fake.url, tmp_path, clock, github_accepted_gaps="O/R1"), DAYS, world.repos)
        assert warehouse.query(held_back).rows() == []
        assert "as QC_GITHUB_ACCEPTED_GAPS says" in warehouse.query(letters).row(0)[4]


@pytest.mark.slow
def test_ids_decide_what_has_been_read_and_names_follow(
    clock: VirtualClock, warehouse: Warehouse, tmp_path: Path
) -> None:
    world = World()
    for n in range(2):
        made(world, f"o/r{n}", seed=n)
    log = "SELECT split_part(repo, '/', -1), count(*) FROM ops.ingest_log WHERE status = 'done' GROUP BY 1 ORDER BY 1"
    with FakeGitHub(load_schema(), world, clock=clock) as fake:

        def load(days: list[date], names: list[str]) -> list[str]:
            before = len(fake.log)
            run(warehouse, source(fake.url, tmp_path, clock), days, names)
            return [name for name, _, _ in fake.log[before:]]

        load(DAYS[:2], ["o/r0", "o/r1"])
        world.repos["p/new"] = world.repos.pop("o/r1") | {"nameWithOwner": "p/new"}
        assert load(DAYS[:2], ["o/r0", "p/new"]) == ["repository"], "what was read under the old name is not read again"
        assert load(DAYS[:2], ["o/r0", "p/new"]) == []
        assert warehouse.query(log).rows() == [("new", 2), ("r0", 2)]

        old = world.repos.pop("o/r0")
        made(world, "o/r0", 4, seed=7)
        load(DAYS, ["o/r0", "p/new"])
        assert warehouse.query(log).rows() == [("new", 3), ("r0", 3), (f"r0@{old['databaseId']}", 2)]
        counted = "SELECT own_id(repo_id), count(*) FROM raw.pull_requests GROUP BY 1"
        counts = dict(warehouse.query(counted).rows())
    assert counts[world.repos["o/r0"]["databaseId"]] == 4, "also of the days that the name had been read for"
