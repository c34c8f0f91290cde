"""The form behind the link of a comment: the link opens nothing, a key says who it is, no other page can send it."""

import html
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient

from qc_assets.serving import journal_reader
from qc_assets.serving.app import create_app
from qc_assets.serving.feedback_links import Answered, FeedbackLinks, LinkError
from qc_assets.serving.keys import keys_file, make_key
from qc_assets.settings import Settings
from qc_assets.sources.fake.fake_server import VirtualClock
from tests.conftest import copy_of

TASK = "acme/atlas#9007"


@pytest.fixture(scope="module")
def settings(small_home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    copy = copy_of(small_home, tmp_path_factory.mktemp("feedback"))
    return copy.model_copy(update={"public_url": "https://qc.example.org/"})


@pytest.fixture(scope="module")
def keys(settings: Settings) -> dict[str, str]:
    rights = {"amy": ["feedback"], "bob": ["feedback"], "ci": ["predict"]}
    return {name: make_key(keys_file(settings.journal_file), name, chosen) for name, chosen in rights.items()}


@pytest.fixture(scope="module")
def client(settings: Settings, keys: dict[str, str]) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as opened:
        yield opened


@pytest.fixture
def link(settings: Settings) -> str:
    url = FeedbackLinks.from_settings(settings).to(TASK, 3, 0.81234)
    assert url is not None and url.startswith("https://qc.example.org/feedback?about=")
    return parse_qs(urlsplit(url).query)["about"][0]


def login(keys: dict[str, str], name: str) -> dict[str, Any]:
    """As a browser sends a password."""
    return {"auth": ("whoever", keys[name])}


def hidden(page: str) -> dict[str, str]:
    return {
        name: html.unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)
    }


def entries(client: TestClient) -> list[dict[str, Any]]:
    journal = client.app.state.serving.settings.journal_file  # type: ignore[attr-defined]
    return [entry["document"] for entry in journal_reader.latest(journal, ["feedback"], 100)]


def test_the_link_itself_opens_nothing(client: TestClient, keys: dict[str, str], link: str) -> None:
    alone = client.get("/feedback", params={"about": link})
    assert alone.status_code == 401 and "Basic" in alone.headers["www-authenticate"]
    assert client.get("/feedback", params={"about": link}, **login(keys, "ci")).status_code == 403
    assert client.post("/feedback/form", data={"about": link, "answer": "outcome:passed"}).status_code == 401


def test_what_the_form_says_is_written_down_under_the_key_and_counts_once(
    client: TestClient, keys: dict[str, str], link: str
) -> None:
    shown = client.get("/feedback", params={"about": link}, **login(keys, "amy"))
    assert shown.status_code == 200 and "script" not in shown.text and "0.81" in shown.text and TASK in shown.text
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    assert entries(client) == [], "a GET writes nothing down"
    sent = hidden(shown.text) | {"answer": "outcome:failed", "reason": "<b>It broke.</b>", "given_by": "somebody else"}
    taken = [client.post("/feedback/form", data=sent, **login(keys, "amy")) for _ in range(2)]
    assert [page.status_code for page in taken] == [200, 200] and "written down" in taken[0].text
    assert "known already" in taken[1].text
    (entry,) = entries(client)
    kept = ("model", "kind", "task_id", "label", "reason", "given_by", "received_key")
    assert [entry[name] for name in kept] == ["p0", "outcome", TASK, "failed", "<b>It broke.</b>", "amy", "amy"]
    again = client.get("/feedback", params={"about": link}, **login(keys, "bob"))
    sent = hidden(again.text) | {"answer": "override:priority_review"}
    assert client.post("/feedback/form", data=sent, **login(keys, "bob")).status_code == 200
    assert [(entry["kind"], entry["given_by"]) for entry in entries(client)] == [
        ("override", "bob"),
        ("outcome", "amy"),
    ]


def test_a_form_that_was_not_shown_to_the_same_key_is_refused(
    client: TestClient, keys: dict[str, str], link: str, settings: Settings
) -> None:
    before = entries(client)
    form = hidden(client.get("/feedback", params={"about": link}, **login(keys, "amy")).text)
    other = FeedbackLinks.from_settings(settings).signed(Answered("acme/atlas#1", 3, 0.5, 2**40))
    for sent, name in (
        (form, "bob"),
        (form | {"form": ""}, "amy"),
        (form | {"form": form["form"][:-1] + "x"}, "amy"),
        (form | {"about": other}, "amy"),
        (form | {"about": "é" * 50}, "amy"),
        ({"about": link, "form": "9" * 12 + ".0." + "0" * 64}, "amy"),
    ):
        page = client.post("/feedback/form", data=sent | {"answer": "outcome:passed"}, **login(keys, name))
        assert page.status_code == 403, page.text
    # What a page elsewhere makes a browser send is refused whatever it has.
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    sent = form | {"answer": "outcome:passed"}
    assert client.post("/feedback/form", data=sent, headers=foreign, **login(keys, "amy")).status_code == 403
    # A link on GitHub's page may be followed.
    follows = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/feedback", params={"about": link}, headers=follows, **login(keys, "amy")).status_code == 200
    assert entries(client) == before


def test_what_is_wrong_is_said_and_what_was_typed_stays(client: TestClient, keys: dict[str, str], link: str) -> None:
    before = entries(client)
    form = hidden(client.get("/feedback", params={"about": link}, **login(keys, "amy")).text)
    typed = '"><script>alert(1)</script>'
    for answer in ("", "outcome:maybe", "category:functional", "override:give_up"):
        page = client.post("/feedback/form", data=form | {"answer": answer, "reason": typed}, **login(keys, "amy"))
        assert page.status_code == 422 and "This was not written down" in page.text, answer
        assert "<script>" not in page.text and html.escape(typed, quote=False)[2:] in page.text.replace("&#34;", '"')
        assert 'action="form"' in page.text
    many = "&".join(f"a{number}=1" for number in range(50))
    assert client.post("/feedback/form", content=many, **login(keys, "amy")).status_code == 422
    for about in ("", "x", link + "0", link[1:], "é.é", "." * 5_000):
        assert client.get("/feedback", params={"about": about}, **login(keys, "amy")).status_code == 410
    assert entries(client) == before


def test_who_has_the_shared_key_or_none_says_a_name(small_home: Settings, tmp_path: Path) -> None:
    settings = copy_of(small_home, tmp_path)
    link = FeedbackLinks.from_settings(settings).signed(Answered(TASK, 3, 0.8, 2**40))
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        form = hidden(client.get("/feedback", params={"about": link}).text) | {"answer": "outcome:passed"}
        assert "your name" in client.post("/feedback/form", data=form).text
        assert client.post("/feedback/form", data=form | {"given_by": "carol"}).status_code == 200
        assert [(entry["given_by"], entry["received_key"]) for entry in entries(client)] == [("carol", None)]


def test_links_end_and_are_of_this_home(tmp_path: Path) -> None:
    clock = VirtualClock(datetime(2026, 1, 31, 12))
    links = FeedbackLinks(b"secret", "https://qc.example.org", clock)
    url = links.to(TASK, 3, 0.81234)
    assert url is not None and links.to(TASK, 3, 0.81234) == url, "the same answer has the same link"
    about = parse_qs(urlsplit(url).query)["about"][0]
    assert links.read(about).task == TASK and links.read(about).p0 == 0.8123
    form = links.form(about, "amy")
    links.refuse_foreign_form(form, about, "amy")
    clock.sleep(3_601)
    with pytest.raises(LinkError, match="within the last hour"):
        links.refuse_foreign_form(form, about, "amy")
    with pytest.raises(LinkError, match="not made here"):
        FeedbackLinks(b"another", "https://qc.example.org", clock).read(about)
    clock.sleep(timedelta(days=181).total_seconds())
    with pytest.raises(LinkError, match="is over"):
        links.read(about)
    assert FeedbackLinks(b"secret", "", clock).to(TASK, 3, 0.8) is None
