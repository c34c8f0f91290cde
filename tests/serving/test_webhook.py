"""GitHub's webhook: signed deliveries are predicted by the training's own SQL, and outcomes recorded."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from githubkit.webhooks import sign

from qc_assets.forges import forge_number, number_of, own_id
from qc_assets.serving import journal_reader
from qc_assets.serving.app import create_app
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse
from tests.conftest import SHARED, copy_of

SECRET = "it's a secret to everybody"


@pytest.fixture(scope="module")
def hooked(main_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = copy_of(main_run[0], tmp_path_factory.mktemp("webhook"))
    settings = Settings(**(settings.model_dump() | {"webhook_secret": SECRET, "_env_file": None}))
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        yield client


def deliver(client: TestClient, event: str, payload: Any, *, delivery: str = "", secret: str = SECRET) -> Any:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = {"X-GitHub-Event": event, "X-Hub-Signature-256": sign(secret, body, method="sha256")}
    return client.post("/webhook/github", content=body, headers=headers | {"X-GitHub-Delivery": delivery})


def opened(client: TestClient) -> tuple[dict[str, Any], dict[str, Any]]:
    """A pull request of the warehouse as GitHub would have delivered it, and its feature row."""
    row = (
        Warehouse.from_settings(client.app.state.serving.settings)
        .query(  # type: ignore[attr-defined]
            "SELECT p.*, r.name AS repo, f AS features FROM features.pull_requests AS f "
            "JOIN raw.pull_requests AS p USING (repo_id, number) JOIN raw.repositories AS r USING (repo_id) "
            "WHERE f.exclusion IS NULL AND f.link_count > 0 AND f.is_bug_fix ORDER BY f.opened_at DESC LIMIT 1"
        )
        .row(0, named=True)
    )
    pull_request = {
        "number": row["number"] + 50_000,
        "user": {"login": row["author_login"], "type": "User"},
        "title": row["opened_title"],
        "body": row["opened_body"],
        "draft": False,
        "additions": row["opened_additions"],
        "deletions": row["opened_deletions"],
        "changed_files": row["opened_changed_files"],
        "commits": row["opened_commits"],
        "author_association": row["opened_author_association"],
        "labels": [{"name": "bug"}, {"name": "bug"}],
        "created_at": row["created_at"].isoformat() + "Z",
        "updated_at": "2025-01-01T00:00:00Z",
    }
    payload = {"action": "opened", "repository": {"full_name": row["repo"]}, "pull_request": pull_request}
    return payload, row["features"]


def test_an_opening_is_measured_as_in_training(hooked: TestClient) -> None:
    payload, features = opened(hooked)
    answer = deliver(hooked, "pull_request", payload, delivery="d-1").json()
    assert answer["status"] == "predicted" and 0 < answer["prediction"]["p0"] < 1
    settings = hooked.app.state.serving.settings  # type: ignore[attr-defined]
    hooked.app.state.serving.journal.flush()  # type: ignore[attr-defined]
    (entry,) = journal_reader.latest(settings.journal, ["prediction"], 1)
    same = ("log_lines", "files_changed", "commits", "additions_share", "title_length", "body_length", "link_count",
            "checklist_items", "code_blocks", "is_bug_fix", "is_feature", "is_documentation", "is_refactor", "hour",
            "weekday", "author_association")  # fmt: skip
    seen = entry["document"]["features"]
    facts = ("additions", "deletions", "changed_files", "commits", "author_association")
    assert entry["document"]["request"]["opening"] == {name: payload["pull_request"][name] for name in facts}
    assert {name: seen[name] for name in same} == {name: features[name] for name in same}
    assert seen["author_prior_prs"] > features["author_prior_prs"], "the history is that of the end of the data"
    assert deliver(hooked, "pull_request", payload, delivery="d-1").json() == answer
    assert journal_reader.latest(settings.journal, ["prediction"], 1)[0]["number"] == entry["number"]


def test_bots_drafts_and_other_events_are_ignored_with_a_reason(hooked: TestClient) -> None:
    payload, _ = opened(hooked)
    request = payload["pull_request"]
    for event, changed, why in (
        ("pull_request", payload | {"pull_request": request | {"draft": True}}, "drafts"),
        ("pull_request", payload | {"pull_request": request | {"user": {"login": "renovate"}}}, "people's"),
        ("pull_request", payload | {"pull_request": request | {"user": None}}, "people's"),
        ("pull_request", payload | {"action": "labeled"}, "labeled"),
        ("ping", {"zen": "Design for failure."}, "ping"),
    ):
        answer = deliver(hooked, event, changed).json()
        assert answer["status"] == "ignored" and why in answer["why"], answer
    ready = deliver(hooked, "pull_request", payload | {"action": "ready_for_review"}).json()
    assert ready["status"] == "predicted"


def test_what_is_not_signed_is_not_read(hooked: TestClient, api: TestClient) -> None:
    payload, _ = opened(hooked)
    assert deliver(hooked, "pull_request", payload, secret="other").status_code == 401
    headers = {"X-GitHub-Event": "ping", "X-Hub-Signature-256": "sha256=00"}
    assert hooked.post("/webhook/github", content=b"{}", headers=headers).status_code == 401
    assert hooked.post("/webhook/github", content=b"{}").status_code == 422
    assert deliver(hooked, "pull_request", b"not json").status_code == 422
    broken = payload | {"pull_request": {"number": -1}}
    assert deliver(hooked, "pull_request", broken).json()["detail"][0]["loc"][:2] == ["pull_request", "number"]
    off = deliver(api, "ping", {})
    assert off.status_code == 404 and "QC_WEBHOOK_SECRET" in off.json()["detail"]


def test_the_first_decisive_event_is_the_outcome(hooked: TestClient) -> None:
    payload, _ = opened(hooked)
    settings = hooked.app.state.serving.settings  # type: ignore[attr-defined]

    def review(identity: int, state: str, login: str = "somebody", at: str = "2025-01-02T00:00:00Z") -> str:
        given = {"id": identity, "state": state, "user": {"login": login}, "submitted_at": at}
        return deliver(hooked, "pull_request_review", payload | {"action": "submitted", "review": given}).json()[
            "status"
        ]

    assert review(1, "commented") == "ignored"
    assert review(2, "approved", payload["pull_request"]["user"]["login"]) == "ignored"
    assert review(3, "approved", "dependabot[bot]") == "ignored"
    closed = payload["pull_request"] | {"closed_at": "2025-01-05T00:00:00Z", "merged_at": "2025-01-05T00:00:00Z"}
    assert deliver(hooked, "pull_request", payload | {"action": "closed", "pull_request": closed}).json() == {
        "status": "recorded", "why": None, "prediction": None,
    }  # fmt: skip
    assert [review(4, "changes_requested"), review(4, "changes_requested")] == ["recorded", "known"]
    outcomes = [one["document"] for one in journal_reader.latest(settings.journal, ["outcome"], 10)]
    assert [(one["passed"], one["decided_at"]) for one in outcomes] == [
        (False, "2025-01-02T00:00:00"), (True, "2025-01-05T00:00:00"),
    ]  # fmt: skip
    deliver(hooked, "pull_request", payload)
    row = next(line for line in hooked.get("/").text.split("<tr>") if outcomes[0]["task_id"] in line)
    assert "failed" in row, "the review came first, though its event came last"


def test_a_closed_issue_is_written_down_with_its_reason_and_who_closed_it(hooked: TestClient) -> None:
    settings = hooked.app.state.serving.settings  # type: ignore[attr-defined]
    issue = {"number": 7, "closed_at": "2025-01-05T00:00:00Z", "state_reason": "not_planned"}
    payload = {
        "action": "closed",
        "repository": {"full_name": "nobody/loaded-it", "html_url": "https://github.com/nobody/loaded-it", "id": 42},
        "issue": issue,
        "sender": {"login": "renovate", "id": 5, "type": "User"},
    }
    assert [deliver(hooked, "issues", payload).json()["status"] for _ in range(2)] == ["recorded", "known"]
    (entry,) = journal_reader.latest(settings.journal, ["closing"], 9)
    expected = {"repo_id": 42, "number": 7, "closed_at": "2025-01-05T00:00:00", "state_reason": "not_planned",
                "closed_by_id": 5, "closed_by_login": "renovate", "closed_by_is_bot": True}  # fmt: skip
    from_where = {"received_key": None, "received_from": "testclient"}
    assert entry["document"] == expected | {"task_id": "nobody/loaded-it#7"} | from_where
    again = payload | {"issue": issue | {"closed_at": "2025-02-05T00:00:00Z", "state_reason": "of_late"}}
    assert deliver(hooked, "issues", again).json()["status"] == "recorded"
    assert journal_reader.latest(settings.journal, ["closing"], 1)[0]["document"]["state_reason"] is None
    for changed, why in (({"action": "labeled"}, "labeled"), ({"repository": {"full_name": "a/b"}}, "by its id")):
        assert why in deliver(hooked, "issues", payload | changed).json()["why"]


def test_a_repository_that_was_never_loaded_has_the_id_of_the_payload(hooked: TestClient) -> None:
    payload, _ = opened(hooked)
    settings = hooked.app.state.serving.settings  # type: ignore[attr-defined]
    name = payload["repository"]["full_name"]

    def written(repository: dict[str, Any]) -> dict[str, Any]:
        assert deliver(hooked, "pull_request", payload | {"repository": repository}).json()["status"] == "predicted"
        hooked.app.state.serving.journal.flush()  # type: ignore[attr-defined]
        return journal_reader.latest(settings.journal, ["prediction"], 1)[0]["document"]

    corp = written({"full_name": "a/b", "html_url": "https://git.corp.example/a/b", "id": 42})
    assert own_id(corp["repo_id"]) == 42 and number_of(corp["repo_id"]) == forge_number(
        "git.corp.example", is_synthetic=False
    )
    assert corp["number"] == payload["pull_request"]["number"]
    known = written({"full_name": name})
    assert known["repo_id"] != 0
    renamed = written({"full_name": "a/of-another-name", "id": 42})
    assert number_of(renamed["repo_id"]) == number_of(known["repo_id"]) and own_id(renamed["repo_id"] + 2**40) == 42
    assert written({"full_name": "a/never-heard-of"})["repo_id"] == 0, "it says no id, either"


def test_githubs_own_examples_are_understood(hooked: TestClient) -> None:
    examples = sorted((SHARED / "github" / "webhooks").glob("*/*.json"))
    if not examples:
        pytest.skip(f"GitHub's example payloads are not there: {SHARED}/github/webhooks")
    found: dict[str, set[str]] = {}
    for path in examples:
        answer = deliver(hooked, path.parent.name, path.read_bytes())
        assert answer.status_code == 200, (path, answer.text)
        found.setdefault(answer.json()["status"], set()).add(f"{path.parent.name}/{path.name.partition('.')[0]}")
    assert found.pop("predicted") == {"pull_request/opened", "pull_request/ready_for_review"}
    assert found.pop("recorded") | found.pop("known") == {"pull_request/closed"}
    assert set(found) == {"ignored"} and "pull_request_review/submitted" in found["ignored"], "it only commented"
