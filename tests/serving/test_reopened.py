"""A pull request that is opened again is open: what it was closed with is no verdict any more."""

from contextlib import closing
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from qc_assets.serving.importing import bring_in
from qc_assets.serving.journal import Journal
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.serving.conftest import DECIDABLE
from tests.serving.test_importing import paid
from tests.serving.test_payable_tasks import AT, asked, shop, shown
from tests.serving.test_payouts_rest_on_facts import pay
from tests.serving.test_webhook import deliver

__all__ = ["shop"]


def reviewed(client: TestClient, number: int, state: str, minute: int) -> None:
    times = {"created_at": AT.format(0), "updated_at": AT.format(minute)}
    pull_request = {"number": number, "user": {"id": 99, "login": "newbie"}, "title": "Add a cache", **times}
    review = {"id": number * 100 + minute, "state": state, "submitted_at": AT.format(minute)}
    payload: dict[str, Any] = {"action": "submitted", "repository": {"id": 4_711, "full_name": "fresh/one"}}
    payload |= {"pull_request": pull_request, "review": review | {"user": {"id": 7, "login": "boss"}}}
    assert deliver(client, "pull_request_review", payload).json()["status"] == "recorded"


def closed(client: TestClient, number: int, minute: int, *, merged: bool = False) -> None:
    times = {"closed_at": AT.format(minute), "merged_at": AT.format(minute) if merged else None}
    assert shown(client, number, "closed", minute, **times)["status"] == "recorded"


def test_what_is_reopened_is_open_until_it_ends_again(shop: TestClient) -> None:
    shown(shop, 31)
    closed(shop, 31, 1)
    assert "it failed on 2026-01-01, as a delivery said" in asked(shop, 31).json()["detail"]
    assert shown(shop, 31, "reopened", 2)["status"] == "recorded"
    assert asked(shop, 31, payout_id="open again").status_code == 200
    for number in (32, 33):
        shown(shop, number)
        closed(shop, number, 1)
        shown(shop, number, "reopened", 2)
    reviewed(shop, 32, "approved", 3)
    closed(shop, 33, 4, merged=True)
    for number in (32, 33):
        assert "it passed on 2026-01-01" in asked(shop, number).json()["detail"]


def test_a_delivered_reopening_is_newer_than_what_the_warehouse_closed_and_no_newer_than_a_review(
    shop: TestClient,
) -> None:
    serving = shop.app.state.serving  # type: ignore[attr-defined]
    of_closed = f"{DECIDABLE} AND NOT f.passed AND f.passed_by = 'forge' AND f.decided_by_verdict = {{}} LIMIT 1"
    for is_verdict, expected in ((False, ""), (True, "it failed, as the warehouse knows")):
        (known,) = serving.store.query(of_closed.format(is_verdict)).to_dicts()
        assert "it failed, as the warehouse knows" in pay(shop, known).json()["detail"]
        repo, _, number = known["task_id"].partition("#")
        shown(shop, int(number), "reopened", 2, repo=repo, repo_id=None, user={"login": known["worker_id"]})
        answer = pay(shop, known, allow_uncertain=True, allow_outdated=True)
        assert expected in answer.json().get("detail", "") and answer.status_code == (409 if expected else 200)


def test_the_report_follows_a_reopening_wherever_it_was_seen(warehouse: Warehouse, tmp_path: Path) -> None:
    at = "2026-01-0{}T00:00:00"
    with closing(Journal(tmp_path / "journal.db")) as journal:
        for number, reopened, again in ((1, None, None), (2, at.format(3), None), (3, at.format(3), True), (4, 0, 0)):
            task = {"task_id": f"a/b#{number}", "repo_id": 1, "number": number}
            events: list[tuple[str, bool | None, str]] = [("closed:x", False, at.format(2))]
            events += [("reopened:x", None, reopened)] if reopened else []
            events += [("review:5", again, at.format(4))] if again is not None and reopened else []
            for event, passed, decided_at in events:
                document = task | {"event": event, "passed": passed, "decided_at": decided_at}
                journal.write("outcome", document, written_at=at.format(5), key=f"1:{number}:{event}")
            journal.write("payout", paid(**task, payout_id=f"p{number}"), written_at=at.format(1))
    opened = [
        {"repo_id": 1, "number": number, "author_id": 5, "created_at": at.format(1), "state": "open",
         "updated_at": at.format(9)} for number in (4, 5)
    ]  # fmt: skip
    with warehouse.write() as connection:
        histories.put(connection, {"pull_requests": opened})
    bring_in(warehouse, tmp_path / "journal.db", keep_days=900)
    histories.make_features(warehouse)
    warehouse.rebuild("reports/payouts")
    rows = warehouse.query("SELECT payout_id, passed FROM reports.payouts ORDER BY payout_id").rows()
    assert rows == [("p1", False), ("p2", None), ("p3", True), ("p4", None)]
