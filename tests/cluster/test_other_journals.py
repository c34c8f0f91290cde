"""What was paid stays paid wherever QC_JOURNAL points next: at a database instead of the file, at another, at none."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from deploy.local_servers import PostgresServer
from qc_assets.cli.aftermath import examine_aftermath
from qc_assets.cli.backup import BackupError, make_backup, restore_backup
from qc_assets.cli.overview import status
from qc_assets.errors import QcError
from qc_assets.lake_place import LakePlace
from qc_assets.serving import journal_reader
from qc_assets.serving.appeals import Resumption, resume
from qc_assets.serving.cashier import make_payout
from qc_assets.serving.feedback import ConflictError
from qc_assets.serving.importing import bring_in_all
from qc_assets.serving.journal import Journal
from qc_assets.serving.knowledge import NotReadyError
from qc_assets.serving.payouts import PayoutAnswer, PayoutRequest
from qc_assets.serving.service import Serving
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse
from tests.conftest import copy_of

FACTS = {"worker_id": "amy", "lines_changed": 120, "files_changed": 3, "title_length": 40, "task_id": "far/away#7"}


@pytest.fixture
def home(small_home: Settings, tmp_path: Path) -> Settings:
    settings = copy_of(small_home, tmp_path)
    with Warehouse.from_settings(settings).write() as connection:
        connection.execute("UPDATE ml.gates SET passed = true")  # too few rows to keep all that it promises
    return settings.model_copy(update={"payout_claims": "flag", "model_max_age_days": 9_999})


def with_journal(settings: Settings, url: str | None) -> Settings:
    return settings.model_copy(update={"journal": SecretStr(url) if url else None})


@contextmanager
def serving_of(settings: Settings) -> Iterator[Serving]:
    with closing(Serving(settings)) as serving:
        serving.refresh_champions()
        serving.refresh_knowledge()
        yield serving


def pay(settings: Settings, payout_id: str, **order: Any) -> PayoutAnswer:
    request = {"facts": FACTS, "value": Decimal(100), "allow_uncertain": True, "payout_id": payout_id} | order
    with serving_of(settings) as serving:
        return make_payout(serving, PayoutRequest.model_validate(request))


def test_what_the_file_paid_is_not_paid_again_by_a_database_and_comes_into_the_warehouse(
    home: Settings, shared_url: str
) -> None:
    shared = with_journal(home, shared_url)
    first = pay(home, "one")
    with pytest.raises(ConflictError, match="far/away#7 has been paid for"):
        pay(shared, "two")
    assert pay(shared, "one") == first, "the same order has the same answer"
    corrected = pay(shared, "three", replaces="one", correction="the value was wrong", value=Decimal(50))
    with pytest.raises(ConflictError, match="'one' is not what was paid for"):
        pay(shared, "four", replaces="one", correction="once more")
    store = Warehouse.from_settings(shared)
    assert bring_in_all(store, shared.journals, keep_days=90, beside=shared.journal_file).payouts == 2
    assert set(store.query("SELECT id FROM ml.payouts WHERE refused IS NULL")["id"]) == {"one", corrected.id}
    assert bring_in_all(store, shared.journals, keep_days=90, beside=shared.journal_file).payouts == 0


def test_a_database_that_was_put_back_pays_nobody_until_somebody_says_so(home: Settings, shared_url: str) -> None:
    shared = with_journal(home, shared_url)
    pay(shared, "one")
    with shared.journals[0].transaction() as connection:  # type: ignore[union-attr]
        connection.execute("DELETE FROM entries")
    with serving_of(shared) as serving, pytest.raises(NotReadyError, match="an older copy of the journal was put back"):
        serving.payer()
    with serving_of(shared) as serving:
        resume(serving, Resumption(told_by="bob", reason="one was told"))
    assert pay(shared, "two").task_id == "far/away#7"


@pytest.mark.parametrize("to", ["no database", "another database"])
def test_a_home_that_lost_sight_of_its_journal_pays_nobody_until_somebody_says_so(
    home: Settings, postgres: PostgresServer, shared_url: str, to: str
) -> None:
    pay(with_journal(home, shared_url), "one")
    other = with_journal(home, None if to == "no database" else postgres.url(f"{shared_url[-6:]}_other"))
    with pytest.raises(NotReadyError, match=r"qc-assets paid|this home paid") as refused:
        pay(other, "two")
    password = shared_url.partition("//qc:")[2].partition("@")[0]
    note = home.journal_file.with_name("shared_journal.json")
    assert "POST /payouts/resume" in str(refused.value) and "QC_JOURNAL" in str(refused.value)
    assert password not in str(refused.value) + note.read_text(encoding="utf-8")
    assert any("QC_JOURNAL" in finding.detail and not finding.ok for finding in examine_aftermath(other))
    with serving_of(other) as serving:
        statement = Resumption(told_by="bob", reason="that database is gone, and all of it imported")
        assert "QC_JOURNAL" in resume(serving, statement).settled
    assert pay(other, "two").task_id == "far/away#7"


def test_a_backup_says_what_it_does_not_hold_and_a_restore_what_it_did_not_put_back(
    home: Settings, shared_url: str, tmp_path: Path
) -> None:
    whole = make_backup(home, tmp_path / "whole")
    assert whole["left_out"] == [] and {"warehouse", "registry"} <= set(whole["parts"])
    lake = LakePlace.parse(f"ducklake:sqlite:{tmp_path}/lake.sqlite")
    elsewhere = {"warehouse": lake, "mlflow_tracking_uri": "http://mlflow.example", "home": tmp_path / "other"}
    other = with_journal(home, shared_url).model_copy(update=elsewhere)
    restored = restore_backup(other, tmp_path / "whole")
    assert set(restored["not_restored"]) == {"warehouse", "registry"} and not set(restored["parts"]) & {"warehouse"}
    with (
        closing(Journal(other.journals[0], counters=other.journal_file.with_name("accepted"))),
        pytest.raises(BackupError, match=r"QC_JOURNAL uses .*: stop it first"),
    ):
        restore_backup(other, tmp_path / "whole", replace=True)
    other.journal_file.parent.joinpath("keys.json").write_text("{}", encoding="utf-8")
    text = "; ".join(make_backup(other, tmp_path / "part")["left_out"])
    assert "lake.sqlite" in text and "pg_dump" in text and "QC_MLFLOW_TRACKING_URI" in text and "p%40ss" not in text


def test_looking_at_a_place_that_was_mistyped_makes_no_warehouse_there(home: Settings, tmp_path: Path) -> None:
    mistyped = home.model_copy(update={"warehouse": tmp_path / "qc.dukdb"})
    sections, _ = status(mistyped, Warehouse.from_settings(mistyped))
    assert sections["versions"] == [] and not (tmp_path / "qc.dukdb").exists()


def test_one_home_has_one_journal_at_a_time(home: Settings, shared_url: str) -> None:
    shared = with_journal(home, shared_url)
    for first, second in ((home, shared), (shared, home)):
        with closing(Serving(first)), pytest.raises(QcError, match="stop it"):
            Serving(second).close()
    assert journal_reader.exists(home.journal_file)
