"""Downloading hours from a server that breaks off."""

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from qc_assets.errors import SourceError
from qc_assets.sources.bounded import Bounds
from qc_assets.sources.gharchive import downloader
from qc_assets.sources.gharchive.downloader import Downloader, NoSuchHourError
from qc_assets.sources.loading import load
from qc_assets.sources.registry import open_source
from qc_assets.store.warehouse import Warehouse
from tests.fakes.archive import FlakyArchive, event, issue, running, write_hour
from tests.fakes.raw_server import HEAD, raw_server

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
        path = Downloader(server.url, tmp_path / "cache", Bounds()).get("2024-05-01-1.json.gz", tmp_path)
    assert path.read_bytes() == body


def test_an_hour_that_cannot_be_had_costs_itself_and_is_asked_for_again(make_settings: Any, hours: Path) -> None:
    whole = write_hour(hours, "2024-05-01-1", [event(ISSUE, "2024-05-01T01:00:00Z", {"issue": issue(1)})]).read_bytes()
    names = [f"2024-05-01-{hour}.json.gz" for hour in range(3)]
    served = {names[0]: gzip.compress(b"x" * 1000), names[1]: whole, names[2]: whole[:-9]}
    with running(FlakyArchive(served, breaks=0)) as server:
        server.breaks[names[0]] = 99
        settings = make_settings(source="gharchive", gharchive_url=server.url)
        source: Any = open_source(settings)
        source.downloader.attempts = 2
        warehouse = Warehouse.from_settings(settings)
        load(warehouse, source, [DAY])
        said = "SELECT error_type, reason FROM ops.dead_letters WHERE list_contains($names, item) ORDER BY item"
        broken_off, damaged = warehouse.query(said, {"names": names}).rows()
        assert broken_off[0] == "missing_hour"
        assert "2 attempts" in broken_off[1]
        assert damaged[0] == "truncated_file"
        assert warehouse.query("SELECT number FROM raw.issues").rows() == [(1,)]
        assert not (settings.home / "gharchive" / names[2]).exists(), "what is in the cache is whole"
        server.files[names[2]] = whole
        load(warehouse, source, [DAY])
        assert (settings.home / "gharchive" / names[2]).read_bytes() == whole


def test_a_server_that_nobody_reaches_is_an_error_that_is_recorded(make_settings: Any) -> None:
    with running(FlakyArchive({})) as server:
        url = server.url
    settings = make_settings(source="gharchive", gharchive_url=url)
    source: Any = open_source(settings)
    source.downloader.attempts = 1
    warehouse = Warehouse.from_settings(settings)
    with pytest.raises(SourceError, match=r"1 attempts.*QC_GHARCHIVE_DIR"):
        load(warehouse, source, [DAY])
    status, error = warehouse.query("SELECT status, error FROM ops.ingest_log").row(0)
    assert status == "failed"
    assert "1 attempts" in error


@pytest.mark.parametrize(
    ("pieces", "every_s", "says"),
    [([HEAD, b"\r\n", *[b"x"] * 99], 0.05, "no whole answer within"), ([HEAD, b"\r\n", bytes(3000)], 0, "more than")],
)
def test_an_archive_that_drips_or_floods_is_left_and_shows_no_password(
    pieces: list[bytes], every_s: float, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloader, "_DEADLINE_S", 0.4)
    with raw_server(pieces, every_s=every_s) as url:
        archive = Downloader(url.replace("//", "//me:pa55word@"), tmp_path / "cache", Bounds(download=2000), attempts=1)
        with pytest.raises(NoSuchHourError, match=says) as error:
            archive.get("2024-05-01-1.json.gz", tmp_path)
    assert "pa55word" not in str(error.value)
