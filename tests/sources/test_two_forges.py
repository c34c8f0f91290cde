"""Two servers whose repositories, people and items have the same numbers and names, in one warehouse."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from qc_assets.forges import own_id
from qc_assets.models.p0 import SPEC as P0
from qc_assets.models.resolution_time import SPEC as RESOLUTION_TIME
from qc_assets.serving.knowledge import Knowledge, Reading
from qc_assets.settings import load_settings
from qc_assets.sources.fake.fake_server import FakeGitHub, VirtualClock
from qc_assets.sources.fake.fake_world import World, stamp, user
from qc_assets.sources.fake.github_schema import OWN_SCHEMA, load_schema
from qc_assets.sources.github.revisiting import revisit
from qc_assets.sources.github.source import GitHubSource
from qc_assets.store.forge_records import reads_made_up
from qc_assets.store.merge import Scope, merge, prepare_merging
from qc_assets.store.schema import RAW_TABLES, id_columns
from qc_assets.store.warehouse import Warehouse
from tests.github_runs import run, source, span

FIRST = date(2024, 5, 1)
DAYS = span(FIRST, 10)
NAME = "octo/atlas"


def world(who: str, first: int, passed: bool) -> World:
    """60 pull requests of one account, numbered from `first`; all pass or all fail."""
    made = World()
    repo = made.add_repo(NAME, 7)
    for n in range(60):
        opened = datetime(2024, 5, 1, 8) + timedelta(hours=3 * n)
        closed = opened + timedelta(hours=2)
        pr = made.add_item(
            repo, "PullRequest", first + n, opened, closed, title=f"of {who}", author=user(11, "amy"),
            state="MERGED" if passed else "CLOSED", closedAt=stamp(closed), mergedAt=stamp(closed) if passed else None,
        )  # fmt: skip
        made.add_commit(pr, opened - timedelta(hours=1), 30, 5)
        verdict = "APPROVED" if passed else "CHANGES_REQUESTED"
        review = made.add_review(pr, opened + timedelta(hours=1), verdict, author=user(12, "bob"))
        made.add_review_comment(pr, opened + timedelta(hours=1), author=user(12, "bob"), pullRequestReview=review)
    return made


@pytest.fixture
def servers() -> Iterator[tuple[FakeGitHub, FakeGitHub]]:
    """One that looks like an Enterprise server, and one that says that it makes things up; 25 numbers are shared."""
    schema, clock = load_schema(OWN_SCHEMA), VirtualClock(datetime(2024, 6, 1))
    with (
        FakeGitHub(schema, world("corp", 1, passed=True), clock=clock) as corp,
        FakeGitHub(schema, world("fake", 36, passed=False), clock=clock) as fake,
    ):
        corp.says_made_up = False
        yield corp, fake


@pytest.fixture
def sources(servers: tuple[FakeGitHub, FakeGitHub], tmp_path: Path) -> list[GitHubSource]:
    return [source(server.url, tmp_path / "home", VirtualClock(datetime(2024, 6, 1))) for server in servers]


def test_60_and_60_pull_requests_are_120_and_no_row_or_feature_mixes(
    servers: tuple[FakeGitHub, FakeGitHub], sources: list[GitHubSource], warehouse: Warehouse
) -> None:
    for github in sources:
        report = run(warehouse, github, DAYS, [NAME])
        assert report.loaded == DAYS, "the same name elsewhere is not loaded yet"
    assert run(warehouse, sources[0], DAYS, [NAME]).skipped == DAYS
    hosts = [server.url.removeprefix("http://") for server in servers]
    by_forge = "SELECT ops.forge_of(repo_id) AS forge, title, count(*) FROM raw.pull_requests GROUP BY ALL"
    assert set(warehouse.query(by_forge).rows()) == {(hosts[0], "of corp", 60), (hosts[1], "of fake", 60)}
    for table in RAW_TABLES:
        ids = id_columns(f"raw.{table}")
        forges = ", ".join(f"ops.forge_of({name})" for name in ids)
        mixed = f"SELECT count(*) FROM raw.{table} WHERE len(list_distinct([{forges}])) <> 1"
        assert warehouse.query(mixed).item() == 0, table
    assert warehouse.query("SELECT login, count(*) FROM raw.users GROUP BY ALL ORDER BY ALL").rows() == [
        ("amy", 2), ("bob", 2),
    ]  # fmt: skip
    warehouse.rebuild("ops/coverage", {"min_archive_completeness": 0.95})
    settings = load_settings(source="github", github_url=servers[1].url)
    rows = warehouse.rebuild("features/pull_requests", settings.feature_parameters("pull_requests"))
    assert rows == 120
    rates = warehouse.query(
        "SELECT ops.forge_of(repo_id), max(author_prior_prs), max(author_prior_merged), "
        "bool_or(is_synthetic(source, repo_id)) FROM features.pull_requests GROUP BY ALL"
    )
    assert set(rates.rows()) == {(hosts[0], 59, 59, False), (hosts[1], 59, 0, True)}
    log = warehouse.query("SELECT DISTINCT repo, ops.forge_of(repo_id) FROM ops.ingest_log").rows()
    assert set(log) == {(f"{host}/{NAME}", host) for host in hosts}
    covered = warehouse.query("SELECT ops.forge_of(repo_id), own_id(repo_id), seen FROM ops.coverage").rows()
    assert set(covered) == {(host, 7, 60) for host in hosts}


def test_what_a_fake_shows_never_counts_as_real(
    servers: tuple[FakeGitHub, FakeGitHub], sources: list[GitHubSource], warehouse: Warehouse
) -> None:
    settings = [load_settings(source="github", github_url=server.url) for server in servers]
    assert not any(reads_made_up(warehouse, each) for each in settings), "nothing is there yet"
    for github in sources:
        run(warehouse, github, DAYS[:2], [NAME])
    assert [reads_made_up(warehouse, each) for each in settings] == [False, True]
    assert warehouse.query("SELECT bool_and((repo_id < 0) = (title = 'of fake')) FROM raw.pull_requests").item()


def test_a_revisit_asks_each_server_for_its_own(
    servers: tuple[FakeGitHub, FakeGitHub], sources: list[GitHubSource], warehouse: Warehouse
) -> None:
    for github in sources:
        run(warehouse, github, DAYS[:2], [NAME])
    opened = "UPDATE observed.pull_requests SET observed_at = observed_at - INTERVAL 9 DAY"
    with warehouse.write() as connection:
        connection.execute(opened)
    servers[1].world.repos[NAME]["_pullRequests"][8]["title"] = "edited in silence"
    assert revisit(warehouse, sources[1], load_settings(source="github"))["due"] == 8
    titles = warehouse.query("SELECT ops.forge_of(repo_id) FROM raw.pull_requests WHERE title = 'edited in silence'")
    assert titles.rows() == [(servers[1].url.removeprefix("http://"),)]


def test_an_id_that_no_forge_has_is_a_dead_letter_and_the_rest_lands(warehouse: Warehouse, tmp_path: Path) -> None:
    stamped = {"source": "github", "observed_at": datetime(2024, 5, 1), "partition_date": FIRST}
    rows = [{"repo_id": 7, "name": "a/b"} | stamped, {"repo_id": 2**40, "name": "c/d"} | stamped]
    pl.DataFrame(rows).write_parquet(tmp_path / "rows.parquet")
    with warehouse.write() as connection:
        prepare_merging(connection)
        assert merge(connection, "repositories", [tmp_path / "rows.parquet"], Scope("github", (FIRST,), forge=5)) == 1
    assert warehouse.query("SELECT name, forge_number(repo_id), own_id(repo_id) FROM raw.repositories").rows() == [
        ("a/b", 5, 7)
    ]
    assert warehouse.query("SELECT item, error_type, partition_date FROM ops.dead_letters").rows() == [
        ("raw.repositories", "foreign_id", FIRST)
    ]


def test_a_name_leads_to_who_has_it_on_its_forge(
    servers: tuple[FakeGitHub, FakeGitHub], sources: list[GitHubSource], warehouse: Warehouse
) -> None:
    for github in sources:
        run(warehouse, github, DAYS[:3], [NAME])
    moved = servers[0].world
    moved.rename(NAME, "octo/new")
    stranger = moved.add_repo("octo/other", 8)
    moved.add_item(stranger, "PullRequest", 1, datetime(2024, 5, 4), datetime(2024, 5, 4), author=user(13, "amy"))
    sources[0].clock.sleep(3600)
    run(warehouse, sources[0], DAYS[3:5], ["octo/new", "octo/other"])
    for table in ("pull_requests", "issues"):
        warehouse.rebuild("ops/coverage", {"min_archive_completeness": 0.95})
        parameters = load_settings().feature_parameters(table)
        warehouse.rebuild(f"features/{table}", parameters)
    hosts = [server.url.removeprefix("http://") for server in servers]
    fake_settings = load_settings(source="github", github_url=servers[1].url)
    known = Knowledge.of(Reading.of(warehouse, fake_settings, [P0, RESOLUTION_TIME], datetime(2024, 5, 5)))
    assert (known.forge, known.is_synthetic) == (hosts[1], True)
    corp, fake = (known.repo_id(f"{host}/{NAME}") for host in hosts)
    assert corp is not None and fake is not None and corp != fake and own_id(corp) == own_id(fake) == 7
    assert known.repo_id(NAME) == fake, "without a host it is the settings' forge"
    assert known.repo_id(f"{hosts[0]}/Octo/New") == corp, "the old and the new name are one repository's"
    assert known.repo_id(f"elsewhere.corp/{NAME}") is None
    amy = [known.author_id(f"{host}/{NAME}", "amy") for host in hosts]
    assert [each and own_id(each) for each in amy] == [13, 11], "a login is that of whom it was last seen with"
    rates = [known.history("pull_requests", f"{host}/{NAME}", "bob")["repo_pass_rate"] for host in hosts]
    assert rates[0] > 0.8 and rates[1] < 0.5, "each repository has its own history"
    first = f"{hosts[0]}/octo/new"
    assert known.task("pull_requests", first, 1, "amy") is None, "the login that its author had then is another's"
    assert known.task("pull_requests", first, 1, "amy", known.task("pull_requests", first, 1, None)["author_id"])
    moved.add_repo(NAME, 9)  # somebody else takes the old name
    sources[0].clock.sleep(3600)
    run(warehouse, sources[0], DAYS[5:6], [NAME])
    later = Knowledge.of(Reading.of(warehouse, load_settings(), [P0]))
    assert own_id(later.repo_id(f"{hosts[0]}/{NAME}") or 0) == 9 and later.repo_id(first) == corp
