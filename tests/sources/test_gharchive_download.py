"""Downloading hours from a server that breaks off."""

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from qc_assets.errors import SourceError
from qc_assets.sources.gharchive import hours as archive_files
from qc_assets.sources.loading import load
from qc_assets.sources.registry import open_source
from qc_assets.store.warehouse import Warehouse
from tests.fakes.archive import FlakyArchive, event, issue, running, write_hour

DAY = date(2024, 5, 1)
ISSUE = "IssuesEvent"


@pytest.fixture
def hours(tmp_path: Path) -> Path:
    folder = tmp_path / "hours"
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_downloads_resume_where_they_broke_off(make_settings: Any, hours: Path) -> None:
    lines = [
        event(ISSUE, "2024-05-01T01:00:00Z", {"action": "opened", "issue": issue(n)}, number=n) for n in range(1, 50)
    ]
    body = write_hour(hours, "2024-05-01-1", lines).read_bytes()
    name = "2024-05-01-1.json.gz"
    with running(FlakyArchive({name: body}, breaks=2)) as server:
        settings = make_settings(source="gharchive", gharchive_url=server.url)
        warehouse = Warehouse.from_settings(settings)
        load(warehouse, open_source(settings), [DAY])
        ranges = [header for path, header in server.log if path == name]
        assert ranges[0] is None
        half = len(body) // 2
        assert ranges[1:] == [f"bytes={half}-", f"bytes={half + (len(body) - half) // 2}-"]
        assert warehouse.query("SELECT count(*) FROM raw.issues").item() == 49
        assert (settings.home / "gharchive" / name).read_bytes() == body
        before = len(server.log)
        load(warehouse, open_source(settings), [DAY], refresh=True)
        assert [path for path, _ in server.log[before:]].count(name) == 0, "the cached hour is not fetched again"


def test_a_server_without_ranges_is_read_from_the_start(tmp_path: Path, hours: Path) -> None:
    body = write_hour(hours, "2024-05-01-1", [event(ISSUE, "2024-05-01T01:00:00Z", {})] * 50).read_bytes()
    with running(FlakyArchive({"2024-05-01-1.json.gz": body}, breaks=1, ranges=False)) as server:
        path = archive_files.Downloader(server.url, tmp_path / "cache").get("2024-05-01-1.json.gz")
    assert path is not None
    assert path.read_bytes() == body


def test_a_download_that_never_succeeds_says_so_and_is_recorded(make_settings: Any) -> None:
    with running(FlakyArchive({"2024-05-01-0.json.gz": gzip.compress(b"x" * 1000)}, breaks=99)) as server:
        settings = make_settings(source="gharchive", gharchive_url=server.url)
        source = open_source(settings)
        source.downloader.attempts = 2  # type: ignore[attr-defined]
        warehouse = Warehouse.from_settings(settings)
        with pytest.raises(SourceError, match=r"2 attempts.*QC_GHARCHIVE_DIR"):
            load(warehouse, source, [DAY])
    status, error = warehouse.query("SELECT status, error FROM ops.ingest_log").row(0)
    assert status == "failed"
    assert "2 attempts" in error
