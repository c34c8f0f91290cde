"""docs/extending.md, "A source": one file, and a day of it lands."""

import json
from pathlib import Path

import pytest

from tests.recipes.cookbook import Kitchen

LINES = {
    "repositories": [{"repo_id": 5, "name": "a/b", "observed_at": "2024-01-01T10:00:00"}],
    "issues": [
        {"repo_id": 5, "number": 1, "title": "It breaks", "state": "open", "observed_at": "2024-01-01T11:00:00"},
        {"repo_id": 5, "number": 2, "title": "Later", "state": "open", "observed_at": "2024-01-02T11:00:00"},
    ],
}
PROGRAM = """
import sys
from qc_assets.cli.main import main
sys.argv = ["qc", "backfill", "--from", "2024-01-01", "--to", "2024-01-01"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
import json
from qc_assets.definitions import defs
from qc_assets.settings import load_settings
from qc_assets.store.warehouse import Warehouse

settings = load_settings()
store = Warehouse.from_settings(settings)
rows = store.query("SELECT repo_id, number, title, source, partition_date::VARCHAR FROM raw.issues").rows()
log = store.query("SELECT status, is_synthetic(source), is_complete(source) FROM ops.ingest_log").rows()
print(json.dumps({"rows": rows, "log": log, "first": settings.first_date.isoformat()}))
"""


@pytest.mark.slow
def test_a_source_takes_one_file(tmp_path: Path) -> None:
    kitchen = Kitchen(tmp_path)
    kitchen.carry_out("A source")
    assert kitchen.changed_files() == ["qc_assets/sources/jsonlines/source.py"]
    folder = tmp_path / "home" / "jsonlines"
    folder.mkdir(parents=True)
    for table, rows in LINES.items():
        (folder / f"{table}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    seen = json.loads(kitchen.run(PROGRAM, QC_SOURCE="jsonlines").splitlines()[-1])
    assert seen["rows"] == [[5, 1, "It breaks", "jsonlines", "2024-01-01"]], "only the day that was asked for"
    assert seen["log"] == [["done", False, True]], "its traits are known to SQL"
    assert seen["first"] == "2020-01-01"
