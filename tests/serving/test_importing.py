"""The journal in the warehouse: everything once, feedback as ground truth, payouts computed again."""

from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc_assets.serving.importing import Imported, bring_in
from qc_assets.serving.journal import Journal
from qc_assets.serving.journal_reader import Place
from qc_assets.serving.payouts import payout
from qc_assets.store.warehouse import Warehouse
from tests import histories

NOW = datetime(2026, 3, 1)


def prediction(number: int = 1, **changes: Any) -> dict[str, Any]:
    said = {"model": "p0", "version": 3, "task_id": f"a/b#{number}", "worker_id": "amy", "repo_id": 1, "number": number,
            "comment_id": 0, "opened_at": None, "as_of": "2026-02-28T00:00:00", "prediction": 0.25, "lower": None,
            "upper": None, "answer": "failed", "latency_ms": 1.5, "request": {"lines_changed": 3},
            "features": {"commits": 1}}  # fmt: skip
    return said | changes


def paid(**changes: Any) -> dict[str, Any]:
    audit = {"task_id": "a/b#1", "worker_id": "amy", "d1": "62.50", "beta": "0.25", "p0": "0.250000", "value": "1000"}
    audit |= {"model_version": "3", "is_synthetic": False, "payout_id": None, "repo_id": 1, "number": 1}
    return audit | {"request": {}, "features": {}, "allowed": ["uncertain"], "refused": None} | changes


def given_feedback(identity: str, label: str, at: str, **changes: Any) -> dict[str, Any]:
    said = {"feedback_id": identity, "model": "p0", "kind": "outcome", "repo_id": 1, "number": 1, "comment_id": 0}
    return said | {"label": label, "reason": None, "given_by": "amy", "given_at": at} | changes


def fill(path: Place, opened: Callable[..., Journal] | None = None, at: str = "2026-02-28T12:00:00") -> None:
    journal = opened() if opened else Journal(path)
    journal.record("prediction", [prediction(n) for n in range(1, 4)], written_at=at)
    journal.write("payout", paid(), written_at=at)
    ends = {"p0_lower": "0.200000", "p0_upper": "0.310000", "d1_lower": "50.00", "d1_upper": "77.50"}
    journal.write("payout", paid(d1=None, refused="UNCERTAIN", **ends), written_at=at)
    journal.write("feedback", given_feedback("f", "passed", at), written_at=at, key="f")
    outcome = {"task_id": "a/b#1", "event": "review:1", "passed": False, "decided_at": at}
    journal.write("outcome", outcome, written_at=at, key="a/b#1:review:1")
    closing = {"repo_id": 7, "number": 2, "closed_at": at, "state_reason": "not_planned", "task_id": "a/b#2"}
    closing |= {"closed_by_id": 5, "closed_by_login": "amy", "closed_by_is_bot": False}
    closing |= {"received_key": "QC_WEBHOOK_SECRET", "received_from": "::1"}
    journal.write("closing", closing, written_at=at, key=f"7:2:{at}")
    journal.close()


def test_everything_comes_in_once(warehouse: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    assert bring_in(warehouse, path, keep_days=9) == Imported(), "no server has run yet"
    fill(path)
    assert bring_in(warehouse, path, keep_days=9, now=NOW) == Imported(3, 1, 1, 2, closings=1)
    assert bring_in(warehouse, path, keep_days=9, now=NOW) == Imported()
    journal = Journal(path)
    journal.record("prediction", [prediction(9)], written_at="2026-02-28T13:00:00")
    journal.close()
    assert bring_in(warehouse, path, keep_days=9, now=NOW).predictions == 1
    rows = warehouse.query("FROM ml.predictions ORDER BY number").to_dicts()
    assert [row["number"] for row in rows] == [1, 2, 3, 9] and {row["role"] for row in rows} == {"served"}
    assert rows[0]["inputs"] == '{"request": {"lines_changed": 3}, "features": {"commits": 1}}'
    assert rows[0]["opened_at"] == rows[0]["predicted_at"] == datetime(2026, 2, 28, 12)
    assert warehouse.query("SELECT d1, refused, allowed FROM ml.payouts ORDER BY d1").rows() == [
        (Decimal("62.50"), None, ["uncertain"]), (None, "UNCERTAIN", ["uncertain"]),
    ]  # fmt: skip
    assert warehouse.query("SELECT repo, number, passed FROM ml.outcomes").rows() == [("a/b", 1, False)]
    assert warehouse.query("FROM ml.closings").rows() == [
        (7, 2, datetime(2026, 2, 28, 12), "not_planned", 5, "amy", False, "QC_WEBHOOK_SECRET", "::1")
    ]


@pytest.mark.parametrize("with_counter", [False, True])
def test_a_journal_that_was_put_back_loses_no_new_entry_and_says_what_is_missing(
    warehouse: Warehouse, tmp_path: Path, with_counter: bool
) -> None:
    """Its numbers would come again, and the import would take new entries for those that it has."""
    path, counter = tmp_path / "journal.db", tmp_path / "journal.db.accepted"
    fill(path)
    copy, counted = path.read_bytes(), counter.read_bytes()
    for number in (7, 8):
        with closing(Journal(path)) as journal:
            journal.record("prediction", [prediction(number)] * 5, written_at="2026-02-28T13:00:00")
    assert bring_in(warehouse, path, keep_days=9, now=NOW).predictions == 13
    path.write_bytes(copy)
    if with_counter:
        counter.write_bytes(counted)
    with closing(Journal(path)) as journal:
        assert journal.doubt == "" if with_counter else "are of different times" in journal.doubt
        assert journal.lost == 0
        journal.record("prediction", [prediction(9)], written_at="2026-02-28T14:00:00")
        journal.write("payout", paid(), written_at="2026-02-28T14:00:00", key="p")
    again = bring_in(warehouse, path, keep_days=9, now=NOW)
    assert (again.predictions, again.payouts) == (1, 1)
    assert sum("an older copy was put back" in doubt for doubt in again.doubts) == 1
    assert len(bring_in(warehouse, path, keep_days=9, now=NOW).doubts) == len(again.doubts), "said once"
    assert warehouse.query("SELECT count(*) FROM ml.predictions").item() == 14


def test_a_failed_import_leaves_nothing_half_done(warehouse: Warehouse, tmp_path: Path) -> None:
    with warehouse.write():
        pass
    path = tmp_path / "journal.db"
    fill(path)
    journal = Journal(path)
    journal.write("payout", paid(d1="lots"), written_at="2026-02-28T13:00:00")
    journal.close()
    with pytest.raises(duckdb.Error, match="lots"):
        bring_in(warehouse, path, keep_days=9)
    assert warehouse.query("SELECT count(*) FROM ml.predictions").item() == 0
    assert warehouse.query("SELECT count(*) FROM ops.journal_imports").item() == 0


def test_the_newest_feedback_is_the_label_and_predictions_never_are(warehouse: Warehouse, tmp_path: Path) -> None:
    def opened(number: int, **changes: Any) -> dict[str, Any]:
        row = {"repo_id": 1, "number": number, "author_id": 5, "created_at": histories.hour(number)}
        return row | {"opened_title": "t", "opened_body": "", "opened_additions": 50, "opened_deletions": 0} | changes

    rows = [opened(1, closed_at=histories.hour(9), merged_at=histories.hour(9)), opened(2), opened(3)]
    issues = [{"repo_id": 1, "number": n, "author_id": 5, "created_at": histories.hour(n), "opened_title": "t"}
              for n in (11, 12)]  # fmt: skip
    path = tmp_path / "journal.db"
    journal = Journal(path)
    for one in (
        given_feedback("z", "passed", "2026-02-02T00:00:00", received_key="amy"),
        given_feedback("a", "failed", "2026-02-02T00:00:00", received_key="amy"),  # of the same instant, it came later
        given_feedback("a2", "failed", "2026-02-02T00:00:00", received_key="bob"),
        given_feedback("b", "passed", "2026-02-01T00:00:00", received_key="amy"),  # older, though it came later
        given_feedback("c", "passed", "2026-02-03T00:00:00", number=2),
        given_feedback("d", "careful_review", "2026-02-03T00:00:00", number=3, kind="override"),
        given_feedback("e", "open", "2026-02-03T00:00:00", number=11, model="close_in_7_days"),
        given_feedback("f", "12.5", "2026-02-03T00:00:00", number=12, model="resolution_time"),
    ):
        journal.write("feedback", one, written_at="2026-02-04T00:00:00", key=one["feedback_id"])
    journal.record("prediction", [prediction(3, answer="passed", prediction=0.99)], written_at="2026-02-04T00:00:00")
    journal.close()
    with warehouse.write() as connection:
        histories.put(connection, {"pull_requests": rows, "issues": issues})
        histories.cover(connection)
    bring_in(warehouse, path, keep_days=9)
    histories.make_features(warehouse)
    found = warehouse.query(
        "SELECT passed, exclusion, author_prior_merged FROM features.pull_requests ORDER BY number"
    ).rows()
    assert [passed for passed, _, _ in found] == [False, True, None]
    assert [exclusion for _, exclusion, _ in found] == [None, None, "undecided"]
    closing = warehouse.query("SELECT closed_in_7_days, resolution_hours FROM features.issues ORDER BY number").rows()
    assert closing[0][0] is False and closing[1][1] == 12.5


@pytest.fixture(scope="module")
def sql_payout(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Decimal]:
    connection = Warehouse(tmp_path_factory.mktemp("payout") / "qc.duckdb").scratch()

    def compute(*factors: Decimal) -> Decimal:
        row = connection.execute("SELECT payout($1, $2, $3)", [str(one) for one in factors]).fetchone()
        assert row is not None
        return row[0]

    return compute


@settings(max_examples=300)
@given(p0=st.floats(0, 1), value=st.decimals(0, 10**13, places=6), beta=st.decimals("0", "1", places=6))
def test_sql_and_python_pay_the_same_cent(
    sql_payout: Callable[..., Decimal], p0: float, value: Decimal, beta: Decimal
) -> None:
    ours = payout(p0, value, beta)
    assert sql_payout(ours.beta, ours.p0, ours.value) == ours.amount


def test_halves_are_rounded_alike(sql_payout: Callable[..., Decimal]) -> None:
    for value, amount in (("1.00", "0.12"), ("3.00", "0.38"), ("99999999999999.98", "12500000000000.00")):
        assert sql_payout(Decimal("0.25"), Decimal("0.5"), Decimal(value)) == Decimal(amount)
        assert payout(0.5, value, "0.25").amount == Decimal(amount)


def test_the_report_finds_a_payout_that_does_not_add_up(warehouse: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    fill(path)
    journal = Journal(path)
    journal.write("payout", paid(d1="62.51"), written_at="2026-02-28T13:00:00")
    journal.close()
    bring_in(warehouse, path, keep_days=9)
    histories.make_features(warehouse)
    warehouse.rebuild("reports/payouts")
    rows = warehouse.query("SELECT d1, recomputed_d1, adds_up, passed FROM reports.payouts ORDER BY d1").rows()
    ends = warehouse.query("SELECT p0_lower, p0_upper, d1_lower, d1_upper FROM reports.payouts ORDER BY d1").rows()
    nothing = (None,) * 4  # as an older server wrote it
    assert ends == [nothing, nothing, tuple(map(Decimal, ("0.200000", "0.310000", "50.00", "77.50")))]
    right = Decimal("62.50")
    assert rows == [(right, right, True, False), (Decimal("62.51"), right, False, False), (None, right, True, False)]
