"""What every source tells alike, whatever its platform lets through."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from qc_assets.sources.bounded import clean
from qc_assets.sources.loading import load
from qc_assets.sources.registry import open_source
from qc_assets.store.warehouse import Warehouse
from tests.fakes.archive import event, issue, write_hour

DAY = date(2024, 5, 1)


def test_nul_in_a_title_is_told_alike_by_archive_and_files(make_settings: Any, tmp_path: Path) -> None:
    hours, tables = tmp_path / "hours", tmp_path / "files" / "one"
    hours.mkdir()
    tables.mkdir(parents=True)
    opened = event("IssuesEvent", "2024-05-01T09:00:00Z", {"action": "opened", "issue": issue(2, title="a\0b")})
    write_hour(hours, "2024-05-01-9", [opened])
    row = {"repo": "o/r", "number": 2, "author": "bob", "created_at": "2024-05-01T09:00:00Z", "title": "a\0b"}
    (tables / "issues.jsonl").write_text(json.dumps(row) + "\n")
    titles = []
    for name, place in (("gharchive", {"gharchive_dir": hours}), ("files", {"files_dir": tables.parent})):
        settings = make_settings(source=name, warehouse=tmp_path / f"{name}.duckdb", **place)
        store = Warehouse.from_settings(settings)
        load(store, open_source(settings), [DAY])
        titles.append(store.query("SELECT title FROM raw.issues").item())
    assert titles == ["a\ufffdb", "a\ufffdb"] == [clean("a\0b")] * 2
