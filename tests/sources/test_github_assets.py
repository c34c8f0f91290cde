"""The github source in the asset graph: discovery, ingestion of what it chose, coverage, revisits."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from qc_assets.cli.runs import RunFailedError, run_job
from qc_assets.definitions import build_definitions
from qc_assets.settings import Settings
from qc_assets.sources.fake.fake_server import FakeGitHub
from qc_assets.sources.fake.fake_world import World, ordinary, stamp
from qc_assets.store.warehouse import Warehouse
from tests.github_runs import public_schema


@pytest.mark.slow
def test_discovery_feeds_ingestion_and_what_is_read_up_to_yesterday_is_covered(
    make_settings: Callable[..., Settings],
) -> None:
    today = datetime.now(UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    world = World()
    for n in range(3):
        repo = world.add_repo(f"o/r{n}", stargazerCount=1000 - n, pushedAt=stamp(today))
        ordinary(world, repo, 12, today - timedelta(days=4), timedelta(days=4) - timedelta(hours=1), seed=n)
        for pr in repo["_pullRequests"][: 9 - 3 * n]:
            pr |= {"state": "MERGED", "mergedAt": pr["updatedAt"], "closedAt": pr["updatedAt"]}
    days = [(today - timedelta(days=n)).date() for n in (4, 3, 2, 1)]
    with FakeGitHub(public_schema(), world) as fake:
        settings = make_settings(
            source="github",
            github_url=fake.url,
            start_date=days[0],
            discovery_min_stars=10,
            discovery_min_merged=5,
            discovery_languages="Python",
            github_first_wait_s=0,
        )
        with pytest.raises(RunFailedError, match=r"QC_REPOS.*qc discover"):
            run_job(settings, "ingest", days=days)
        run_job(settings, "discovery")
        result = run_job(settings, "ingest", days=days)
        assert result.metadata["raw_pull_requests"]["rows of all days"] == 24, "two of three were chosen"
        assert result.metadata["raw_pull_requests"]["repositories read"] == "2 of 2"
        assert result.metadata["raw_pull_requests"]["API requests"] == fake.requests - 2 + 1, "and GET /meta"
        covered = run_job(settings, "features").checks["ops_coverage: some_repository_is_covered"]
        assert covered[0]
        assert run_job(settings, "revisits").metadata["ops_revisits"] == {"due": 0, "read": 0, "gone": 0}
    store = Warehouse.from_settings(settings)
    assert store.query("SELECT count(*) FROM features.pull_requests").item() == 24


def test_other_sources_do_not_show_what_only_github_needs(make_settings: Callable[..., Settings]) -> None:
    names = {job.name for job in build_definitions(make_settings()).resolve_all_job_defs()}
    assert "discovery" not in names
    assert {"main", "ingest"} <= names
