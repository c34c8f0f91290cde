"""`qc doctor` names what kills, copies and power cuts left, and how to mend it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import dagster as dg
import pytest

from qc_assets.assets import run_owners
from qc_assets.cli.aftermath import examine_aftermath
from qc_assets.cli.doctor import examine_models
from qc_assets.cli.runs import open_instance
from qc_assets.locks import acquire_lock
from qc_assets.registry.local_store import make_store
from qc_assets.serving.journal import Journal
from qc_assets.settings import Settings


@dg.job
def dies() -> None: ...


def wrong(settings: Settings) -> dict[str, tuple[str, str]]:
    return {found.what: (found.detail, found.mend) for found in examine_aftermath(settings) if not found.ok}


def test_nothing_is_wrong_with_a_home_that_is_not_there_yet(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    assert wrong(settings) == {} and not settings.home.exists()


def test_every_state_is_named(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings()
    with open_instance(settings) as instance:
        run = instance.create_run_for_job(dies, status=dg.DagsterRunStatus.STARTED)
        lock = acquire_lock(run_owners._lock_file(instance, run.run_id))
        assert lock is not None and wrong(settings) == {}, "its process lives"
        lock.release()
    make_store(settings.mlflow_database, settings.artifact_root)
    with closing(sqlite3.connect(settings.mlflow_database)) as store, store:
        store.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    settings.embeddings_cache.parent.mkdir(parents=True, exist_ok=True)
    caches = (settings.home / "github" / "state.db", settings.home / "critique" / "answers.db")
    for path in caches:
        path.parent.mkdir()
        path.write_bytes(b"no database at all" * 1000)
    with closing(Journal(settings.journal_file, writer="qc serve on port 8000")) as journal:
        journal.write("payout", {}, written_at="2026-01-01T00:00:00")
        served = {found.what: found.detail for found in examine_aftermath(settings)}
        assert served["server"].startswith("qc serve on port 8000 (process ")
    settings.journal_file.with_name("journal.db.accepted").unlink()
    with closing(Journal(settings.journal_file)):
        pass
    answers = wrong(settings)
    assert f"{run.run_id[:8]} of dies" in answers["runs"][0] and "`qc up`" in answers["runs"][1]
    models = {finding.what: finding for finding in examine_models(settings)}["models"]
    assert not models.ok and "another version of MLflow" in models.detail and "qc migrate" in models.mend
    assert "counter is missing" in answers["journal"][0] and "ml.payouts" in answers["journal"][1]
    assert "move the file away" in answers["answers of GitHub"][1]
    assert "QC_LLM_CEILING" in answers["answers of language models"][1]
    settings.journal_file.write_bytes(b"no database at all" * 1000)
    assert "sets the file aside" in wrong(settings)["journal"][1]
    away = settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
    assert [finding.ok for finding in examine_models(away)] == [False]
    assert "does not answer" in examine_models(away)[0].detail
