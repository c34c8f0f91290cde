"""What a server knew is kept between starts, and a server that starts takes nobody for a stranger meanwhile."""

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from qc_assets.places import sql_root
from qc_assets.serving import guard, kept_knowledge, service
from qc_assets.serving.app import create_app
from qc_assets.serving.knowledge import Knowledge, Reading
from qc_assets.serving.service import Serving
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse
from tests.conftest import copy_of


@pytest.fixture
def home(small_home: Settings, tmp_path: Path) -> Settings:
    """A copy, whose knowledge a server of the original has kept."""
    return copy_of(small_home, tmp_path)


def _folder(home: Settings) -> Path:
    return home.journal_file.with_name("knowledge")


def _kept(home: Settings) -> list[Path]:
    return list(_folder(home).iterdir())


def _known(settings: Settings) -> Knowledge:
    """What a server knows that starts now."""
    serving = Serving(settings)
    try:
        serving.refresh_champions()
        assert serving.refresh_knowledge()
        return serving.ready()
    finally:
        serving.close()


def _readings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A list that grows whenever the warehouse itself is asked."""
    read, readings = Reading.of, []
    monkeypatch.setattr(Reading, "of", lambda *given, **more: readings.append(given) or read(*given, **more))
    return readings


def test_a_second_start_knows_the_same_without_asking_the_warehouse(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(_folder(home))
    readings = _readings(monkeypatch)
    first = _known(home)
    second = _known(home)
    assert len(readings) == 1
    for name in ("as_of", "is_synthetic", "forge", "repos", "authors", "histories", "unknown", "troubles", "numbers"):
        assert getattr(second, name) == getattr(first, name), name
    for table, tasks in first.tasks.items():
        assert second.tasks[table].rows.equals(tasks.rows) and second.tasks[table].rows.schema == tasks.rows.schema
    kept = _kept(home)
    assert len(kept) == 1 and kept[0].stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("change", ["warehouse", "setting", "wanted"])
def test_whatever_it_follows_from_has_changed_it_is_read_anew(
    home: Settings, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    readings = _readings(monkeypatch)
    before = _known(home)
    assert readings == [], "nothing has changed in a copy"
    if change == "warehouse":
        with Warehouse.from_settings(home).write() as connection:
            connection.execute("UPDATE features.pull_requests SET title_length = title_length + 7")
    elif change == "setting":
        home = home.model_copy(update={"seniority_days": (0, 3, 18)})
    else:
        monkeypatch.setattr(service, "_ITEMS", service._ITEMS[:1])
    after = _known(home)
    assert len(readings) == 1
    if change == "warehouse":
        lengths = [each.tasks["pull_requests"].rows["title_length"].sum() for each in (before, after)]
        assert lengths[1] == lengths[0] + 7 * len(after.tasks["pull_requests"].rows)
    assert len(_kept(home)) == 1, "what nobody needs any more is gone"


def test_it_follows_from_the_code_and_not_from_a_warehouse_that_lies_among_it(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a checkout, warehouse/ has both, and to read gigabytes at each start would cost more than is saved."""
    sql = tmp_path / "warehouse"
    shutil.copytree(sql_root(), sql, ignore=shutil.ignore_patterns("qc.duckdb*", ".staging"))
    monkeypatch.setattr(kept_knowledge, "sql_root", lambda: sql)

    def key() -> str:
        return kept_knowledge.key_of_knowledge(home, service._ITEMS, {}, (1,))

    before = key()
    (sql / "qc.duckdb").write_bytes(b"rows")
    assert key() == before
    with (sql / "macros.sql").open("a") as file:
        file.write("-- otherwise")
    assert key() != before
    with_other_sql = key()
    code = tmp_path / "package"
    code.mkdir()
    (code / "history.py").write_text("PERSON = 'nobody'")
    monkeypatch.setattr(kept_knowledge, "PACKAGE", code)
    assert key() != with_other_sql


@pytest.mark.parametrize("damage", ["cut", "no json", "gone"])
def test_what_was_kept_and_is_broken_is_computed_again(
    home: Settings, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    readings = _readings(monkeypatch)
    first = _known(home)
    (kept,) = _kept(home)
    if damage == "cut":
        os.truncate(kept / "histories_pull_requests.arrow", 900)
    elif damage == "no json":
        (kept / "about.json").write_text("[")
    else:
        (kept / "names.arrow").unlink()
    assert _known(home).histories == first.histories and len(readings) == 1
    assert _known(home).histories == first.histories and len(readings) == 1, "and kept again"


def test_a_home_that_cannot_keep_it_still_serves(home: Settings) -> None:
    shutil.rmtree(_folder(home))
    _folder(home).write_text("in the way")
    assert _known(home).authors


def test_a_server_that_starts_is_healthy_at_once_and_lets_others_wait(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Warehouse.from_settings(home).query(
        "SELECT login, max(author_prior_prs) AS prior FROM features.pull_requests JOIN raw.users "
        "ON author_id = user_id GROUP BY login ORDER BY prior DESC LIMIT 1"
    )
    asked = {"worker_id": row["login"][0], "task_id": "acme/new#1", "lines_changed": 9, "files_changed": 1}
    asked |= {"title_length": 20}
    may_read, refresh = threading.Event(), Serving.refresh_knowledge

    def slow_refresh(serving: Serving) -> bool:
        assert may_read.wait(60)
        return refresh(serving)

    monkeypatch.setattr(Serving, "refresh_knowledge", slow_refresh)
    app = create_app(home, starts_at_once=True)
    with TestClient(app, base_url="http://127.0.0.1") as client, ThreadPoolExecutor() as pool:
        health = client.get("/health").json()
        assert health["status"] == "degraded" and "it is starting" in health["troubles"]["server"]
        monkeypatch.setattr(guard, "_PATIENCE_S", 0.05)
        refused = client.post("/predict", json=asked)
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
        assert "is starting" in refused.json()["detail"]
        monkeypatch.setattr(guard, "_PATIENCE_S", 60)
        waiting = pool.submit(client.post, "/predict?details=true", json=asked)
        time.sleep(0.2)
        assert not waiting.done()
        may_read.set()
        answer = waiting.result(60)
        assert answer.status_code == 200, answer.text
        known = app.state.serving.ready().history("pull_requests", "acme/new", asked["worker_id"])
        assert known["author_prior_prs"] > 0
        assert "author_prior_prs" not in answer.json()["details"]["unknown_features"]
        assert client.get("/health").json()["troubles"].get("server") is None
