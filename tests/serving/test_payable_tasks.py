"""Which tasks are paid for: one task under any spelling or name, and none that p0 is not about."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from qc_assets.serving import journal_reader
from qc_assets.serving.app import create_app
from qc_assets.serving.one_form import normalised, one_task
from qc_assets.serving.payouts import PayoutRequest
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse
from tests.conftest import copy_of
from tests.serving.conftest import open_tasks
from tests.serving.test_payouts_rest_on_facts import pay
from tests.serving.test_webhook import SECRET, deliver

AT = "2026-01-01T00:0{}:00Z"


@pytest.fixture(scope="module")
def shop(small_home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    home = copy_of(small_home, tmp_path_factory.mktemp("shop"))
    settings = Settings(**(home.model_dump() | {"webhook_secret": SECRET, "_env_file": None}))
    with Warehouse.from_settings(settings).write() as connection:  # so few rows cannot judge its p0
        connection.execute("UPDATE ml.gates SET passed = true WHERE model = 'p0'")
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        yield client


def shown(client: TestClient, number: int, action: str = "opened", minute: int = 0, **changes: Any) -> Any:
    """Deliver a pull request of a repository that was never loaded."""
    repository = {"id": changes.pop("repo_id", 4_711), "full_name": changes.pop("repo", "fresh/one")}
    user = {"id": 99, "login": "newbie", "type": changes.pop("kind", "User")}
    sizes = {"additions": 300, "deletions": 4, "changed_files": 5, "commits": 1}
    times = {"created_at": AT.format(0), "updated_at": AT.format(minute)}
    pull_request = {"number": number, "user": user, "title": "Add a cache", **sizes, **times, **changes}
    payload = {"action": action, "repository": repository, "pull_request": pull_request, "sender": {"login": "boss"}}
    answer = deliver(client, "pull_request", payload)
    assert answer.status_code == 200
    return answer.json()


def asked(client: TestClient, number: int, repo: str = "fresh/one", **more: Any) -> Any:
    return pay(client, {"task_id": f"{repo}#{number}", "worker_id": "newbie"}, **{"allow_uncertain": True, **more})


@pytest.mark.parametrize("spelling", [
    "{repo}/pull/{number}", "{repo}/pull/{number}/files#diff-1", "{repo}.git#{number}", "https://demo/{repo}#{number}",
    "demo./{repo}#{number}", "www.demo/{repo}/issues/0{number}?w=1", "DEMO:443/repos/{repo}/pulls/{number}",
])  # fmt: skip
def test_claims_buy_no_second_payment_under_another_spelling(
    shop: TestClient, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    settings = shop.app.state.serving.settings  # type: ignore[attr-defined]
    monkeypatch.setattr(settings, "payout_claims", "flag")
    task = next(open_tasks(settings))
    pay(shop, task, payout_id="first", allow_uncertain=True)
    repo, _, number = task["task_id"].partition("#")
    again = pay(shop, task, {"task_id": spelling.format(repo=repo, number=number)}, allow_uncertain=True)
    assert again.status_code == 409 and "GET /payouts/first" in again.json()["detail"]


@pytest.mark.parametrize("text", [
    "a/b# 7", "a/b#+7", "a/b#7.0", "a/b!7", "a//b#7", "a/b#7#7", "a/./b#7", "../b#7", "a/b/c/d#7", "x#7", "a\\b", "#7",
    "a/b%237", "h:99999999/a/b#7",
])  # fmt: skip
def test_what_is_nearly_a_tasks_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"owner/name#number|Port"):
        one_task(text)
    with pytest.raises(ValueError, match="task_id"):
        PayoutRequest.model_validate({"facts": {"task_id": text, "worker_id": "amy"}, "value": "1"})


@given(st.text(st.sampled_from("ab/#.:7 0\\?@-_Aé"), min_size=1, max_size=20))
def test_a_name_in_its_one_form_stays(text: str) -> None:
    try:
        once = one_task(normalised(text))
    except ValueError:
        return
    assert one_task(once) == once and (once == normalised(text) or "#" in once)


def test_a_repository_that_is_renamed_before_it_is_loaded_is_paid_for_once(shop: TestClient) -> None:
    shown(shop, 1)
    first = asked(shop, 1, payout_id="before")
    assert first.status_code == 200 and first.json()["facts_from"] == "delivery"
    shown(shop, 1, "ready_for_review", 3, repo="fresh/renamed")
    again = asked(shop, 1, "fresh/renamed", payout_id="after")
    assert again.status_code == 409 and "GET /payouts/before" in again.json()["detail"]


def test_a_name_that_another_repository_has_now_is_another_task(shop: TestClient) -> None:
    serving = shop.app.state.serving  # type: ignore[attr-defined]
    task = list(open_tasks(serving.settings))[1]
    paid = {"task_id": task["task_id"], "refused": None, "repo_id": 5, "number": 1, "id": "of-the-one-before"}
    serving.journal.write("payout", paid, written_at="2025-01-01T00:00:00", key="of-the-one-before")
    assert pay(shop, task, allow_uncertain=True).status_code == 200
    assert pay(shop, task, payout_id="twice", allow_uncertain=True).status_code == 409


def test_the_first_sight_of_an_opening_counts_and_not_the_best(shop: TestClient) -> None:
    shown(shop, 2, additions=900)
    shown(shop, 2, "converted_to_draft", 1, draft=True, additions=12)
    assert "it is a draft" in asked(shop, 2).json()["detail"]
    shown(shop, 2, "ready_for_review", 2, additions=12)
    (told,) = asked(shop, 2, claims={"lines_changed": 16}).json()["contradictions"]
    assert told == {"fact": "lines_changed", "claimed": 16, "known": 904}
    assert asked(shop, 2).status_code == 200


def test_drafts_and_automations_are_not_paid_for(shop: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = shop.app.state.serving  # type: ignore[attr-defined]
    monkeypatch.setattr(serving.settings, "payout_claims", "flag")
    repo = next(open_tasks(serving.settings))["task_id"].partition("#")[0]
    shown(shop, 90_003, draft=True, repo=repo, repo_id=None)
    assert "it is a draft" in asked(shop, 90_003, repo, claims={"lines_changed": 200}).json()["detail"]
    query = (
        "SELECT r.name || '#' || p.number AS task_id, p.author_login AS worker_id FROM features.pull_requests AS f "
        "JOIN raw.pull_requests AS p USING (repo_id, number) JOIN raw.repositories AS r USING (repo_id) "
        "WHERE f.passed IS NULL AND f.origin = 'automation' AND p.closed_at IS NULL"
    )
    for task in serving.store.query(query).to_dicts():
        refused = pay(shop, task, allow_uncertain=True)
        assert refused.status_code == 409 and "an automation made it" in refused.json()["detail"]


def test_who_may_settle_decides_on_what_p0_never_learnt_of(shop: TestClient) -> None:
    shown(shop, 4, additions=3, deletions=1)
    refused = asked(shop, 4, allow_uncertain=False)
    assert refused.status_code == 409 and "none under 10 changed lines (QC_MIN_PR_LINES)" in refused.json()["detail"]
    assert asked(shop, 4).status_code == 200
    journal = shop.app.state.serving.settings.journal_file  # type: ignore[attr-defined]
    *_, paid = (entry["document"] for entry in journal_reader.of_task(journal, "payout", ["fresh/one#4"]))
    assert paid["refused"] is None and paid["allowed"] == ["uncertain"]


@pytest.mark.parametrize(("place", "value"), [
    (("pull_request", "number"), True), (("pull_request", "user", "id"), True), (("repository", "id"), False),
    (("repository", "full_name"), "a/b#9"), (("repository", "full_name"), "a/b/c"),
    (("repository", "full_name"), " a/b "), (("repository", "full_name"), "a/b\x1b]0;x\x07"),
    (("repository", "html_url"), "https://h:99999999/a/b"), (("repository", "html_url"), "http://[::1/a/b"),
    (("repository", "html_url"), "https://" + "h" * 2_000),
])  # fmt: skip
def test_a_delivery_that_is_none_is_refused_by_field(shop: TestClient, place: tuple[str, ...], value: Any) -> None:
    repository: dict[str, Any] = {"id": 4_712, "full_name": "fresh/two", "html_url": "https://demo/fresh/two"}
    times = {"created_at": AT.format(0), "updated_at": AT.format(0)}
    user = {"id": 99, "login": "newbie"}
    payload: Any = {"action": "opened", "repository": repository, "pull_request": {"number": 5, "user": user, **times}}
    *above, name = place
    part = payload
    for each in above:
        part = part[each]
    part[name] = value
    answer = deliver(shop, "pull_request", payload)
    assert answer.status_code == 422 and answer.json()["detail"][0]["loc"] == list(place)


def test_a_request_has_one_host(shop: TestClient) -> None:
    two = shop.get("/health", headers=[("Host", "127.0.0.1"), ("Host", "evil.example")])  # type: ignore[arg-type]
    assert two.status_code == 400 and two.json()["detail"] == "a request has one Host"
