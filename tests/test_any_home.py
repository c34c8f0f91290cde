"""State lies wherever a person puts it: no character of a path is taken for SQL, a pattern or a part of a URL."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from qc_assets.cli.runs import open_instance
from qc_assets.errors import QcError
from qc_assets.registry import lifecycle
from qc_assets.registry.model_registry import Registry
from qc_assets.serving.app import create_app
from qc_assets.settings import Settings
from qc_assets.store.export import export_table
from qc_assets.store.warehouse import Warehouse
from tests.command_line import run_qc
from tests.learning.test_models import SMALL, rows
from tests.registry.conftest import QUICK

EVERYTHING = 'it\'s "100%20" of [a?b]*, #1 & ü'
BUT_FOR_DUCKDB = EVERYTHING.replace("?", "")


@pytest.fixture(autouse=True)
def _links_of_their_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize("name", ["it's", "what?mode=memory", "100%25", "50%", "a#b", "[ab]*", "a b", EVERYTHING])
def test_stores_lie_in_the_folder_that_was_named(
    make_settings: Callable[..., Settings], tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    # DuckDB's limit, which is named: see below.
    settings = make_settings(home=folder, warehouse=tmp_path / name.replace("?", "") / "qc.duckdb")
    store = Warehouse.from_settings(settings)
    with store.write() as connection:
        connection.execute("CREATE TABLE reports.kept AS SELECT 1 AS x")
    with store.overlay() as connection:
        assert connection.execute("SELECT x FROM warehouse.reports.kept").fetchall() == [(1,)]
    assert store.replace("ops/journal_imports", pl.DataFrame()) == 0
    with store.staging() as staged, store.read() as connection:
        connection.execute("COPY (SELECT 1 AS x) TO $file", {"file": str(staged / "rows.parquet")})
        assert connection.execute("FROM read_parquet($file)", {"file": str(staged / "rows.parquet")}).fetchall()
    output = folder / "kept.parquet"
    assert (
        export_table(store, "reports.kept", output, "parquet") == 1
        and pl.read_parquet(output, glob=False)["x"].item() == 1
    )
    with open_instance(settings) as instance:
        assert instance.get_runs_count() == 0
    assert Registry(settings.tracking_uri, settings.artifact_root).version_of("p0", "champion") is None
    for path in (settings.warehouse, folder / "dagster" / "history" / "runs.db", folder / "mlflow" / "mlflow.db"):
        assert path.is_file()
    assert {path.name for path in tmp_path.iterdir()} == {name, name.replace("?", "")}, "and nowhere else"


def test_a_warehouse_that_duckdb_cannot_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "what?").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "what?")
    for folder in ("what?", "link"):
        with pytest.raises(QcError, match="a path has a question mark; set QC_WAREHOUSE elsewhere"):
            Warehouse(tmp_path / folder / "qc.duckdb")


@pytest.mark.slow
def test_a_home_of_any_name_loads_trains_serves_and_is_examined(
    make_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / BUT_FOR_DUCKDB
    environment = {"QC_HOME": str(folder), "QC_WAREHOUSE": str(folder / "qc.duckdb"), "QC_DEMO_PRS": "300"}

    def qc(*arguments: str) -> Any:
        done = run_qc(tmp_path, environment, "--json", *arguments)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    assert qc("backfill", "--from", "2024-01-01", "--to", "2024-01-03")["rows"]["raw.repositories"]
    assert qc("sql", "SELECT count(*) AS n FROM raw.pull_requests")[0]["n"]
    assert qc("status")["runs"][0]["status"] == "SUCCESS"
    findings = {row["what"]: row for row in qc("doctor")}
    assert [row for row in findings.values() if not row["ok"] and row["what"] != "DAGSTER_HOME"] == []

    settings = make_settings(home=folder, warehouse=folder / "qc.duckdb")
    registry = Registry(settings.tracking_uri, settings.artifact_root)
    outcome = lifecycle.train_and_register(SMALL, rows(), registry, QUICK, is_synthetic=True, origin={})
    assert outcome.decision.promote
    monkeypatch.setattr("qc_assets.serving.champions.SPECS", {"p0": SMALL})
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        assert client.get("/health").json()["champions"] == {"p0": "1"}
    assert [path.name for path in tmp_path.iterdir()] == [BUT_FOR_DUCKDB]
