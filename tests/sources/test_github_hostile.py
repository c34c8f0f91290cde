"""Servers that are broken, hostile or merely older than GitHub: each costs only what it spoils."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qc_assets.clock import SystemClock
from qc_assets.sources.fake.fake_server import FakeGitHub, VirtualClock
from qc_assets.sources.fake.fake_world import World, ordinary
from qc_assets.sources.fake.github_schema import load_schema
from qc_assets.sources.github.answers import LONGEST_LIMIT, Kind, classify
from qc_assets.sources.github.client import Client, RequestError
from qc_assets.sources.github.item_parts import is_sound
from qc_assets.sources.github.query import Part
from qc_assets.sources.github.raw_rows import rows
from qc_assets.sources.github.state import Budget
from tests.fakes.raw_server import HEAD, document, raw_server
from tests.github_runs import source, span

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
        # What is refused for its size must not be for its time, on a machine that is busy.
        github = client(url, tmp_path, github_deadline_s=0.4 if every_s else 30)
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
    # A row without an id of its own is left out of an item that lands.
    left_out = [letter for letter in letters if letter.error_type != "no_id"]
    assert len(by_table["pull_requests"]) + len(left_out) == 2
    for record in by_table["pull_requests"] + by_table.get("reviews", []):
        assert all(value.encode() is not None for value in record.values() if isinstance(value, str))
