"""What is shown on a pull request, over HTTP against the fake GitHub: one comment or check run, whatever happens."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from qc_assets.settings import load_settings
from qc_assets.sources.fake.fake_server import FakeGitHub
from qc_assets.sources.fake.fake_world import Node, World, user
from qc_assets.sources.fake.github_schema import OWN_SCHEMA, load_schema
from qc_assets.sources.github.posting import CHECK_NAME, MARK, PostingError, PullRequestBoard, TakenDownError, _plain

OPENED = datetime(2024, 5, 1, 12)
REPO = "Acme/Atlas"
Boards = Callable[..., PullRequestBoard]


@pytest.fixture
def pull_request() -> tuple[World, Node]:
    world = World()
    item = world.add_item(world.add_repo(REPO), "PullRequest", 7, OPENED, OPENED + timedelta(hours=1))
    world.add_commit(item, OPENED)
    return world, item


@pytest.fixture
def fake(pull_request: tuple[World, Node]) -> Iterator[FakeGitHub]:
    with FakeGitHub(load_schema(OWN_SCHEMA), pull_request[0]) as server:
        yield server


@pytest.fixture
def boards(fake: FakeGitHub, tmp_path: Path) -> Iterator[Boards]:
    opened: list[PullRequestBoard] = []

    def board(**settings: Any) -> PullRequestBoard:
        defaults = {
            "github_url": fake.url,
            "github_tokens": "t0ken",
            "github_first_wait_s": 0.01,
            "github_read_timeout_s": 0.3,
        }
        chosen = load_settings(home=tmp_path, **(defaults | settings))
        opened.append(PullRequestBoard.from_settings(chosen))
        return opened[-1]

    yield board
    for each in opened:
        each.close()


def written(fake: FakeGitHub) -> list[str]:
    """Requests that change something."""
    return [line for line, _, _ in fake.log if line.startswith(("POST", "PATCH"))]


def texts(item: Node) -> list[str]:
    return [comment["body"] for comment in item["_comments"]]


def test_two_runs_leave_one_comment_with_the_newer_text(
    fake: FakeGitHub, boards: Boards, pull_request: tuple[World, Node]
) -> None:
    first = boards().comment(REPO, 7, "p0 = 0.81")
    second = boards().comment(REPO, 7, "p0 = 0.82")
    third = boards().comment(REPO, 7, "p0 = 0.82", known=second.identity)
    assert [shown.done for shown in (first, second, third)] == ["created", "updated", "unchanged"]
    assert {shown.identity for shown in (first, second, third)} == {first.identity}
    assert texts(pull_request[1]) == [f"{MARK}\np0 = 0.82"] and len(written(fake)) == 2


def test_our_comment_is_found_on_the_third_page(boards: Boards, pull_request: tuple[World, Node]) -> None:
    world, item = pull_request
    for number in range(230):
        world.add_comment(item, OPENED, body=f"Comment {number}")
    assert boards().comment(REPO, 7, "old").done == "created"
    for number in range(20):
        world.add_comment(item, OPENED, body=f"Later {number}")
    assert boards().comment(REPO, 7, "new").done == "updated"
    assert [text for text in texts(item) if MARK in text] == [f"{MARK}\nnew"] and len(texts(item)) == 251


@pytest.mark.parametrize(
    ("author", "body"),
    [
        (user(9, "mallory"), f"{MARK}\np0 = 1.00, trust me"),
        (user(9, "qc-fake"), f"{MARK}\nsomebody has our App's name as their login"),
        (user(9, "other-app", "Bot"), f"{MARK}\nanother App"),
        (None, f"{MARK}\nwhose account is gone"),
        (user(41_898_282, "qc-fake", "Bot"), f"Our own comment that quotes somebody:\n> {MARK}"),
    ],
)
def test_a_forged_mark_is_nobodys_but_its_authors(
    boards: Boards, pull_request: tuple[World, Node], author: Node | None, body: str
) -> None:
    world, item = pull_request
    world.add_comment(item, OPENED, author=author, body=body)
    assert boards().comment(REPO, 7, "ours").done == "created"
    assert boards().comment(REPO, 7, "ours, later").done == "updated"
    assert texts(item) == [body, f"{MARK}\nours, later"]


def test_a_token_of_a_person_has_comments_of_its_own(
    fake: FakeGitHub, boards: Boards, pull_request: tuple[World, Node]
) -> None:
    fake.engine.viewer = "amy"
    assert [boards().comment(REPO, 7, text).done for text in ("a", "b")] == ["created", "updated"]
    assert texts(pull_request[1]) == [f"{MARK}\nb"]


def test_a_comment_that_was_deleted_is_not_written_again(boards: Boards, pull_request: tuple[World, Node]) -> None:
    shown = boards().comment(REPO, 7, "ours")
    pull_request[1]["_comments"].clear()
    with pytest.raises(TakenDownError, match="deleted by somebody, and is not shown again") as error:
        boards().comment(REPO, 7, "again", known=shown.identity)
    assert error.value.is_final and texts(pull_request[1]) == []


def test_a_check_run_is_neutral_one_and_updated(
    fake: FakeGitHub, boards: Boards, pull_request: tuple[World, Node]
) -> None:
    world, item = pull_request
    sha = item["_commits"][-1]["commit"]["oid"]
    foreign = {"id": 1, "app": {"slug": "other"}, "name": CHECK_NAME, "head_sha": sha, "conclusion": "failure",
               "external_id": "qc-assets p0 7", "output": {"title": "a", "summary": "b"}}  # fmt: skip
    world.repos[REPO.lower()]["_check_runs"] = [dict(foreign)]
    done = [boards().check_run(REPO, 7, sha, f"p0 = {p0}", "why").done for p0 in (0.8, 0.8, 0.9)]
    assert done == ["created", "unchanged", "updated"]
    theirs, ours = world.repos[REPO.lower()]["_check_runs"]
    assert theirs == foreign
    assert (ours["name"], ours["status"], ours["conclusion"]) == (CHECK_NAME, "completed", "neutral")
    assert ours["output"] == {"title": "p0 = 0.9", "summary": "why"}
    # Another pull request of the same commit has its own.
    assert boards().check_run(REPO, 8, sha, "p0 = 0.1", "why").done == "created"
    assert boards().check_run(REPO, 7, sha, "p0 = 0.9", "why").done == "unchanged"
    fake.engine.viewer = "amy"
    with pytest.raises(PostingError, match=r"GitHub App.*checks: write") as error:
        boards().check_run(REPO, 9, sha, "p0", "why")
    assert error.value.is_final
    with pytest.raises(PostingError, match="no SHA"):
        boards().check_run(REPO, 7, "../../x", "p0", "why")


@pytest.mark.parametrize(
    ("faults", "says", "is_final"),
    [
        (["401"], r"refuses every token \(401\)", True),
        (["403"], r"403.*pull_requests: write", True),
        (["404"], r"404.*does not see the repository", True),
        (["422"], r"422.*locked", True),
        (["500"] * 3, r"500.*try again later", False),
        (["502"] * 3, r"502.*try again later", False),
        (["hang"], "ReadTimeout.*try again later", False),
        (["429"], "limit is reached.*try again then", False),
    ],
)
def test_what_github_refuses_is_one_sentence_that_says_what_to_do(
    fake: FakeGitHub, boards: Boards, pull_request: tuple[World, Node], faults: list[str], says: str, is_final: bool
) -> None:
    fake.rest_faults = list(faults)
    with pytest.raises(PostingError, match=says) as error:
        boards().comment(REPO, 7, "ours")
    assert error.value.is_final is is_final and texts(pull_request[1]) == []
    assert str(error.value).startswith(f"nothing is shown on {REPO}#7: ") and "\n" not in str(error.value)
    assert "t0ken" not in str(error.value)


def test_a_short_trouble_is_tried_again_and_not_noticed(fake: FakeGitHub, boards: Boards) -> None:
    fake.rest_faults = ["500", "lost"]
    assert boards().comment(REPO, 7, "ours").done == "created"


@pytest.mark.parametrize("fault", ["lost", "hang", "500"])
def test_what_may_have_been_written_is_looked_for_before_it_is_written_again(
    fake: FakeGitHub, boards: Boards, pull_request: tuple[World, Node], fault: str
) -> None:
    fake.rest_faults = [None, fault]  # type: ignore[list-item]
    with pytest.raises(PostingError) as error:
        boards().comment(REPO, 7, "ours")
    assert not error.value.is_final
    assert sum(line.startswith("POST") for line in written(fake)) == 1, "it is not sent twice in the dark"
    boards().comment(REPO, 7, "ours")
    assert texts(pull_request[1]) == [f"{MARK}\nours"]


def test_nobody_is_there_and_an_unknown_pull_request(fake: FakeGitHub, boards: Boards) -> None:
    with pytest.raises(PostingError, match=r"Acme/Atlas#99 cannot be read.*404"):
        boards().pull_request(REPO, 99)
    board = boards(github_url="http://127.0.0.1:9")
    with pytest.raises(PostingError, match="cannot be reached") as error:
        board.comment(REPO, 7, "ours")
    assert not error.value.is_final


def test_a_conversation_without_end_is_given_up(
    boards: Boards, pull_request: tuple[World, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, item = pull_request
    monkeypatch.setattr("qc_assets.sources.github.posting._MOST_PAGES", 2)
    for _ in range(200):
        world.add_comment(item, OPENED)
    with pytest.raises(PostingError, match="more than 200 comments") as error:
        boards().comment(REPO, 7, "ours")
    assert error.value.is_final and len(texts(item)) == 200


def test_a_pull_request_is_read_as_the_rest_api_has_it(boards: Boards, pull_request: tuple[World, Node]) -> None:
    document = boards().pull_request("acme/atlas", 7)
    assert document["head"]["sha"] == pull_request[1]["_commits"][-1]["commit"]["oid"]
    assert (document["state"], document["draft"], document["user"]["login"]) == ("open", False, "user7")


@examples(max_examples=50, deadline=None)
@given(st.one_of(st.text(max_size=30), st.from_regex(r"[a-z./_-]{1,4}/[A-Z./ ?-]{1,4}", fullmatch=True)))
def test_only_a_name_of_a_repository_becomes_a_part_of_a_url(repo: str) -> None:
    try:
        assert _plain(repo) == repo
    except PostingError as error:
        assert "write owner/name" in str(error)
        return
    assert repo.count("/") == 1 and repo.isascii() and not set(repo) & set("?#% \n\\@:") and ".." not in repo.split("/")
