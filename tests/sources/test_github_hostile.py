"""Servers that are broken, hostile or merely older than GitHub: each costs only what it spoils."""

import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import build_schema, parse, validate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qc_assets.clock import SystemClock
from qc_assets.errors import SourceError
from qc_assets.progress import Note
from qc_assets.sources.fake.fake_server import FakeGitHub, VirtualClock
from qc_assets.sources.fake.fake_world import World, ordinary
from qc_assets.sources.fake.github_schema import OWN_SCHEMA, load_schema
from qc_assets.sources.github.answers import LONGEST_LIMIT, Kind, classify
from qc_assets.sources.github.client import Client, RequestError
from qc_assets.sources.github.item_parts import is_sound
from qc_assets.sources.github.query import Part, join, operations
from qc_assets.sources.github.raw_rows import rows
from qc_assets.sources.github.schema_gaps import named_gaps, pruned
from qc_assets.sources.github.state import Budget
from qc_assets.store.warehouse import Warehouse
from tests.fakes.raw_server import HEAD, document, raw_server
from tests.github_runs import run, source, span

NOW = datetime(2024, 6, 1, 12)
FIRST = date(2024, 5, 1)
DAYS = span(FIRST, 3)
COUNT = [Part("count", {"query": "is:pr repo:o/r"})]
GZIP = b"Content-Encoding: gzip"
ZEROS = gzip.compress(bytes(2**25), 9)


def made(world: World, name: str, pull_requests: int = 6, seed: int = 0) -> None:
    ordinary(world, world.add_repo(name), pull_requests, datetime(2024, 5, 1), timedelta(days=3), seed=seed)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


def client(url: str, home: Path, **options: Any) -> Client:
    few = {"github_tries": 1, "github_deadline_s": 0.4, "github_max_answer_bytes": 2**20}
    return source(url, home, SystemClock(), **few | options).client


@pytest.mark.parametrize(
    ("pieces", "every_s", "reason"),
    [
        ([HEAD, b"\r\n", *[b" "] * 99], 0.05, "no whole answer within 0.4 s"),
        ([b"H", b"T", b"T", b"P", b"/", *[b"1"] * 99], 0.05, "no whole answer within 0.4 s"),
        (document(ZEROS, GZIP), 0, "longer than 1,048,576 bytes"),
        (document(gzip.compress(ZEROS), b"Content-Encoding: gzip, gzip"), 0, "compressed more than once"),
        ([HEAD.replace(b"200 OK", b"302 Found"), b"Location: /b\r\n", GZIP, b"\r\n\r\n", ZEROS], 0, "longer than"),
    ],
)
def test_an_answer_ends_in_time_and_size(pieces: list[bytes], every_s: float, reason: str, tmp_path: Path) -> None:
    with raw_server(pieces, every_s=every_s) as url:
        github = client(url, tmp_path)
        with pytest.raises(RequestError, match=reason) as error:
            github.query(COUNT)
        github.close()
    assert error.value.kind is Kind.OVERLOADED


@pytest.mark.parametrize(
    "body",
    [
        b"[1, 2]", b"null", b'"text"', b"<html>login</html>", b"", b"[" * 100_000 + b"]" * 100_000,
        b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"data": {"item_0": [1]}}',
        b'{"data": {"item_0": "x"}}',
        b'{"data": {"item_0": {"issueCount": ' + b"9" * 5000 + b"}}}", b'{"data": null, "errors": "x"}',
        b'{"data": null, "errors": [null, {"message": null, "type": []}]}',
    ],
)  # fmt: skip
def test_odd_json_is_classified(body: bytes, tmp_path: Path) -> None:
    with raw_server(document(body)) as url:
        github = client(url, tmp_path)
        with pytest.raises(RequestError):
            github.query(COUNT)
        github.close()


@pytest.mark.parametrize(
    "beside",
    ['"rateLimit": {"cost": "x", "remaining": [], "limit": -1, "resetAt": 5}', '"rateLimit": [3]', '"rateLimit": "x"'],
)
def test_what_stands_beside_an_answer_may_be_odd(beside: str, tmp_path: Path) -> None:
    paths = '[{"path": "item_x"}, {"path": ["item_x", 1]}, {"path": [7]}, {"path": {"a": 1}}, {"path": ["item_9"]}]'
    body = f'{{"data": {{"item_0": {{"issueCount": 3}}, {beside}}}, "errors": {paths}}}'
    with raw_server(
        document(b"\xef\xbb\xbf" + body.replace("item_x", "item_\udcff").encode("utf-8", "replace"))
    ) as url:
        github = client(url, tmp_path)
        reply = github.query(COUNT)
        github.close()
    assert reply.data == [{"issueCount": 3}] and reply.errors == []


NUMBERS = st.integers(-(10**20), 10**20).map(str)
DATES = st.datetimes().map(lambda moment: format_datetime(moment.replace(tzinfo=UTC), usegmt=True))


@given(
    reset=NUMBERS | st.text(max_size=12),
    after=NUMBERS | DATES | st.text(max_size=12),
    told=DATES | st.text(max_size=9),
    status=st.sampled_from([200, 403, 429]),
)
def test_no_header_makes_anybody_wait_longer_than_a_limit_can_last(
    reset: str, after: str, told: str, status: int
) -> None:
    named = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset, "retry-after": after, "date": told}
    headers = [(name.encode(), value.encode("utf-8", "replace")) for name, value in named.items()]
    until = classify(httpx.Response(status, headers=headers, content=b'{"message": "API rate limit"}'), NOW).until
    assert until is None or until <= NOW + LONGEST_LIMIT


@pytest.mark.parametrize("off", [timedelta(days=-900), timedelta(hours=-3), timedelta(), timedelta(days=4000)])
def test_a_machine_with_a_wrong_clock_waits_as_long_as_one_with_a_right_one(off: timedelta) -> None:
    there = NOW - off
    headers = {
        "date": format_datetime(there.replace(tzinfo=UTC), usegmt=True),
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(int((there + timedelta(minutes=10)).replace(tzinfo=UTC).timestamp())),
    }
    assert classify(httpx.Response(403, headers=headers), NOW).until == NOW + timedelta(minutes=10)
    del headers["x-ratelimit-remaining"]
    headers["retry-after"] = format_datetime((there + timedelta(minutes=5)).replace(tzinfo=UTC), usegmt=True)
    assert classify(httpx.Response(429, headers=headers), NOW).until == NOW + timedelta(minutes=5)


def test_a_block_that_a_clock_set_back_has_made_long_is_not_waited_for(clock: VirtualClock, tmp_path: Path) -> None:
    pool = source("http://127.0.0.1:9", tmp_path, clock).client.pool
    far = NOW + timedelta(days=900)
    pool.state.save_budget(pool.members[0].name, Budget(0, 5000, far, far, 3))
    with pool.use():
        assert clock.slept == 0


def test_who_always_hears_of_a_limit_gives_up(clock: VirtualClock, tmp_path: Path) -> None:
    with raw_server(document(b'{"errors": [{"type": "RATE_LIMITED", "message": "x"}]}')) as url:
        github = source(url, tmp_path, clock).client
        with pytest.raises(RequestError, match="again and again") as error:
            github.query(COUNT)
        github.close()
    assert error.value.kind is Kind.LIMITED and not error.value.is_final
    assert 0 < clock.slept <= 10 * 3600


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
    text = pruned(join([Part("reviews", {})])[0], frozenset({"PullRequestReview.fullDatabaseId"}))
    assert "fullDatabaseId: databaseId" in text
    assert (
        "atabaseId"
        not in pruned(text.replace("fullDatabaseId: ", ""), frozenset({"PullRequestReview.databaseId"}))
        .split("fragment ReviewPage")[1]
        .split("fragment")[0]
    )


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
        with warehouse.read() as connection:
            counts = dict(connection.execute(counted).fetchall())
    assert counts[world.repos["o/r0"]["databaseId"]] == 4, "also of the days that the name had been read for"


@pytest.fixture(scope="module")
def item(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A pull request as the API shows it."""
    world = World()
    made(world, "o/a", 1)
    with FakeGitHub(load_schema(), world) as fake:
        github = client(fake.url, tmp_path_factory.mktemp("item"), github_deadline_s=20)
        whole = github.query([Part("whole", {"id": world.repos["o/a"]["_pullRequests"][0]["id"]})]).data[0]
        github.close()
    return whole


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(inner, (*path, key))


ANY_JSON = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=3), st.just("\ud83d\x00"), st.floats(),
    st.just([]), st.just({}), st.just([None, 1]), st.just({"nodes": [{"id": []}]}),
)  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_an_odd_item_is_one_dead_letter_and_the_rest_lands(data: st.DataObject, item: dict[str, Any]) -> None:
    odd = json.loads(json.dumps(item))
    *way, last = data.draw(st.sampled_from(list(places(odd))))
    holder = odd
    for key in way:
        holder = holder[key]
    holder[last] = data.draw(ANY_JSON)
    if not is_sound(odd):
        return  # asked for by its id, and named if that does not help
    by_table, letters = rows([(odd, NOW), (item, NOW)])
    assert len(by_table["pull_requests"]) + len(letters) == 2
    for record in by_table["pull_requests"] + by_table.get("reviews", []):
        assert all(value.encode() is not None for value in record.values() if isinstance(value, str))
