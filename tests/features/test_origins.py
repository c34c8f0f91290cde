"""Who made a change: what the rules say, whom they spare, and whose history is whose."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qc_assets.assets.feature_tables import record_origin_rules
from qc_assets.errors import SettingsError
from qc_assets.features.history import History, history_rows, imagine
from qc_assets.origin_rules import EVIDENCE, ORIGINS, origin_rules
from qc_assets.places import sql_root
from qc_assets.settings import Settings, load_settings
from qc_assets.store.schema import define_functions, sql_sections
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.histories import hour, issue, pull_request, review

LATE = 24 * 800  # hours: by then every rule holds
BOT = {"author_is_bot": True, "author": 5}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    folder = tmp_path_factory.mktemp("origins")
    with histories.memory(Warehouse(folder / "none.duckdb", staging=folder)) as opened:
        yield opened


def made_by(connection: duckdb.DuckDBPyConnection, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """What is said of who made pull requests, by their numbers."""
    histories.put(connection, {"pull_requests": rows})
    query = (
        "FROM origins('raw.pull_requests', 'ml.deliveries', 'ops.machine_accounts', $origin_rules, $origin_marks) "
        "ORDER BY number"
    )
    rules = {name: value for name, value in origin_rules().parameters.items() if name != "origin_version"}
    return connection.execute(query, rules).pl().to_dicts()


def told(connection: duckdb.DuckDBPyConnection, **shown: Any) -> dict[str, Any]:
    """The same of one pull request."""
    row = pull_request(1, shown.pop("at", LATE), author=shown.pop("author", 1)) | {"head_ref": "topic"} | shown
    return made_by(connection, row)[0]


@pytest.mark.parametrize(
    ("shown", "origin", "agent"),
    [
        ({}, "person", None),
        ({"author_login": "Copilot", **BOT}, "agent", "Copilot"),
        ({"author_login": "devin-ai-integration[bot]", **BOT}, "agent", "Devin"),
        ({"author_login": "cursoragent"}, "agent", "Cursor"),
        ({"author_login": "dependabot[bot]", **BOT}, "automation", None),
        ({"author_login": "acme-deploys[bot]", **BOT}, "automation", None),
        ({"opened_via_app": "claude"}, "agent", "Claude Code"),
        ({"head_ref": "codex/fix-the-parser"}, "agent", "Codex"),
        ({"head_ref": "copilot/fix-12"}, "agent", "Copilot"),
        ({"head_ref": "devin/1712345678-add-tests"}, "agent", "Devin"),
        ({"head_ref": "cursor/fix-the-parser-9f65"}, "agent", "Cursor"),
        ({"head_ref": "claude/issue-12-20250601"}, "agent", "Claude Code"),
        ({"head_ref": "claude/fix-parser-011CUQ2yM7pWkq"}, "agent", "Claude Code"),
        ({"head_ref": "renovate/react-19.x"}, "automation", None),
        ({"opened_coauthors": ["Ann <ann@x.org>", "Claude <noreply@anthropic.com>"]}, "assisted", "Claude Code"),
        ({"opened_coauthors": ["Copilot <198982749+Copilot@users.noreply.github.com>"]}, "assisted", "Copilot"),
        ({"opened_coauthors": ["Ann (aider) <ann@x.org>"]}, "assisted", "Aider"),
        ({"opened_body": "x\n\n🤖 Generated with [Claude Code](https://claude.ai/code)"}, "assisted", "Claude Code"),
        ({"opened_body": "x\n\nCo-Authored-By: Claude Opus 4 <noreply@anthropic.com>"}, "assisted", "Claude Code"),
        ({"opened_body": "x\n\n------\nhttps://chatgpt.com/codex/tasks/task_e_68"}, "agent", "Codex"),
        ({"opened_body": "*PR created automatically by Jules for task [1](https://x)*"}, "agent", "Jules"),
        # An assistant without a person is an agent.
        ({"opened_body": "Generated with [Claude Code](x)", "author_login": "acme-ai[bot]", **BOT}, "agent",
         "Claude Code"),
        # Notes of a release quote what others' commits say.
        ({"opened_body": "https://chatgpt.com/codex/tasks/x", "author_login": "dependabot[bot]", **BOT}, "automation",
         None),
        # What the source knows decides.
        ({"told_origin": "assisted", "head_ref": "codex/x"}, "assisted", "Codex"),
        ({"told_origin": "person", "head_ref": "codex/x"}, "person", None),
        ({"opened_body": None, "head_ref": None}, "unknown", None),
        ({"author": None}, "unknown", None),
    ],
)  # fmt: skip
def test_marks_tell_who_made_it(
    connection: duckdb.DuckDBPyConnection, shown: dict[str, Any], origin: str, agent: str | None
) -> None:
    row = told(connection, **shown)
    assert (row["origin"], row["origin_agent"]) == (origin, agent), row["origin_evidence"]


def test_automations_are_left_out_and_nobody_else(connection: duckdb.DuckDBPyConnection) -> None:
    origins = [*ORIGINS, None]
    rows = [pull_request(n, 0, told_origin=origin, author_is_bot=True) for n, origin in enumerate(origins, 1)]
    histories.put(connection, {"pull_requests": rows})
    found = histories.features(connection, "pull_requests")
    assert found["origin"].to_list() == [*ORIGINS, "automation"]
    assert ["bot" in reasons for reasons in found["exclusions"]] == [False, False, False, True, True]
    assert set(found["origin_rules"]) == {origin_rules().version}


@pytest.mark.parametrize(
    "shown",
    [
        {"opened_body": "I asked Claude and Copilot about it; Cursor and Devin agree. Codex would do it otherwise."},
        {"opened_body": "docs: say that `Co-authored-by: Claude <noreply@anthropic.com>` is a trailer"},
        {"opened_body": "```\nGenerated with [Claude Code](https://claude.ai/code)\n```"},
        {"opened_body": "> https://app.devin.ai/sessions/1\n\nI looked at that session and wrote this by hand."},
        {"opened_body": "Thanks to Claude for the review!"},
        {"opened_body": "Co-authored-by: Claude Monet <claude@monet.fr>"},
        {"head_ref": "claude/fix-the-parser"},
        {"head_ref": "claude/fix-issue-12"},
        {"head_ref": "devin/fix-login"},
        {"head_ref": "cursor/blink-rate"},
        {"head_ref": "fix-codex/reader"},
        {"head_ref": "feature/copilot/settings"},
        {"author_login": "claude"},
        {"author_login": "devin"},
        {"author_login": "mcursor"},
        {"opened_coauthors": ["Claude Monet <claude@monet.fr>", "Devin Booker <devin@suns.com>"]},
    ],
)
def test_a_person_who_is_called_like_an_agent_or_speaks_of_one_is_a_person(
    connection: duckdb.DuckDBPyConnection, shown: dict[str, Any]
) -> None:
    row = told(connection, **shown)
    assert row["origin"] == "person", row["origin_evidence"]


def test_nobody_was_an_agent_before_there_were_any(connection: duckdb.DuckDBPyConnection) -> None:
    assert told(connection, head_ref="codex/x", at=0)["origin"] == "person"
    assert told(connection, head_ref="codex/x")["origin"] == "agent"


_names = st.sampled_from(["Codex", "Claude", "Copilot", "Cursor", "Devin", "Jules", "aider", "Amp", "[bot]", "AI", "`"])
_prose = st.lists(st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), _names), max_size=12)


@settings(max_examples=40, deadline=None)
@given(st.lists(_prose.map(" ".join), min_size=1, max_size=25))
@example(["Generated with love by Claude", "Co-authored-by: Devin <d@x.org>", "see claude.ai/code and cursor.com"])
def test_prose_without_marks_is_a_persons(connection: duckdb.DuckDBPyConnection, texts: list[str]) -> None:
    """Whatever agents it names, in the description, the branch and the commits."""
    clean = [text.replace("\x00", "") for text in texts]
    rows = [
        pull_request(n, LATE, opened_body=text, head_ref=f"topic/{text[:60]}", opened_coauthors=[f"{text} <x@y.org>"])
        for n, text in enumerate(clean, 1)
    ]
    assert [(row["origin"], row["origin_evidence"]) for row in made_by(connection, *rows)] == [
        ("person", "no mark in account, branch, commits, text")
    ] * len(rows)


def test_hostile_texts_take_no_longer_than_their_length(connection: duckdb.DuckDBPyConnection) -> None:
    marks = ("```", "> ", "co-authored-by: claude ", "generated with [", "requested by: @", "`", "\n" * 3)
    told(connection)
    for mark in marks:
        begun = time.perf_counter()
        told(connection, opened_body=mark * (1_000_000 // len(mark)) + "chatgpt.com/codex/tasks/")
        assert time.perf_counter() - begun < 10, mark


def test_who_sent_it_is_said_only_where_something_says_so(connection: duckdb.DuckDBPyConnection) -> None:
    devin = {"author_login": "devin-ai-integration[bot]", **BOT}
    assert told(connection, opened_body="x\nRequested by: @ann-b", **devin)["origin_sender"] == "ann-b"
    assert told(connection, opened_body="x, as @ann-b said", **devin)["origin_sender"] is None
    assert told(connection, head_ref="codex/x")["origin_sender"] == "u1", "the account that opened it is a person's"
    assert told(connection)["origin_sender"] is None, "nobody sends a person"
    row = pull_request(1, LATE, author=5) | {"author_login": "Copilot", "author_is_bot": True}
    facts = '{"assignees": ["Copilot", "ann"], "head_ref": "copilot/fix-1"}'
    connection.execute(
        "INSERT INTO ml.deliveries BY NAME SELECT 'c' AS content, 1 AS repo_id, 1 AS number, "
        "$1::TIMESTAMP AS happened_at, 'pull_request' AS event, 'opened' AS action, "
        "$1::TIMESTAMP AS received_at, $2 AS facts",
        [hour(LATE), facts],
    )
    (found,) = made_by(connection, row)
    connection.execute("DELETE FROM ml.deliveries")
    assert (found["origin"], found["origin_sender"]) == ("agent", "ann")


def test_histories_under_one_account_know_nothing_of_each_other(connection: duckdb.DuckDBPyConnection) -> None:
    aider = {"opened_coauthors": ["x (aider) <x@y.z>"]}
    rows = [
        pull_request(1, 0, merged=10),
        pull_request(2, 1, merged=11, told_origin="agent"),
        pull_request(3, 2, closed=12, **aider),
        pull_request(4, 20),
        pull_request(5, 21, told_origin="agent"),
        pull_request(6, 22, **aider),
    ]
    reviews = [review(1, 7, 15, "APPROVED", author=1)]
    other = pull_request(7, 14, author=2)
    histories.put(connection, {"pull_requests": [*rows, other], "reviews": reviews, "issues": [issue(8, 1)]})
    found = {row["number"]: row for row in histories.features(connection, "pull_requests").iter_rows(named=True)}
    facts = ("author_prior_prs", "author_prior_merged", "author_prior_decided", "author_prior_passed")
    assert [found[4][name] for name in facts] == [1, 1, 1, 1]
    assert [found[5][name] for name in facts] == [1, 1, 1, 1]
    assert [found[6][name] for name in facts] == [1, 0, 1, 0]
    assert {found[n]["author_days_since_last_pr"] for n in (4, 5, 6)} == {20 / 24}
    assert {found[n]["author_reviews_given_in_repo"] for n in (4, 5, 6)} == {1}, "a right is the account's"
    assert found[4]["repo_decided_recently"] == 4, "the repository's history is that of all but automations"


def test_what_serving_looks_up_is_of_the_same_hand(warehouse: Warehouse) -> None:
    rows = [
        pull_request(1, 0, merged=3),
        pull_request(2, 1, merged=3, told_origin="agent"),
        pull_request(3, 1, merged=4, author=6, author_login="copilot", told_origin="agent"),
        *(pull_request(4 + n, 50, author=a, told_origin=o) for n, (a, o) in enumerate([(1, None), (1, "agent")])),
        *(pull_request(6 + n, 50, author=a, told_origin=o, repo=2) for n, (a, o) in enumerate([(1, "assisted")])),
    ]
    reviews = [review(1, 3, 2, "APPROVED", author=1), review(2, 1, 2, "APPROVED", author=8)]
    with warehouse.write() as writing:
        histories.put(writing, {"pull_requests": rows, "reviews": reviews})
        histories.cover(writing)
        define_functions(writing)
        trained = histories.features(writing, "pull_requests").filter(opened_at=hour(50))
    parameters = load_settings().feature_parameters("pull_requests")
    with warehouse.overlay() as looking:
        imagine(looking, hour(50), load_settings().origin_parameters)
        history = History.of_rows("pull_requests", history_rows(looking, "pull_requests", parameters))
    for row in trained.iter_rows(named=True):
        looked_up = history.of(row["repo_id"], row["author_id"], row["origin"])
        wanted = {name: row[name] for name in history.contract.history}
        assert {name: looked_up[name] for name in wanted} == wanted, row["number"]
    assert history.of(1, 1)["author_prior_prs"] == 1 and "origin" not in history.of(1, 1)
    assert history.of(1, 6)["origin"] == "agent", "nothing but an agent's work is known of that account"
    assert history.of(1, 8, "agent")["author_reviews_given_in_repo"] == 1


def test_the_verdict_of_an_agent_is_no_persons(warehouse: Warehouse) -> None:
    """Also where GitHub calls its account a user."""
    users = [{"user_id": 7, "login": "cursoragent", "is_bot": False}, {"user_id": 9, "login": "u9", "is_bot": False}]
    with warehouse.write() as writing:
        verdicts = [review(1, 1, 1, "APPROVED", author=7), review(2, 1, 2, "CHANGES_REQUESTED", author=9)]
        histories.put(writing, {"pull_requests": [pull_request(1, 0)], "reviews": verdicts, "users": users})
        histories.cover(writing)
    warehouse.rebuild("ops/machine_accounts", load_settings().machine_parameters)
    warehouse.rebuild("features/pull_requests", load_settings().feature_parameters("pull_requests"))
    assert warehouse.query("SELECT passed FROM features.pull_requests").item() is False
    assert warehouse.query("SELECT login, evidence FROM ops.machine_accounts").rows() == [("cursoragent", "agent")]
    spared = load_settings(machine_accounts="-cursoragent").machine_parameters
    assert warehouse.rebuild("ops/machine_accounts", spared) == 0


def own_rules(folder: Path, *lines: str) -> Path:
    file = folder / "rules.csv"
    file.write_text("\n".join(("matched_against,pattern,origin,agent", *lines)))
    return file


def test_rules_of_ones_own_go_before(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    file = own_rules(tmp_path, "branch,codex/,person,", 'account,"acme-(fixer|helper)",agent,Acme')
    parameters = Settings(_env_file=None, origin_rules=file).feature_parameters("pull_requests")
    rows = [pull_request(1, LATE, head_ref="codex/x"), pull_request(2, LATE, author_login="ACME-fixer", head_ref="y")]
    histories.put(connection, {"pull_requests": rows})
    query = sql_sections("features/pull_requests")["rows"]
    found = connection.execute(query, parameters).pl().sort("number")
    assert found["origin"].to_list() == ["person", "agent"] and found["origin_agent"].to_list() == [None, "Acme"]
    assert set(found["origin_rules"]) == {origin_rules(file).version} != {origin_rules().version}
    file.write_text(file.read_text().replace("Acme", "Other"))
    assert origin_rules(file).version not in set(found["origin_rules"]), "the file is read anew"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("twig,x,agent,A", "matched_against is 'twig'"),
        ("branch,x,robot,A", "origin is 'robot'"),
        ("branch,(,agent,A", "no regular expression"),
        ("branch,(?=x),agent,A", "no regular expression"),
        ("branch,,agent,A", "would match everything"),
        ("body,x*,agent,A", "would match everything"),
        ("branch,a,b,agent", "origin is 'b'"),
        ("branch,a,agent,A,more", "more cells than columns"),
        (f"branch,{'x' * 501},agent,A", "more than 500 characters"),
        ("branch,x,agent,A\x1b[31m", "cannot be printed"),
    ],
)
def test_a_rule_that_is_none_is_refused_with_its_line(tmp_path: Path, line: str, why: str) -> None:
    file = own_rules(tmp_path, "branch,good,agent,A", line)
    with pytest.raises(SettingsError, match=r"rules\.csv, line 3") as refused:
        Settings(_env_file=None, origin_rules=file).feature_parameters("pull_requests")
    assert why in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"pattern,origin\nx,agent\n", b"\xff\xfe\x00", None])
def test_a_file_that_holds_no_rules_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "rules.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"rules\.csv"):
        Settings(_env_file=None, origin_rules=file).feature_parameters("pull_requests")


def test_every_rule_of_the_project_says_why_and_from_where() -> None:
    rules = origin_rules().rules
    as_if_own = origin_rules(sql_root() / "origin_rules.csv").rules
    assert len(as_if_own) == 2 * len(rules), "nothing that a user's file is refused for"
    assert {rule.matched_against for rule in rules} == set(EVIDENCE)
    assert {rule.origin for rule in rules} == set(ORIGINS) - {"person"}
    for rule in rules:
        assert rule.meaning and rule.source.startswith("https://") and not rule.own, rule
        assert rule.since or rule.origin == "automation", f"agents have a first day: {rule}"
        assert rule.agent or rule.origin == "automation" or rule.pattern.startswith("(?m)^\\W*Generated"), rule
    assert len({(rule.matched_against, rule.pattern) for rule in rules}) == len(rules)


def test_each_version_of_the_rules_is_kept_once(warehouse: Warehouse, tmp_path: Path) -> None:
    own: Callable[[], dict[str, Any]] = lambda: Settings(  # noqa: E731
        _env_file=None, origin_rules=own_rules(tmp_path, "branch,ai/,agent,Acme")
    ).feature_parameters("pull_requests")
    warehouse.migrate()
    for parameters in (load_settings().feature_parameters("pull_requests"), own(), own()):
        record_origin_rules(warehouse, parameters)
    kept = warehouse.query("SELECT version, count(*) AS n, count_if(own) AS own FROM ops.origin_rules GROUP BY version")
    n = len(origin_rules().rules)
    assert sorted(kept.select("n", "own").rows()) == [(n, 0), (n + 1, 1)]
