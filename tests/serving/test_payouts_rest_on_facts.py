"""What is known of a task decides what is paid for it, once; whatever the caller says."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from qc_assets.serving import journal_reader
from qc_assets.serving.callers import CALLER, Caller
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse
from tests.serving.conftest import DECIDABLE
from tests.serving.test_serving_app import FACTS


def pay(api: TestClient, task: dict[str, Any], claims: dict[str, Any] | None = None, **more: Any) -> Any:
    facts = {name: task[name] for name in ("task_id", "worker_id")} | (claims or {})
    return api.post("/payout", json={"facts": facts, "value": "1000"} | more)


def newest(settings: Settings) -> dict[str, Any]:
    return journal_reader.latest(settings.journal_file, ["payout"], 1)[0]["document"]


def test_what_is_claimed_against_the_facts_is_refused_with_both_values(
    api: TestClient, serving_settings: Settings, task: dict[str, Any]
) -> None:
    for name, claimed in (
        ("lines_changed", 12), ("files_changed", task["files_changed"] + 1), ("title_length", 1),
        ("worker_id", "dev-x"), ("worker_pass_rate", 1.0), ("worker_prior_tasks", 500), ("body_length", 10**6),
    ):  # fmt: skip
        answer = pay(api, task, {name: claimed}, allow_uncertain=True, allow_outdated=True)
        assert answer.status_code == 409, name
        (told,) = answer.json()["contradictions"]
        assert (told["fact"], told["claimed"]) == (name, claimed) and told["known"] != claimed
        assert newest(serving_settings)["refused"] == answer.json()["detail"]
    honest = pay(api, task, {name: task[name] for name in ("lines_changed", "files_changed", "title_length")})
    assert honest.status_code == 200 and honest.json()["facts_from"] == "warehouse" and honest.json()["claimed"] == []
    assert newest(serving_settings)["features"]["author_pass_rate"] == task["author_pass_rate"]


@pytest.mark.parametrize("task_id", ["acme/atlas#99999", "no/such#1", "x", "https://github.com/acme/atlas/pull/7"])
def test_what_nobody_knows_is_not_paid_for_unless_claims_are_flagged(
    api: TestClient, serving_settings: Settings, monkeypatch: pytest.MonkeyPatch, task_id: str
) -> None:
    claims = FACTS | {"task_id": task_id, "worker_id": "nobody-knows", "lines_changed": 12, "worker_pass_rate": 0.99}
    refused = pay(api, claims, claims)
    assert refused.status_code == 409 and "nobody but the caller says" in refused.json()["detail"]
    assert {"task_id", "lines_changed"} <= set(newest(serving_settings)["claimed"])
    monkeypatch.setattr(api.app.state.serving.settings, "payout_claims", "flag")  # type: ignore[attr-defined]
    paid = pay(api, claims, claims)
    assert paid.status_code == 200 and paid.json()["facts_from"] == "claims" and "task_id" in paid.json()["claimed"]
    for other in (task_id.upper(), f" {task_id} ", task_id.replace("#", "#000")):
        assert pay(api, claims, claims | {"task_id": other}, payout_id=f"other {other}").status_code == 409, other


def test_a_task_is_paid_for_once_whatever_the_identity(
    api: TestClient, serving_settings: Settings, task: dict[str, Any]
) -> None:
    names = [task["task_id"], task["task_id"].upper(), task["task_id"].replace("#", "#0")]

    def ask(number: int) -> int:
        identity = "the same" if number % 2 else f"race-{number}"
        return pay(api, task, {"task_id": names[number % 3]}, payout_id=identity, value=str(100 + number)).status_code

    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(ask, range(30)))
    assert statuses.count(200) == 1 and statuses.count(409) == 29
    paid = journal_reader.of_task(serving_settings.journal_file, "payout", [name.lower() for name in names])
    assert sum(entry["document"]["refused"] is None for entry in paid) == 1


def test_a_verdict_that_is_known_is_no_prediction(api: TestClient, serving_settings: Settings) -> None:
    rows = Warehouse.from_settings(serving_settings).query(f"{DECIDABLE} AND f.passed = false LIMIT 1").to_dicts()
    for known in rows:
        answer = pay(api, known, allow_uncertain=True, allow_outdated=True)
        assert answer.status_code == 409 and "it failed, as the warehouse knows" in answer.json()["detail"]


def test_a_signed_delivery_says_how_it_ended_and_what_it_was(
    api: TestClient, serving_settings: Settings, task: dict[str, Any]
) -> None:
    journal = api.app.state.serving.journal  # type: ignore[attr-defined]
    outcome = {"event": "review:1", "passed": False, "decided_at": "2026-01-01T00:00:00"}
    journal.write("outcome", outcome | {"task_id": task["task_id"]}, written_at="2026-01-01T00:00:00", key="o-1")
    assert "as a delivery said" in pay(api, task).json()["detail"]
    opened = {"task_id": "Acme/Atlas#77777", "worker_id": "dev-00001", "event": "pull_request.opened"}
    opened["opening"] = {"additions": 900, "deletions": 1, "changed_files": 9, "commits": 1}  # type: ignore[assignment]
    entry = {"task_id": opened["task_id"], "worker_id": "dev-00001", "opened_at": "2024-08-01T00:00:00", "model": "p0"}
    features = newest(serving_settings)["features"] | {"log_lines": 6.8, "files_changed": 9}
    document = entry | {"request": opened, "features": features, "version": 1, "prediction": 0.5}
    journal.write("prediction", document, written_at="2026-01-01T00:00:00", key="delivery-1")
    known = {"task_id": "acme/atlas#77777", "worker_id": "dev-00001"}
    refused = pay(api, known, {"lines_changed": 12}).json()
    assert refused["contradictions"] == [{"fact": "lines_changed", "claimed": 12, "known": 901}]
    other = pay(api, known, {"worker_id": "dev-00002"}).json()
    assert other["contradictions"][0]["known"] == "dev-00001"
    assert newest(serving_settings)["facts_from"] == "delivery" and not newest(serving_settings)["claimed"]


def test_nobody_is_paid_by_a_model_whose_check_is_red(
    api: TestClient, serving_settings: Settings, task: dict[str, Any]
) -> None:
    store = Warehouse.from_settings(serving_settings)
    with store.write() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO ml.checks VALUES ('p0', 'p0_holds', 1, false, true, 'off by .3', now()), "
            "('p0', 'p0_inputs_are_stable', 1, false, false, 'moved', now()), "
            "('p0', 'p0_other', 7, false, true, 'of another version', now())"
        )
    refused = pay(api, task, allow_uncertain=True, allow_outdated=True)
    assert refused.status_code == 409 and "p0_holds (off by .3)" in refused.json()["detail"]
    assert "stable" not in refused.json()["detail"] and "another version" not in refused.json()["detail"]
    with store.write() as connection:
        connection.execute("DELETE FROM ml.checks")
    assert pay(api, task).status_code == 200


def test_beta_and_value_have_bounds(api: TestClient, task: dict[str, Any]) -> None:
    assert "QC_PAYOUT_BETA_MAX" in pay(api, task, beta="1").json()["detail"]
    assert "QC_PAYOUT_VALUE_MAX" in pay(api, task, value="100000.01").json()["detail"]
    for value in ("-0", "-0.0", -0.0, "\u0661\u0662", "1_000", "1e3", " 1", "+1", True):
        assert pay(api, task, value=value).status_code == 422, value


def test_a_payout_can_be_looked_up_contested_settled_and_corrected(
    api: TestClient, serving_settings: Settings, task: dict[str, Any]
) -> None:
    asked = {"payout_id": "2024/07 \u00e9"}
    first = pay(api, task, **asked)
    assert first.status_code == 200
    assert first.json()["beta"] == str(serving_settings.payout_beta)
    before = journal_reader.latest(serving_settings.journal_file, ["payout"], 1)[0]["number"]
    assert pay(api, task, payout_id=" 2024/07 e\u0301 ", value="1000.00").json() == first.json(), "the same"
    assert journal_reader.latest(serving_settings.journal_file, ["payout"], 1)[0]["number"] == before
    other = pay(api, task, payout_id="2024/07 \u00e9", value="1001")
    assert other.status_code == 409 and "give each payout an id of its own" in other.json()["detail"]
    shown = api.get("/payouts/2024/07 \u00e9").json()
    assert shown["d1"] == first.json()["d1"] and len(shown["reasons"]) == 3 and len(shown["model_hash"]) == 64
    assert shown["snapshot"] and shown["run_id"] and shown["hash"] and shown["differences"]
    place = "/payouts/2024/07 \u00e9"
    statement = {"told_by": "amy", "fact": "lines_changed", "reason": "generated"}
    assert api.post(f"{place}/settle", json={"state": "upheld", "told_by": "bob", "reason": "r"}).status_code == 409
    assert api.post(f"{place}/appeal", json=statement).json() == {"payout": "2024/07 \u00e9", "state": "open"}
    assert api.post(f"{place}/appeal", json=statement).status_code == 409
    assert api.post("/payouts/none/appeal", json=statement).status_code == 404
    settled = api.post(f"{place}/settle", json={"state": "upheld", "told_by": "bob", "reason": "they are"})
    assert settled.json()["state"] == "upheld"
    assert pay(api, task, replaces="another", correction="x").status_code == 409
    assert pay(api, task, replaces=asked["payout_id"]).status_code == 422, "a correction says why"
    corrected = pay(api, task, value="900", replaces=asked["payout_id"], correction="fewer lines", payout_id="c-1")
    assert corrected.status_code == 200 and corrected.json()["p0"] == first.json()["p0"]
    shown = api.get(place).json()
    assert shown["replaced_by"] == "c-1" and [each["state"] for each in shown["appeals"]] == ["open", "upheld"]
    assert pay(api, task, replaces=asked["payout_id"], correction="again").status_code == 409, "c-1 is what stands"
    listed = api.get("/payouts", params={"limit": 1}).json()
    assert listed["payouts"][0]["id"] == "c-1"
    assert api.get("/payouts", params={"limit": 1, "before": listed["next_before"]}).json()["payouts"]
    assert api.get("/payouts/none").status_code == 404
    assert journal_reader.broken_links(serving_settings.journal_file) == []


def test_only_who_may_settle_pays_what_is_uncertain_or_corrects(api: TestClient, task: dict[str, Any]) -> None:
    from qc_assets.serving import appeals, cashier
    from qc_assets.serving.callers import ForbiddenError
    from qc_assets.serving.payouts import PayoutRequest

    serving = api.app.state.serving  # type: ignore[attr-defined]
    facts = {name: task[name] for name in ("task_id", "worker_id")}
    token = CALLER.set(Caller("payer", "127.0.0.1", frozenset({"payout"})))
    try:
        for wish in ({"allow_uncertain": True}, {"allow_outdated": True}, {"replaces": "x", "correction": "y"}):
            order = PayoutRequest.model_validate({"facts": facts, "value": "1", **wish})
            with pytest.raises(ForbiddenError, match="needs a key with the right 'settle'"):
                cashier.make_payout(serving, order)
        with pytest.raises(ForbiddenError):
            appeals.settle(serving, "x", appeals.Settlement(state="upheld", told_by="b", reason="r"))
        paid = cashier.make_payout(serving, PayoutRequest.model_validate({"facts": facts, "value": "1"}))
    finally:
        CALLER.reset(token)
    assert api.get(f"/payouts/{paid.id}").json()["received_key"] == "payer"
