"""Whoever was paid by a journal that was put back, lost or replaced is not paid again until a person says so."""

import json
from pathlib import Path
from typing import Any

import pytest

from qc_assets.cli.aftermath import examine_aftermath
from qc_assets.cli.backup import make_backup, restore_backup
from qc_assets.registry.model_registry import Registry
from qc_assets.serving.payout_audit import audit_payouts
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse
from tests.serving.conftest import open_tasks
from tests.serving.test_imported_payouts import home, imported, remove_journal, server_of
from tests.serving.test_payouts_rest_on_facts import pay

__all__ = ["home"]
WISH: dict[str, Any] = {"allow_uncertain": True}
SETTLED = {"told_by": "bob", "reason": "they were asked"}


def kept_files(settings: Settings, pattern: str) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in settings.journal_file.parent.glob(pattern)}


def put_back(settings: Settings, files: dict[Path, bytes], *, remove: str) -> None:
    for path in settings.journal_file.parent.glob(remove):
        path.unlink()
    for path, content in files.items():
        path.write_bytes(content)


def paid_by(settings: Settings, task: dict[str, Any], payout_id: str, **more: Any) -> Any:
    with server_of(settings) as client:
        return pay(client, task, payout_id=payout_id, **WISH, **more)


@pytest.mark.parametrize(("pattern", "remove"), [
    ("journal.db", "journal.db*-*"), ("journal.db", "journal.db*"), ("journal.db*", "journal.db*"),
], ids=["alone", "without its counter", "with its counter"])  # fmt: skip
def test_an_older_journal_pays_nobody_until_somebody_settles_it(home: Settings, pattern: str, remove: str) -> None:
    first, second, third = list(open_tasks(home))[:3]
    assert paid_by(home, first, "p-1").status_code == 200
    older = kept_files(home, pattern)
    assert paid_by(home, second, "p-2").status_code == 200
    put_back(home, older, remove=remove)
    with server_of(home) as client:
        refused = pay(client, second, payout_id="p-3", **WISH)
        assert refused.status_code == 503 and "an older copy of the journal was put back" in refused.json()["detail"]
        assert pay(client, third, **WISH).status_code == 503, "whoever it is"
        assert "put back" in client.get("/health").json()["troubles"]["journal"]
    (finding,) = [one for one in examine_aftermath(home) if one.what == "payments"]
    assert not finding.ok and "POST /payouts/resume" in finding.detail
    audit = audit_payouts(
        Warehouse.from_settings(home), Registry.from_settings(home), *home.journals, note=home.payment_note
    )
    assert any("could be paid again" in trouble for trouble in audit.troubles)
    imported(home)
    assert paid_by(home, third, "p-4").status_code == 503, "an import does not settle it"
    with server_of(home) as client:
        settled = client.post("/payouts/resume", json=SETTLED)
        assert settled.status_code == 200 and "put back" in settled.json()["settled"]
        assert pay(client, third, **WISH).status_code == 200
        assert client.post("/payouts/resume", json=SETTLED).status_code == 409
    imported(home)
    rows = Warehouse.from_settings(home).query("SELECT state, told_by, reason FROM ml.appeals").rows()
    assert rows == [("resumed", "bob", "they were asked")]
    assert not [one for one in examine_aftermath(home) if one.what == "payments"]


def test_a_home_that_was_put_back_as_a_whole_shows_by_its_warehouse_elsewhere(home: Settings) -> None:
    first, second, third = list(open_tasks(home))[:3]
    assert paid_by(home, first, "p-1").status_code == 200
    older, note = kept_files(home, "journal.db*"), home.payment_note.read_bytes()
    assert paid_by(home, second, "p-2").status_code == 200
    imported(home)
    assert paid_by(home, third, "p-3").status_code == 200
    put_back(home, older, remove="journal.db*")
    home.payment_note.write_bytes(note)
    refused = paid_by(home, third, "p-4")
    assert refused.status_code == 503 and "which has it no longer" in refused.json()["detail"]
    with server_of(home) as client:
        assert client.post("/payouts/resume", json=SETTLED).status_code == 200
    assert paid_by(home, third, "p-4").status_code == 200


def test_what_the_warehouse_has_of_the_last_payment_is_enough(home: Settings) -> None:
    first, second = list(open_tasks(home))[:2]
    assert paid_by(home, first, "p-1").status_code == 200
    imported(home)
    remove_journal(home)
    assert paid_by(home, first, "p-2").status_code == 409
    assert paid_by(home, second, "p-3").status_code == 200


def test_a_journal_that_is_lost_or_broken_pays_nobody_until_somebody_settles_it(home: Settings) -> None:
    first, second = list(open_tasks(home))[:2]
    for lose in (remove_journal, lambda settings: settings.journal_file.write_bytes(b"no database at all" * 1000)):
        assert paid_by(home, first, "p-1").status_code == 200
        lose(home)
        if not home.journal_file.exists():
            assert (
                "POST /payouts/resume" in next(one for one in examine_aftermath(home) if one.what == "payments").detail
            )
        refused = paid_by(home, second, "p-2")
        assert refused.status_code == 503 and "the journal is another one" in refused.json()["detail"]
        with server_of(home) as client:
            assert client.post("/payouts/resume", json=SETTLED).status_code == 200


def test_a_home_of_before_there_was_a_note_is_in_doubt_if_its_journal_is(home: Settings) -> None:
    first, second = list(open_tasks(home))[:2]
    assert paid_by(home, first, "p-1").status_code == 200
    older = kept_files(home, "journal.db")
    assert paid_by(home, second, "p-2").status_code == 200
    home.payment_note.unlink()
    put_back(home, older, remove="journal.db-*")
    for _ in range(2):  # the journal itself says so once
        assert paid_by(home, second, "p-3").status_code == 503
    home.payment_note.write_text("{}", encoding="utf-8")
    assert "cannot be read" in paid_by(home, second, "p-3").json()["detail"]


def test_who_may_not_settle_lets_no_payments_go_on(home: Settings) -> None:
    from qc_assets.serving import appeals
    from qc_assets.serving.callers import CALLER, Caller, ForbiddenError

    token = CALLER.set(Caller("payer", "127.0.0.1", frozenset({"payout"})))
    try:
        with server_of(home) as client, pytest.raises(ForbiddenError, match="needs a key with the right 'settle'"):
            appeals.resume(client.app.state.serving, appeals.Resumption(**SETTLED))  # type: ignore[attr-defined]
    finally:
        CALLER.reset(token)


def test_a_restored_home_pays_when_somebody_has_said_so_or_the_last_payment_is_in_it(
    home: Settings, tmp_path: Path
) -> None:
    first, second = list(open_tasks(home))[:2]
    assert paid_by(home, first, "p-1").status_code == 200
    make_backup(home, tmp_path / "copy")
    restore_backup(home, tmp_path / "copy", replace=True)
    assert paid_by(home, second, "p-2").status_code == 200, "nothing was paid in between"
    restore_backup(home, tmp_path / "copy", replace=True)
    assert paid_by(home, second, "p-3").status_code == 503
    moved = home.model_copy(update={"home": tmp_path / "elsewhere", "warehouse": tmp_path / "elsewhere.duckdb"})
    restored = restore_backup(moved, tmp_path / "copy")
    assert "what was paid after that is not in it" in restored["payments"]
    assert "what was paid after that is not in it" in paid_by(moved, second, "p-4").json()["detail"]


def test_every_payment_is_noted_and_no_refusal(home: Settings) -> None:
    task = next(open_tasks(home))
    with server_of(home) as client:
        assert json.loads(home.payment_note.read_text())["number"] == 0
        assert pay(client, task, payout_id="p-1", beta="1", **WISH).status_code == 409
        assert json.loads(home.payment_note.read_text())["number"] == 0
        assert pay(client, task, payout_id="p-1", **WISH).status_code == 200
        assert json.loads(home.payment_note.read_text())["number"] > 0
        assert home.payment_note.stat().st_mode & 0o077 == 0
