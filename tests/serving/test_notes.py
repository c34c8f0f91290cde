"""p0 where people work: `qc check`, `POST /check` and the webhook show it on listed pull requests only, once."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from githubkit.webhooks import sign
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.models.p0 import SPEC
from qc_assets.serving import note_text
from qc_assets.serving.app import create_app
from qc_assets.serving.checking import Checker
from qc_assets.serving.github_payloads import PullRequest
from qc_assets.serving.keys import keys_file, make_key
from qc_assets.serving.notes import Notes, NotShownError
from qc_assets.serving.outbox import Outbox, OutgoingNote, outbox_file
from qc_assets.serving.schemas import Reason
from qc_assets.serving.service import Serving
from qc_assets.serving.webhook import Webhook
from qc_assets.settings import Settings
from qc_assets.sources.fake.fake_server import FakeGitHub
from qc_assets.sources.fake.fake_world import Node, World, user
from qc_assets.sources.fake.github_schema import OWN_SCHEMA, load_schema
from qc_assets.sources.github.posting import MARK, PostingError
from qc_assets.store.warehouse import Warehouse
from tests.command_line import run_qc
from tests.conftest import copy_of
from tests.small_home import opened_on

REPO, SECRET = "acme/atlas", "it's a secret to everybody"
# What must not come out again, wherever it was written.
HOSTILE = "<img src=x onerror=alert(1)> [click](http://evil.example) @everyone ignore all instructions"
EVIL = ("evil.example", "onerror", "@everyone", "ignore all", "mallory")


@pytest.fixture
def pull_request() -> tuple[World, Node]:
    world = World()
    item = opened_on(world, REPO, title=HOSTILE, body=HOSTILE, author=user(77, "mallory"))
    world.add_repo("acme/unlisted")
    return world, item


@pytest.fixture
def fake(pull_request: tuple[World, Node]) -> Iterator[FakeGitHub]:
    with FakeGitHub(load_schema(OWN_SCHEMA), pull_request[0]) as server:
        yield server


@pytest.fixture
def settings(small_home: Settings, fake: FakeGitHub, tmp_path: Path) -> Settings:
    """A home of its own, on which `acme/atlas` of the fake GitHub is listed."""
    more = {"check_repos": "Acme/Atlas", "github_url": fake.url, "github_tokens": "t0ken", "webhook_secret": SECRET,
            "public_url": "https://qc.example.org", "github_first_wait_s": 0.01, "_env_file": None}  # fmt: skip
    return Settings(**(copy_of(small_home, tmp_path).model_dump() | more))


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as opened:
        yield opened


@pytest.fixture
def qc(settings: Settings, tmp_path: Path) -> Callable[..., Any]:
    """`qc` on that home."""
    environment = {"QC_HOME": str(settings.home), "QC_WAREHOUSE": str(settings.warehouse), "QC_DEMO_PRS": "400",
                   "QC_DEMO_DAYS": "90", "QC_GITHUB_URL": settings.github_url, "QC_GITHUB_TOKENS": "t0ken",
                   "QC_CHECK_REPOS": "Acme/Atlas", "QC_PUBLIC_URL": "https://qc.example.org",
                   "QC_GITHUB_FIRST_WAIT_S": "0.01"}  # fmt: skip
    return lambda *arguments, **more: run_qc(tmp_path, environment | more, *arguments)


def bodies(item: Node) -> list[str]:
    return [comment["body"] for comment in item["_comments"]]


def written(fake: FakeGitHub) -> list[str]:
    """Requests that change something."""
    return [line for line, _, _ in fake.log if line.startswith(("POST", "PATCH"))]


def known_task(settings: Settings) -> str:
    return Warehouse.from_settings(settings).query(
        "SELECT r.name || '#' || f.number FROM features.pull_requests AS f JOIN raw.repositories AS r USING (repo_id) "
        "WHERE f.exclusion IS NULL ORDER BY f.opened_at DESC LIMIT 1"
    ).item()  # fmt: skip


def delivery(fake: FakeGitHub, item: Node, **changed: Any) -> dict[str, Any]:
    """The pull request as GitHub delivers it when it is opened."""
    _, body = fake.rest.answer("GET", f"/repos/{REPO}/pulls/{item['number']}", {}, b"", None)
    shown = json.loads(body)
    repository = {"id": shown["base"]["repo"]["id"], "full_name": REPO, "html_url": f"{fake.url}/{REPO}"}
    return {"action": "opened", "repository": repository, "pull_request": shown, "sender": shown["user"]} | changed


def deliver(client: TestClient, payload: Any) -> dict[str, Any]:
    body = json.dumps(payload).encode()
    headers = {"X-GitHub-Event": "pull_request", "X-Hub-Signature-256": sign(SECRET, body, method="sha256")}
    answer = client.post("/webhook/github", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def soon(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.05)
    return is_so()


def test_a_dry_run_says_all_and_posts_nothing(qc: Callable[..., Any], settings: Settings, fake: FakeGitHub) -> None:
    task = known_task(settings)
    answer = qc("check", task, "--json")
    document = json.loads(answer.stdout)
    assert answer.returncode == 0 and document["shown"] is None and document["is_known"]
    text = document["text"]
    assert document["title"] in text and 0 <= document["lower"] <= document["p0"] <= document["upper"] <= 1
    assert text.count("\n- ") == 3 and "https://qc.example.org/feedback?about=" in text and "made-up data" in text
    assert fake.log == [], "what the warehouse knows is not asked for"
    shown = qc("check", f"{REPO}#9007").stdout
    assert "dry run" in shown and "present facts were taken" in shown and written(fake) == []
    assert "Not known, and assumed to be usual: " in " ".join(shown.split()), shown
    assert not any(evil in shown for evil in EVIL)


def test_nothing_is_shown_where_nothing_is_listed(qc: Callable[..., Any], fake: FakeGitHub) -> None:
    for task, more in (("acme/unlisted#1", {}), (f"{REPO}#9007", {"QC_CHECK_REPOS": ""}),
                       (f"github.com/{REPO}#9007", {})):  # fmt: skip
        refused = qc("check", task, "--post", **more)
        assert refused.returncode == 1 and "QC_CHECK_REPOS lists" in " ".join(refused.stderr.split())
    assert fake.log == []


def test_two_runs_leave_one_comment(qc: Callable[..., Any], fake: FakeGitHub, pull_request: tuple[World, Node]) -> None:
    for _ in range(2):
        answer = qc("check", "ACME/atlas#9007", "--post", "--json")
        assert answer.returncode == 0, answer.stderr
    (body,) = bodies(pull_request[1])
    assert body.startswith(f"{MARK}\n**p0 = ") and not any(evil in body for evil in EVIL)
    assert json.loads(answer.stdout)["shown"] == int(pull_request[1]["_comments"][0]["fullDatabaseId"])
    fake.faults.clear()
    refused = qc("check", f"{REPO}#9007", "--post", QC_CHECK_AS="check_run")
    assert refused.returncode == 0 and pull_request[0].repos[REPO]["_check_runs"][0]["conclusion"] == "neutral"


@pytest.fixture
def checker(settings: Settings, tmp_path: Path) -> Iterator[Checker]:
    serving, notes = Serving(settings, journal=tmp_path / "scratch.db"), Notes(settings)
    serving.refresh_champions()
    serving.refresh_knowledge()
    with closing(serving), closing(notes), closing(Webhook(serving)) as webhook:
        yield Checker(serving, webhook, notes)


def test_drafts_closed_and_bots_are_not_commented_on(checker: Checker, pull_request: tuple[World, Node]) -> None:
    item = pull_request[1]
    for fields, why in (
        ({"isDraft": True}, "is a draft"),
        ({"closedAt": "2024-05-02T00:00:00Z"}, "is closed"),
        ({"author": user(5, "renovate", "Bot")}, "not automations"),
        ({"author": None}, "whose account is not gone"),
    ):
        before = {name: item[name] for name in fields}
        item.update(fields)
        with pytest.raises(NotShownError, match=why):
            checker.check(f"{REPO}#9007", is_posting=True)
        item.update(before)
    for wrong in ("acme/atlas", "acme/atlas#0", "a#b#7"):
        with pytest.raises(QcError, match="write it as owner/name#number"):
            checker.check(wrong, is_posting=False)
    item["createdAt"] = HOSTILE
    with pytest.raises(PostingError, match=r"is no pull request \(wrong: created_at\)$"):
        checker.check(f"{REPO}#9007", is_posting=True)


def test_what_a_delivery_told_is_checked_without_asking_github(
    client: TestClient, fake: FakeGitHub, pull_request: tuple[World, Node]
) -> None:
    payload = delivery(fake, pull_request[1], repository={"full_name": REPO})  # which the warehouse knows by its name
    predicted = deliver(client, payload)["prediction"]["p0"]
    checker = client.app.state.checker  # type: ignore[attr-defined]
    checked = checker.check(f"{REPO}#9007", is_posting=False)
    assert checked.is_known and checked.document["prediction"] == pytest.approx(predicted)
    assert fake.log == []


def test_a_delivery_is_answered_at_once_and_shown_soon_and_only_once(
    client: TestClient, fake: FakeGitHub, pull_request: tuple[World, Node]
) -> None:
    item = pull_request[1]
    payload = delivery(fake, item)
    answer = deliver(client, payload)
    assert answer["status"] == "predicted" and soon(lambda: len(bodies(item)) == 1)
    (body,) = bodies(item)
    assert f"p0 = {answer['prediction']['p0']:.2f}" in body and not any(evil in body for evil in EVIL)
    assert deliver(client, payload) == answer
    # The same pull request, delivered with another content: the comment that is there is updated.
    item.update({"title": "x" * 200, "additions": 20_000, "changedFiles": 300})
    deliver(client, delivery(fake, item))
    assert soon(lambda: bodies(item)[0] != body) and len(bodies(item)) == 1
    assert "notes" not in client.get("/health").json()["troubles"]


def test_a_check_run_follows_the_newest_commit(
    settings: Settings, fake: FakeGitHub, pull_request: tuple[World, Node]
) -> None:
    (world, item), shown = pull_request, settings.model_copy(update={"check_as": "check_run"})
    with TestClient(create_app(shown), base_url="http://127.0.0.1") as client:
        deliver(client, delivery(fake, item, action="synchronize"))  # of which nothing was said
        deliver(client, delivery(fake, item))
        assert soon(lambda: len(world.repos[REPO].get("_check_runs", [])) == 1)
        world.add_commit(item, now_utc())
        for _ in range(2):
            assert deliver(client, delivery(fake, item, action="synchronize"))["prediction"] is None
        assert soon(lambda: len(world.repos[REPO]["_check_runs"]) == 2)
    first, second = world.repos[REPO]["_check_runs"]
    assert first["output"] == second["output"] and bodies(item) == []
    assert [run["head_sha"] for run in (first, second)] == [node["commit"]["oid"] for node in item["_commits"]]


@examples(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=st.text(max_size=50), body=st.text(max_size=200), login=st.text(min_size=1, max_size=20), label=st.text())
def test_no_word_of_a_stranger_comes_out_again(checker: Checker, title: str, body: str, login: str, label: str) -> None:
    mark = "\u2603"  # ours has no snowman
    opened = now_utc().isoformat()
    shown = PullRequest.model_validate(
        {
            **{"number": 7, "title": f"{mark}{title}", "body": f"{mark}{body}", "created_at": opened},
            **{"user": {"login": f"{mark}{login}", "id": 77}, "updated_at": opened, "author_association": mark},
            **{"labels": [{"name": f"{mark}{label}"}], "additions": 100, "deletions": 1, "changed_files": 3},
        }
    )
    row = checker.webhook.row_of(REPO, shown)
    predictions, _ = checker.serving.answer("p0", [row], [{}])
    note = checker.notes.written(checker.serving, predictions, REPO, 7, "")
    assert mark not in note.title + note.text and "%E2%98%83" not in note.text


def test_a_delivery_of_another_repository_or_forge_shows_nothing(
    client: TestClient, fake: FakeGitHub, pull_request: tuple[World, Node]
) -> None:
    item = pull_request[1]
    payload = delivery(fake, item)
    for changed in ({"full_name": "acme/unlisted"}, {"html_url": f"https://github.com/{REPO}"}):
        repository = payload["repository"] | changed
        assert deliver(client, payload | {"repository": repository})["status"] == "predicted"
    outbox = Outbox(client.app.state.serving.settings.home / "serving" / "notes.db")  # type: ignore[attr-defined]
    assert outbox.due(now_utc()) == [] and outbox.of(f"{REPO}#9007") is None and bodies(item) == []


def test_while_github_is_down_the_note_waits_and_health_says_so(
    client: TestClient, fake: FakeGitHub, pull_request: tuple[World, Node]
) -> None:
    notes, item = client.app.state.checker.notes, pull_request[1]  # type: ignore[attr-defined]
    fake.rest_faults = ["500"] * 3
    assert deliver(client, delivery(fake, item))["status"] == "predicted"
    assert soon(lambda: "notes" in client.get("/health").json()["troubles"])
    trouble = client.get("/health").json()["troubles"]["notes"]
    assert "1 are not shown, 1 of them are tried again" in trouble and "500" in trouble
    waiting = notes.outbox.of(f"{REPO}#9007")
    assert waiting.tries == 1 and waiting.due_at > now_utc()
    # A minute later.
    notes.outbox.save(replace(waiting, due_at=now_utc()))
    assert soon(lambda: len(bodies(item)) == 1) and soon(lambda: notes.troubles() == {})


def test_a_server_that_was_killed_shows_it_when_it_is_back(
    settings: Settings, fake: FakeGitHub, pull_request: tuple[World, Node]
) -> None:
    note = OutgoingNote("acme/atlas", 9_007, "comment", "", "p0", "p0 = 0.50", now_utc())
    Outbox(settings.home / "serving" / "notes.db").want(note)
    with TestClient(create_app(settings), base_url="http://127.0.0.1"):
        assert soon(lambda: bodies(pull_request[1]) == [f"{MARK}\np0 = 0.50"])


def test_a_server_and_a_command_at_the_same_time_leave_one_comment(
    settings: Settings, fake: FakeGitHub, pull_request: tuple[World, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = fake.rest.answer

    def slowly(*request: Any) -> Any:  # so that all have looked before the first has written
        time.sleep(0.05)
        return answer(*request)

    monkeypatch.setattr(fake.rest, "answer", slowly)
    start = threading.Barrier(4)

    def show(number: int) -> OutgoingNote:
        with closing(Notes(settings)) as notes:
            note = notes.want(OutgoingNote(REPO, 9_007, "comment", "", "p0", f"text {number % 2}", now_utc()))
            start.wait()
            return notes.deliver(note)

    with ThreadPoolExecutor(4) as pool:
        delivered = list(pool.map(show, range(4)))
    assert all(note.is_shown for note in delivered), [note.trouble for note in delivered]
    assert len(bodies(pull_request[1])) == 1 and sum(line.startswith("POST") for line in written(fake)) == 1
    last = Outbox(outbox_file(settings.journal_file)).of(f"{REPO}#9007")
    assert last is not None and bodies(pull_request[1]) == [f"{MARK}\n{last.text}"]


def test_tries_wait_longer_and_longer_and_end_after_a_day() -> None:
    now = now_utc()
    note, waits = OutgoingNote("a/b", 1, "comment", "", "t", "x", now, due_at=now), []
    while note.due_at is not None:
        at = note.due_at
        note = note.failed("down", at, is_final=False)
        waits.append(note.due_at and (note.due_at - at).total_seconds() / 60)
    assert waits[:8] == [1, 2, 4, 8, 16, 32, 60, 60] and waits[-1] is None and 25 < len(waits) < 35
    assert note.failed("no", now, is_final=True).due_at is None and not note.is_shown


def test_a_newer_note_is_not_overwritten_by_what_became_of_an_older(tmp_path: Path) -> None:
    outbox, now = Outbox(tmp_path / "notes.db"), now_utc()
    older = outbox.want(OutgoingNote("A/b", 1, "comment", "", "t", "old", now))
    newer = outbox.want(OutgoingNote("a/B", 1, "comment", "", "t", "new", now + timedelta(seconds=1)))
    assert outbox.due(now + timedelta(days=1, minutes=1)) == [], "nobody wants to be told after a day"
    outbox.save(replace(older, due_at=None, shown=5))
    assert outbox.of("a/b#1") == newer and outbox.due(now + timedelta(minutes=1)) == [newer]
    outbox.save(replace(newer, due_at=None, shown=5))
    again = outbox.want(replace(newer, wanted_at=now + timedelta(hours=1)))
    assert again.due_at is None and again.shown == 5, "the same words are not shown twice"
    assert outbox.want(replace(newer, text="newest", shown=None)).shown == 5


def test_a_model_of_made_up_data_speaks_to_nobody_real(settings: Settings, tmp_path: Path) -> None:
    serving = Serving(settings, journal=tmp_path / "j.db")
    serving.refresh_champions()
    champion = serving.champions.of("p0")
    predictions: Any = type("Of", (), {"champion": champion})
    Notes(settings).refuse_made_up(predictions)
    with pytest.raises(NotShownError, match="made-up data"):
        Notes(settings.model_copy(update={"github_url": "https://api.github.com"})).refuse_made_up(predictions)
    serving.close()


def test_the_api_says_and_queues_what_a_key_may(settings: Settings, pull_request: tuple[World, Node]) -> None:
    keys = keys_file(settings.journal_file)
    reads, posts = ({"X-API-Key": make_key(keys, right, [right])} for right in ("predict", "post"))
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        asked = {"task_id": f"{REPO}#9007"}
        said = client.post("/check", json=asked, headers=reads)
        assert (
            said.status_code == 200
            and said.json()["status"] == "dry_run"
            and said.json()["title"] in said.json()["text"]
        )
        assert client.post("/check", json=asked).status_code == 401
        assert client.post("/check", json=asked | {"post": True}, headers=reads).status_code == 403
        unlisted = client.post("/check", json={"task_id": "acme/unlisted#1"}, headers=reads)
        assert unlisted.status_code == 409 and "QC_CHECK_REPOS" in unlisted.json()["detail"]
        assert bodies(pull_request[1]) == []
        queued = client.post("/check", json=asked | {"post": True}, headers=posts)
        assert queued.json()["status"] == "queued" and soon(lambda: len(bodies(pull_request[1])) == 1)


def test_reasons_tell_no_number_about_a_person_and_no_foreign_word() -> None:
    def said(feature: str, value: Any, contribution: float = 0.1) -> str:
        reason = Reason(feature=feature, value=str(value), contribution=contribution, words=f"{feature} of {value}")
        return note_text._reason(SPEC, {feature: value}, reason)

    assert said("author_pass_rate", 0.31, -1.0) == "what is known of the author (pass rate) lowers it"
    assert said("author_reviews_given_in_repo", 4) == "what is known of the author (reviews given in repo) raises it"
    assert said("repo_pass_rate", 0.31) == "repo_pass_rate of 0.31"
    assert said("opened_title (what it says)", HOSTILE) == "title (what it says) raises it"
    assert said("files_changed", HOSTILE) == "files changed raises it"


def test_the_first_response_is_said_where_a_model_knows_it(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    task = known_task(checker.serving.settings)
    assert "first response" not in checker.check(task, is_posting=False).note.text, "there is no such champion"
    # Another champion of the same table in its place: 0.9 hours are 54 minutes.
    monkeypatch.setattr(note_text, "FIRST_RESPONSE", "p0")
    checked = checker.check(task, is_posting=False)
    minutes = [round(checked.document[name] * 60) for name in ("prediction", "lower", "upper")]
    shown = [f"{number} min" if number < 60 else "1 h" for number in minutes]
    line = f"A first response is expected after {shown[0]} (80 %: {shown[1]} to {shown[2]})."
    assert line in checked.note.text
    assert [note_text._time(hours) for hours in (0.2, 1.4, 47, 90)] == ["12 min", "1 h", "47 h", "4 days"]
    assert note_text._time(1_440.0, 1_440.0) == "60 days or longer"
