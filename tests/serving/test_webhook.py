"""GitHub's webhook: signed deliveries are predicted by the training's own SQL, and outcomes recorded."""

import json
import math
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from githubkit.webhooks import sign
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import ValidationError

from qc_assets.forges import forge_number, number_of, own_id
from qc_assets.serving import journal_reader
from qc_assets.serving.app import create_app
from qc_assets.serving.github_payloads import Account, PullRequest
from qc_assets.serving.importing import bring_in
from qc_assets.settings import Settings
from qc_assets.store.schema import sql_sections
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
            "WHERE f.exclusion IS NULL AND f.link_count > 0 AND f.is_bug_fix AND f.origin = 'person' "
            "ORDER BY f.opened_at DESC LIMIT 1"
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
        "requested_reviewers": [{"login": "bob"}, {"login": "eve"}],
        "requested_teams": [{"name": "owners"}],
        "base": {"ref": "main", "repo": {"id": 7}},
        "head": {"ref": row["head_ref"], "repo": {"id": 9}},
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
    (entry,) = journal_reader.latest(settings.journal_file, ["prediction"], 1)
    same = ("log_lines", "files_changed", "commits", "additions_share", "title_length", "body_length", "link_count",
            "checklist_items", "code_blocks", "is_bug_fix", "is_feature", "is_documentation", "is_refactor", "hour",
            "weekday", "author_association", "origin")  # fmt: skip
    seen = entry["document"]["features"]
    measured = written(hooked, "delivery")[0]["features"]
    assert (measured["reviewers_asked"], measured["is_from_fork"]) == (3, True)
    assert {name: measured[name] for name in ("closes_issues", "checklist_ticked_share")} == {
        name: features[name] for name in ("closes_issues", "checklist_ticked_share")
    }
    facts = ("additions", "deletions", "changed_files", "commits", "author_association")
    assert entry["document"]["request"]["opening"] == {name: payload["pull_request"][name] for name in facts}
    assert {name: seen[name] for name in same} == {name: features[name] for name in same}
    assert seen["author_prior_prs"] > features["author_prior_prs"], "the history is that of the end of the data"
    assert deliver(hooked, "pull_request", payload, delivery="d-1").json() == answer
    assert journal_reader.latest(settings.journal_file, ["prediction"], 1)[0]["number"] == entry["number"]


def test_bots_drafts_and_other_events_are_ignored_with_a_reason(hooked: TestClient) -> None:
    payload, _ = opened(hooked)
    request = payload["pull_request"]
    for event, changed, why in (
        ("pull_request", payload | {"pull_request": request | {"draft": True}}, "drafts"),
        ("pull_request", payload | {"pull_request": request | {"user": {"login": "renovate"}}}, "automations"),
        ("pull_request", payload | {"pull_request": request | {"user": None}}, "automations"),
        ("pull_request", payload | {"action": "assigned"}, "assigned"),
        ("ping", {"zen": "Design for failure."}, "ping"),
    ):
        answer = deliver(hooked, event, changed).json()
        assert answer["status"] == "ignored" and why in answer["why"], answer
    ready = deliver(hooked, "pull_request", payload | {"action": "ready_for_review"}).json()
    assert ready["status"] == "predicted"


def test_an_agents_opening_is_asked_about_with_a_history_of_its_own(hooked: TestClient) -> None:
    payload, _ = opened(hooked)
    serving = hooked.app.state.serving  # type: ignore[attr-defined]
    for n, (branch, origin) in enumerate([("devin/1710201600-fix", "agent"), ("topic", "person")]):
        request = payload["pull_request"] | {"head": {"ref": branch}, "number": 70_000 + n}
        answer = deliver(hooked, "pull_request", payload | {"pull_request": request}).json()
        assert answer["status"] == "predicted"
        serving.journal.flush()
        (entry,) = journal_reader.latest(serving.settings.journal_file, ["prediction"], 1)
        seen = entry["document"]["features"]
        assert seen["origin"] == origin
        history = serving.ready().history(
            "pull_requests", payload["repository"]["full_name"], request["user"]["login"], origin=origin
        )
        assert seen["author_prior_prs"] == history["author_prior_prs"]
    bot = {"login": "devin-ai-integration[bot]", "type": "Bot"}
    request = payload["pull_request"] | {"user": bot, "number": 70_002}
    assert deliver(hooked, "pull_request", payload | {"pull_request": request}).json()["status"] == "predicted"


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
    outcomes = [one["document"] for one in journal_reader.latest(settings.journal_file, ["outcome"], 10)]
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
    (entry,) = journal_reader.latest(settings.journal_file, ["closing"], 9)
    expected = {"repo_id": 42, "number": 7, "closed_at": "2025-01-05T00:00:00", "state_reason": "not_planned",
                "closed_by_id": 5, "closed_by_login": "renovate", "closed_by_is_bot": True}  # fmt: skip
    from_where = {"received_key": "QC_WEBHOOK_SECRET", "received_from": "testclient"}
    assert entry["document"] == expected | {"task_id": "nobody/loaded-it#7"} | from_where
    again = payload | {"issue": issue | {"closed_at": "2025-02-05T00:00:00Z", "state_reason": "of_late"}}
    assert deliver(hooked, "issues", again).json()["status"] == "recorded"
    assert journal_reader.latest(settings.journal_file, ["closing"], 1)[0]["document"]["state_reason"] is None
    for changed, why in (({"action": "labeled"}, "labeled"), ({"repository": {"full_name": "a/b"}}, "by its id")):
        assert why in deliver(hooked, "issues", payload | changed).json()["why"]


def test_a_repository_that_was_never_loaded_has_the_id_of_the_payload(hooked: TestClient) -> None:
    payload, _ = opened(hooked)
    name = payload["repository"]["full_name"]

    def answered(repository: dict[str, Any]) -> dict[str, Any]:
        sent = payload | {"repository": repository, "sender": {"login": "this-test"}}
        assert deliver(hooked, "pull_request", sent).json()["status"] == "predicted"
        return written(hooked)[0]

    corp = answered({"full_name": "a/b", "html_url": "https://git.corp.example/a/b", "id": 42})
    assert own_id(corp["repo_id"]) == 42 and number_of(corp["repo_id"]) == forge_number(
        "git.corp.example", is_synthetic=False
    )
    assert corp["number"] == payload["pull_request"]["number"]
    known = answered({"full_name": name})
    assert known["repo_id"] != 0
    renamed = answered({"full_name": "a/of-another-name", "id": 42})
    assert number_of(renamed["repo_id"]) == number_of(known["repo_id"]) and own_id(renamed["repo_id"] + 2**40) == 42
    assert answered({"full_name": "a/never-heard-of"})["repo_id"] == 0, "it says no id, either"


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
    assert found.pop("recorded", set()) | found.pop("known", set()) >= {
        "pull_request/closed", "pull_request/synchronize", "pull_request/labeled", "pull_request_review/dismissed"
    }  # fmt: skip
    assert set(found) == {"ignored"} and "pull_request_review/submitted" in found["ignored"], "it only commented"


def written(client: TestClient, kind: str = "prediction") -> list[dict[str, Any]]:
    """What the journal has of a kind, newest first."""
    serving = client.app.state.serving  # type: ignore[attr-defined]
    serving.journal.flush()
    return [entry["document"] for entry in journal_reader.latest(serving.settings.journal_file, [kind], 1_000)]


def test_a_form_is_taken_and_any_signature_but_a_right_sha256_is_refused(hooked: TestClient) -> None:
    payload, _ = opened(hooked)
    payload["pull_request"] |= {"number": 61_001, "title": "a\ud83db\0", "labels": None, "draft": None}
    body = urllib.parse.urlencode({"payload": json.dumps(payload)}).encode()
    headers = {
        "X-GitHub-Event": "pull_request",
        "X-Hub-Signature-256": sign(SECRET, body, method="sha256"),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    answer = hooked.post("/webhook/github", content=body, headers=headers)
    assert answer.json()["status"] == "predicted", answer.text
    assert written(hooked, "delivery")[0]["facts"]["title"] == "a?b\ufffd"
    assert deliver(hooked, "pull_request", json.dumps(payload).encode()).json() == answer.json(), "the same content"
    for broken in (b"", b"payload=1&payload=2", b"a=1", b"payload=%FF"):
        signed = headers | {"X-Hub-Signature-256": sign(SECRET, broken, method="sha256")}
        assert hooked.post("/webhook/github", content=broken, headers=signed).status_code == 422
    for signature in ("", "sha256=", "sha256=\xe9", "\xff\xfe", sign(SECRET, body, method="sha1")):
        wrong = {**headers, "X-Hub-Signature-256": signature.encode("latin-1")}
        assert hooked.post("/webhook/github", content=body, headers=wrong).status_code == 401, signature


def test_a_delivery_is_one_by_its_content_whatever_id_it_comes_with(hooked: TestClient) -> None:
    payload, _ = opened(hooked)
    payload["pull_request"] |= {"number": 62_001, "additions": 3}
    first = deliver(hooked, "pull_request", payload, delivery="g-1").json()
    count = len(written(hooked))
    assert deliver(hooked, "pull_request", payload, delivery="g-2").json() == first, "captured and sent again"
    assert len(written(hooked)) == count
    other = payload | {"pull_request": payload["pull_request"] | {"number": 62_002, "additions": 3_000}}
    answer = deliver(hooked, "pull_request", other, delivery="g-1").json()
    assert answer["prediction"]["task_id"].endswith("#62002") and answer != first


def test_ids_decide_who_somebody_is_and_a_login_alone_is_said(hooked: TestClient) -> None:
    payload, _ = opened(hooked)
    serving = hooked.app.state.serving  # type: ignore[attr-defined]
    login = payload["pull_request"]["user"]["login"]
    repo, pull_request = payload["repository"]["full_name"], payload["pull_request"]

    def history(number: int, user: dict[str, Any]) -> tuple[int, str | None]:
        changed = payload | {"pull_request": pull_request | {"number": number, "user": user}}
        answer = deliver(hooked, "pull_request", changed).json()
        return written(hooked)[0]["features"]["author_prior_prs"], answer["why"]

    known, why = history(63_001, {"login": login.upper()})
    assert known > 0 and "sent no id" in str(why)
    assert history(63_002, {"login": login, "id": 2**39 + 7}) == (0, None), "who took over the login"
    by_id = serving.ready().history("pull_requests", repo, "renamed", author_id=serving.ready().author_id(repo, login))
    assert by_id["author_prior_prs"] == known
    details = hooked.post(
        "/predict?details=true",
        json={
            "worker_id": login,
            "task_id": f"{repo}#63003",
            "lines_changed": 9,
            "files_changed": 1,
            "title_length": 9,
        },
    ).json()["details"]
    assert details["worker_known_by"] == "login"
    review = {"id": 63, "state": "approved", "user": {"login": login.upper()}, "submitted_at": "2025-01-02T00:00:00Z"}
    own = deliver(hooked, "pull_request_review", payload | {"action": "submitted", "review": review}).json()
    assert own["status"] == "ignored" and "another person" in own["why"]
    future = payload | {"action": "submitted", "review": review | {"submitted_at": "2999-01-01T00:00:00Z"}}
    assert "in the future" in deliver(hooked, "pull_request_review", future).json()["why"]


def test_what_deliveries_show_is_known_at_once_and_a_fact_of_the_opening_for_training(hooked: TestClient) -> None:
    payload, _ = opened(hooked)
    serving = hooked.app.state.serving  # type: ignore[attr-defined]
    store = Warehouse.from_settings(serving.settings)
    repo, pull_request = payload["repository"]["full_name"], payload["pull_request"] | {"number": 64_001}
    login = pull_request["user"]["login"]

    def send(action: str, **changes: Any) -> str:
        changed = payload | {"action": action, "pull_request": pull_request | changes}
        return deliver(hooked, "pull_request", changed).json()["status"]

    def lines() -> int:
        facts = {"worker_id": login, "task_id": f"{repo}#64001", "files_changed": 1, "title_length": 9}
        hooked.post("/predict", json=facts | {"lines_changed": 1})
        return round(math.expm1(written(hooked)[0]["features"]["log_lines"]))

    assert send("opened", draft=True, additions=40, deletions=2) == "ignored"
    repo_id = serving.ready().repo_id(repo)
    assert serving.delivered.of(repo_id, 64_001).is_draft
    assert send("synchronize", additions=50, deletions=0, updated_at="2025-01-02T00:00:00Z") == "recorded"
    assert serving.delivered.of(repo_id, 64_001).features["lines_changed"] == 50
    assert send("labeled", additions=1, updated_at="2024-12-01T00:00:00Z") == "recorded"
    assert serving.delivered.of(repo_id, 64_001).features["lines_changed"] == 50, "an older one came late"
    assert send("ready_for_review", additions=50, deletions=0, updated_at="2025-01-03T00:00:00Z") == "predicted"
    assert not serving.delivered.of(repo_id, 64_001).is_draft
    for action in ("converted_to_draft", "edited", "unlabeled", "review_requested", "reopened"):
        assert send(action, updated_at="2025-01-04T00:00:00Z", title=action) == "recorded"
    assert lines() == 1, "what the caller says of it is still the caller's"

    known = store.query("FROM raw.pull_requests WHERE repo_id = $1 ORDER BY number LIMIT 1", [repo_id]).row(
        0, named=True
    )
    shown = pull_request | {"number": known["number"], "additions": 777, "deletions": 0, "title": "docs: shown"}
    shown |= {"body": "", "labels": [{"name": "documentation"}], "author_association": "OWNER"}
    deliver(hooked, "pull_request", payload | {"pull_request": shown})
    bring_in(store, serving.settings.journal_file, keep_days=30)
    fact = store.query("FROM ml.deliveries WHERE number = 64001 AND action = 'synchronize'").row(0, named=True)
    assert fact["repo_id"] == repo_id and json.loads(fact["facts"])["additions"] == 50
    query = sql_sections("features/pull_requests")["rows"].rstrip(";")
    row = store.query(
        f"FROM ({query}) WHERE repo_id = {repo_id} AND number = {known['number']}",
        serving.settings.feature_parameters("pull_requests"),
    ).row(0, named=True)
    seen = ("lines_changed", "title_length", "body_length", "is_documentation", "author_association", "sizes_from")
    assert [row[name] for name in seen] == [777, len("docs: shown"), 0, True, "OWNER", "webhook"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@examples(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    event=st.sampled_from(["pull_request", "pull_request_review", "issues", "ping"]),
    action=st.sampled_from(["opened", "closed", "submitted", "labeled", "dismissed", "ready_for_review"]) | JSON,
    changes=st.dictionaries(
        st.sampled_from(
            ["number", "user", "title", "body", "labels", "draft", "additions", "created_at", "updated_at", "closed_at"]
        ),
        JSON,
        max_size=3,
    ),
    others=st.dictionaries(
        st.sampled_from(["repository", "review", "issue", "sender", "pull_request"]), JSON, max_size=2
    ),
    raw=JSON,
)
def test_no_json_is_an_error_of_ours(
    hooked: TestClient, event: str, action: Any, changes: dict[str, Any], others: dict[str, Any], raw: Any
) -> None:
    payload, _ = _OPENED.get("payload") or _OPENED.setdefault("payload", opened(hooked))
    document = payload | {"action": action, "pull_request": payload["pull_request"] | changes} | others
    for sent in (document, raw):
        answer = deliver(hooked, event, sent)
        assert answer.status_code in (200, 422), (answer.status_code, sent, answer.text)


@pytest.mark.parametrize(("kind", "told", "field"), [
    (PullRequest, {"number": True}, "number"), (PullRequest, {"number": 7, "additions": False}, "additions"),
    (Account, {"login": "ann", "id": True}, "id"),
])  # fmt: skip
def test_a_boolean_is_no_number_of_a_delivery(kind: Any, told: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate(told)
    assert (field,) in [error["loc"] for error in refused.value.errors()]


_OPENED: dict[str, Any] = {}
