"""Payouts are made once and only when they may; feedback is checked, counts once, and is kept apart."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient

from qc_assets.serving import cashier, journal_reader
from qc_assets.settings import Settings
from tests.serving.test_payouts_rest_on_facts import newest, pay
from tests.serving.test_serving_app import FACTS


def test_a_payout_is_decimal_and_says_what_it_was_computed_from(
    api: TestClient, serving_settings: Settings, task: dict[str, Any]
) -> None:
    answer = pay(api, task, value="1000.00", beta="0.3").json()
    assert Decimal(answer["d1"]) == (Decimal("300") * Decimal(answer["p0"])).quantize(Decimal("0.01"))
    assert all(isinstance(answer[name], str) for name in ("d1", "beta", "p0", "value")) and answer["is_synthetic"]
    for end in ("lower", "upper"):
        at_end = Decimal("300") * Decimal(answer[f"p0_{end}"])
        assert Decimal(answer[f"d1_{end}"]) == at_end.quantize(Decimal("0.01"))
    assert Decimal(answer["d1_lower"]) <= Decimal(answer["d1"]) <= Decimal(answer["d1_upper"])
    audit = newest(serving_settings)
    assert audit["model_version"] == "1" and audit["request"]["facts"]["worker_id"] == task["worker_id"]
    assert audit["features"]["author_pass_rate"] == task["author_pass_rate"] and audit["d1"] == answer["d1"]


@pytest.mark.parametrize(("field", "value"), [
    ("beta", "1.5"), ("beta", "-0.1"), ("value", "-1"), ("value", "NaN"), ("value", "1e30"), ("value", "much"),
    ("p0", "1"),
])  # fmt: skip
def test_nonsense_is_not_paid(api: TestClient, field: str, value: str) -> None:
    answer = api.post("/payout", json={"facts": FACTS, "value": "1", field: value})
    assert answer.status_code == 422 and field in answer.json()["detail"][0]["loc"]


def test_nobody_is_paid_by_an_uncertain_or_outdated_prediction(
    api: TestClient, serving_settings: Settings, task: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = api.app.state.serving  # type: ignore[attr-defined]
    monkeypatch.setattr(cashier, "UNCERTAIN", api.post("/predict/p0", json=_names(task)).json()["answer"])
    refused = pay(api, task, payout_id="even")
    assert refused.status_code == 409 and "allow_uncertain=true" in refused.json()["detail"]
    assert newest(serving_settings)["refused"] == refused.json()["detail"] and newest(serving_settings)["d1"] is None
    monkeypatch.setattr(serving.settings, "model_max_age_days", -1)  # everything is older than that
    refused = pay(api, task, allow_uncertain=True)
    assert refused.status_code == 409 and "was trained on" in refused.json()["detail"]
    monkeypatch.setattr(serving.settings, "source", "github")
    monkeypatch.setattr(serving, "knowledge", replace(serving.knowledge, is_synthetic=False))
    refused = pay(api, task, allow_uncertain=True, allow_outdated=True)
    assert refused.status_code == 409 and "made-up data" in refused.json()["detail"]
    monkeypatch.undo()
    monkeypatch.setattr(serving.settings, "model_max_age_days", -1)
    allowed = pay(api, task, payout_id="even", allow_outdated=True)
    assert allowed.status_code == 200, "a refusal does not use the id up"


def _names(task: dict[str, Any]) -> dict[str, Any]:
    return {name: task[name] for name in ("task_id", "worker_id")}


def feedback(**changes: Any) -> dict[str, Any]:
    given = {"feedback_id": "f-1", "model": "p0", "kind": "outcome", "task_id": "acme/atlas#3", "label": "passed"}
    return given | {"given_by": "amy", "given_at": "2026-01-31T12:00:00+02:00"} | changes


def test_feedback_is_written_down_once(api: TestClient, serving_settings: Settings) -> None:
    assert api.post("/feedback", json=feedback()).json() == {"feedback_id": "f-1", "status": "recorded"}
    assert api.post("/feedback", json=feedback()).json() == {"feedback_id": "f-1", "status": "known"}
    conflict = api.post("/feedback", json=feedback(label="failed"))
    assert conflict.status_code == 409 and "another label" in conflict.json()["detail"]
    (entry,) = [
        one for one in journal_reader.latest(serving_settings.journal_file, ["feedback"], 50) if one["key"] == "f-1"
    ]
    assert entry["document"]["given_at"] == "2026-01-31T10:00:00" and entry["document"]["given_by"] == "amy"
    assert entry["document"]["number"] == 3 and entry["document"]["repo_id"] < 0


@pytest.mark.parametrize(("changes", "what"), [
    ({"label": "maybe"}, "none of passed, failed"),
    ({"model": "resolution_time", "label": "soon"}, "no number of hours"),
    ({"model": "resolution_time", "label": "-3"}, "no number of hours"),
    ({"model": "resolution_time", "label": "nan"}, "no number of hours"),
    ({"kind": "category"}, "there is no category of p0"),
    ({"model": "comment_category", "kind": "category", "label": "functional"}, "needs the comment_id"),
    ({"comment_id": 7}, "has no comment_id"),
    ({"task_id": "acme/atlas"}, "owner/name#number"),
    ({"given_at": "2999-01-01"}, "in the future"),
    ({"given_at": "0001-01-01T00:00:00+14:00"}, "no time that a calendar has"),
    ({"given_by": ""}, "at least 1 character"),
])  # fmt: skip
def test_feedback_that_cannot_be_true_is_refused(api: TestClient, changes: dict[str, Any], what: str) -> None:
    answer = api.post("/feedback", json=feedback(feedback_id="bad", **changes))
    assert answer.status_code == 422 and what in answer.json()["detail"][0]["msg"], answer.text


def test_feedback_of_every_kind_is_taken_and_unknown_repositories_are_not(api: TestClient) -> None:
    for number, changes in enumerate((
        {"model": "close_in_7_days", "label": "open"},
        {"model": "resolution_time", "label": "12.5"},
        {"kind": "override", "label": "careful_review", "reason": "touches payments"},
        {"model": "comment_category", "kind": "category", "label": "discussion", "comment_id": -5},
    )):  # fmt: skip
        answer = api.post("/feedback", json=feedback(feedback_id=f"kind-{number}", **changes))
        assert answer.status_code == 200, answer.text
    unknown = api.post("/feedback", json=feedback(feedback_id="x", task_id="no/where#1"))
    assert unknown.status_code == 404 and "backfill it first" in unknown.json()["detail"]
