"""What the warehouse knows of payments counts, too: a journal may be lost, or older than what it paid."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from qc_assets.registry.model_registry import Registry
from qc_assets.serving.app import create_app
from qc_assets.serving.importing import bring_in
from qc_assets.serving.payout_audit import audit_payouts
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse
from tests.conftest import copy_of
from tests.serving.conftest import open_tasks
from tests.serving.test_payouts_rest_on_facts import pay


@pytest.fixture
def home(small_home: Settings, tmp_path: Path) -> Settings:
    settings = copy_of(small_home, tmp_path)
    with Warehouse.from_settings(settings).write() as connection:  # so few rows cannot judge its p0
        connection.execute("UPDATE ml.gates SET passed = true WHERE model = 'p0'")
    return settings


@contextmanager
def server_of(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        yield client


def imported(settings: Settings) -> None:
    bring_in(Warehouse.from_settings(settings), settings.journal_file, keep_days=900)


def remove_journal(settings: Settings) -> None:
    for path in settings.journal_file.parent.glob("journal.db*"):
        path.unlink()


def test_what_only_the_warehouse_has_is_shown_corrected_and_not_paid_again(home: Settings) -> None:
    first, second = list(open_tasks(home))[:2]
    wish: dict[str, Any] = {"allow_uncertain": True}
    with server_of(home) as client:
        paid = pay(client, first, payout_id="p-1", beta="0.30", **wish).json()
        shown = client.get("/payouts/p-1").json()
        statement = {"told_by": "amy", "fact": "value", "reason": "it was 900"}
        assert client.post("/payouts/p-1/appeal", json=statement).json() == {"payout": "p-1", "state": "open"}
    imported(home)
    remove_journal(home)
    with server_of(home) as client:
        again = pay(client, first, payout_id="other", **wish)
        assert again.status_code == 409 and "GET /payouts/p-1" in again.json()["detail"]
        same = pay(client, first, payout_id="p-1", value="1000.00", beta="0.3", **wish)
        assert same.status_code == 200 and set(same.json()) == set(paid)
        numbers = ("d1", "p0", "beta", "value", "d1_lower", "d1_upper")
        assert [float(same.json()[name]) for name in numbers] == [float(paid[name]) for name in numbers]
        taken = pay(client, second, payout_id="p-1", **wish)
        assert taken.status_code == 409 and "was used for another request" in taken.json()["detail"]
        known = client.get("/payouts/p-1").json()
        as_written = ("features", "reasons", "differences", "model_hash", "snapshot", "asked_at", "hash")
        assert {name: known[name] for name in as_written} == {name: shown[name] for name in as_written}
        assert client.post("/payouts/p-1/appeal", json=statement).status_code == 409, "one is open"
        verdict = {"state": "upheld", "told_by": "bob", "reason": "it was"}
        assert client.post("/payouts/p-1/settle", json=verdict).json()["state"] == "upheld"
        assert [each["state"] for each in client.get("/payouts/p-1").json()["appeals"]] == ["open", "upheld"]
        imported(home)
        assert [each["state"] for each in client.get("/payouts/p-1").json()["appeals"]] == ["open", "upheld"]
        wrong = pay(client, first, replaces="p-0", correction="no", **wish)
        assert wrong.status_code == 409 and "its payout is 'p-1'" in wrong.json()["detail"]
        corrected = pay(client, first, value="900", replaces="p-1", correction="it was 900", payout_id="p-2", **wish)
        assert corrected.status_code == 200 and float(corrected.json()["p0"]) == float(paid["p0"])
        assert client.get("/payouts/p-1").json()["replaced_by"] == "p-2"
        twice = pay(client, first, replaces="p-1", correction="once more", **wish)
        assert twice.status_code == 409 and "its payout is 'p-2'" in twice.json()["detail"]
    audit = audit_payouts(Warehouse.from_settings(home), Registry.from_settings(home), home.journal_file)
    assert audit.troubles == ()


def test_of_two_that_know_a_payment_the_later_is_what_stands(home: Settings) -> None:
    """An older journal was put back: it has the payment, and the warehouse its correction."""
    task = next(open_tasks(home))
    wish: dict[str, Any] = {"allow_uncertain": True}
    with server_of(home) as client:
        pay(client, task, payout_id="p-1", **wish)
    kept = {path: path.read_bytes() for path in home.journal_file.parent.glob("journal.db*")}
    with server_of(home) as client:
        assert pay(client, task, replaces="p-1", correction="x", payout_id="p-2", **wish).status_code == 200
    imported(home)
    remove_journal(home)
    for path, content in kept.items():
        path.write_bytes(content)
    with server_of(home) as client:
        refused = pay(client, task, replaces="p-1", correction="y", payout_id="p-3", **wish)
        assert refused.status_code == 409 and "its payout is 'p-2'" in refused.json()["detail"]
        assert pay(client, task, replaces="p-2", correction="y", payout_id="p-3", **wish).status_code == 200


def test_an_audit_sees_a_task_that_a_lost_journal_paid_for_before(home: Settings) -> None:
    task = next(open_tasks(home))
    for payout_id in ("p-1", "p-2"):
        with server_of(home) as client:
            assert pay(client, task, payout_id=payout_id, allow_uncertain=True).status_code == 200
        if payout_id == "p-1":
            kept = {path: path.read_bytes() for path in home.journal_file.parent.glob("journal.db*")}
            remove_journal(home)
            home.payment_note.unlink()  # as it was before there was one
    (home.journal_file.with_name("second.db")).write_bytes(home.journal_file.read_bytes())
    remove_journal(home)
    for path, content in kept.items():
        path.write_bytes(content)
    imported(home)
    audit = audit_payouts(
        Warehouse.from_settings(home), Registry.from_settings(home), home.journal_file.with_name("second.db")
    )
    assert any("had been paid for by p-1" in trouble for trouble in audit.troubles)
