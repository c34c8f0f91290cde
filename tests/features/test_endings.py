"""Landed is merged, closed is not resolved, and a program is no reviewer."""

from typing import Any

import polars as pl
import pytest

from qc_assets.assets.feature_tables import _approvals_land, _open_ones_are_there
from qc_assets.settings import load_settings
from qc_assets.store.inserts import put
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.histories import hour, issue, label, pull_request, review


def _compute(warehouse: Warehouse, table: str, **rows: Any) -> dict[int, dict[str, Any]]:
    with histories.memory(warehouse) as connection:
        histories.put(connection, rows)
        query = sql_sections("ops/machine_accounts")["rows"].rstrip(";")
        parameters = load_settings(machine_accounts="u7,-u8").machine_parameters
        connection.execute(f"INSERT INTO ops.machine_accounts {query}", parameters)
        frame: pl.DataFrame = histories.features(connection, table)
    return {row["number"]: row for row in frame.to_dicts()}


def _said(n: int, number: int, at: float, body: str, *, author: int = 9, **changes: Any) -> dict[str, Any]:
    author_of = {"author_id": author, "author_login": f"u{author}", "author_is_bot": False}
    where = {"comment_id": n, "repo_id": 1, "number": number, "author_association": "MEMBER", "created_at": hour(at)}
    return where | author_of | {"body": body} | changes


LANDED = "Landed in 0123abc"
BORS = "[Merged by Bors] - feat: x"
# How a pull request ended, a comment or label on it, and what says that it landed.
LANDINGS: list[tuple[dict[str, Any], tuple[float, str, str] | None, str | None]] = [
    ({"merged": 5}, None, "merged"),
    ({"closed": 5, "closed_with": "commit"}, None, "closing_commit"),
    ({"closed": 5, "closed_with": "pull_request"}, None, None),
    ({"closed": 5, "closed_title": BORS, "closed_by_id": 99}, None, "title"),
    ({"closed": 5, "closed_title": BORS, "closed_by_id": 4}, None, None),  # by its author, the fourth
    ({"closed": 5, "closed_title": "Merged lists"}, None, None),
    ({"closed_title": BORS}, None, None),
    ({"closed": 5}, (4.9, "MEMBER", LANDED), "comment"),
    ({"closed": 5}, (4.9, "MEMBER", "See 0123abc, which landed"), None),
    ({"closed": 5}, (5.1, "MEMBER", LANDED), None),
    ({"closed": 5}, (5, "NONE", LANDED), None),
    ({"closed": 5}, (4, "label", "Merged"), "label"),
    ({"closed": 5}, (6, "label", "Merged"), None),
]


def test_what_landed_is_a_success_and_counts_in_every_history(warehouse: Warehouse) -> None:
    unknown = dict.fromkeys(("closed_with", "closed_title", "closed_by_id"))
    rows: dict[str, list[dict[str, Any]]] = {
        "pull_requests": [],
        "issue_comments": [],
        "label_events": [],
        "issues": [],
    }
    for n, (changes, sign, _) in enumerate(LANDINGS):
        rows["pull_requests"] += [
            unknown | pull_request(1 + n, 0, author=n, **changes), unknown | pull_request(101 + n, 10, author=n)
        ]  # fmt: skip
        rows["issues"].append(issue(201 + n, 20, author=n))
        if sign is not None and sign[1] == "label":
            rows["label_events"].append(label(1 + n, sign[2], sign[0]))
        elif sign is not None:
            rows["issue_comments"].append(_said(1 + n, 1 + n, sign[0], sign[2], author_association=sign[1]))
    prs, issues = (_compute(warehouse, table, **rows) for table in ("pull_requests", "issues"))
    for n, (changes, sign, evidence) in enumerate(LANDINGS):
        row, later = prs[1 + n], prs[101 + n]
        over, landed = "closed" in changes or "merged" in changes, int(evidence is not None)
        assert row["landed_evidence"] == evidence, (changes, sign)
        assert row["passed"] == (bool(landed) if over else None)
        assert row["landed_at"] == (hour(5) if landed else None)
        known = (later["author_prior_merged"], later["author_prior_merged_in_repo"], later["author_is_newcomer"])
        if n:  # 0 is nobody's id
            assert known == (landed, landed, not landed)
            assert issues[201 + n]["author_prior_merged_in_repo"] == landed


# How an issue was closed, which labels it had, and how that ended it.
ENDINGS: list[tuple[dict[str, Any], list[tuple[str, float, str]], str | None]] = [
    ({"closed": 5}, [], "completed"),
    ({"closed": 5, "state_reason": "completed"}, [], "completed"),
    ({"closed": 5, "state_reason": "not_planned"}, [], "not_planned"),
    ({"closed": 5, "state_reason": "duplicate"}, [], "duplicate"),
    ({"closed": 5, "state_reason": "completed", "closed_by_is_bot": True}, [], "stale"),
    ({"closed": 5, "closed_by_id": 7, "closed_by_is_bot": False}, [], "stale"),
    ({"closed": 5, "closed_by_is_bot": True, "closed_with": "pull_request"}, [], "completed"),
    ({"closed": 5}, [("lifecycle/rotten", 3, "labeled")], "stale"),
    ({"closed": 5}, [("Stale", 3, "labeled"), ("Stale", 4, "unlabeled")], "completed"),
    ({"closed": 5}, [("stale", 6, "labeled")], "completed"),
    ({"closed": 5}, [("Duplicate", 1, "labeled")], "duplicate"),
    ({"closed": 5}, [("wontfix", 1, "labeled")], "not_planned"),
    ({}, [("stale", 3, "labeled")], None),
]


def test_only_what_is_completed_is_resolved(warehouse: Warehouse) -> None:
    unknown = dict.fromkeys(("state_reason", "closed_with", "closed_by_id", "closed_by_is_bot"))
    rows = _compute(
        warehouse,
        "issues",
        users=[{"user_id": 7, "login": "u7", "is_bot": False}],
        issues=[unknown | issue(n, 0, **changes) for n, (changes, _, _) in enumerate(ENDINGS, 1)],
        label_events=[label(n, *event) for n, (_, events, _) in enumerate(ENDINGS, 1) for event in events],
    )
    for n, (changes, events, ending) in enumerate(ENDINGS, 1):
        row = rows[n]
        assert row["ending"] == ending, (changes, events)
        assert row["resolution_hours"] == (5 if ending == "completed" else None)
        assert (row["censored_hours"] is None) == (ending is not None)
        assert row["closed_in_7_days"] is (ending is not None)


def test_what_a_webhook_told_of_the_very_closing_fills_in_what_the_source_does_not_say(warehouse: Warehouse) -> None:
    unsaid = dict.fromkeys(("state_reason", "closed_by_id", "closed_by_is_bot"))
    issues = [unsaid | issue(n, 0, closed=5) for n in (1, 2, 3)]
    issues += [unsaid | issue(4, 0, closed=5, state_reason="completed", closed_by_is_bot=False), unsaid | issue(5, 0)]
    by_program = {"closed_by_id": 99, "closed_by_login": "sweeper[bot]", "closed_by_is_bot": True}
    told: list[dict[str, Any]] = [
        {"number": 1, "closed_at": hour(5), "state_reason": "not_planned"},
        {"number": 2, "closed_at": hour(5), "state_reason": "completed"} | by_program,
        {"number": 3, "closed_at": hour(4), "state_reason": "duplicate"},  # it was opened again since
        {"number": 4, "closed_at": hour(5), "state_reason": "not_planned"} | by_program,
        {"number": 5, "closed_at": hour(5), "state_reason": "not_planned"},
    ]
    with warehouse.write() as connection:
        histories.cover(connection)
        histories.put(connection, {"issues": issues})
        put(connection, "ml.closings", pl.DataFrame([{"repo_id": 1} | row for row in told], infer_schema_length=None))
    warehouse.rebuild("features/issues", load_settings().feature_parameters("issues"))
    endings = dict(warehouse.query("SELECT number, ending FROM features.issues").rows())
    assert endings == {1: "not_planned", 2: "stale", 3: "completed", 4: "completed", 5: None}


def test_accounts_of_type_user_that_are_programs_decide_nothing(warehouse: Warehouse) -> None:
    users = [{"user_id": n, "login": f"u{n}", "is_bot": False} for n in range(1, 12)]
    template = "**Review summary** of the change, with all that was looked at and what came of it: {} findings in `{}`."
    said = [_said(n, 1, 1, template.format(n, f"f{n}.py") + "x" * n, author=5) for n in range(60)]
    said += [_said(100 + n, 1, 1, f"This comment was generated automatically ({n}).", author=6) for n in range(25)]
    said += [_said(200 + n, 1, 1, f"I am a bot, {n}.", author=8) for n in range(25)]
    said += [_said(300 + n, 1, 1, "LGTM", author=9) for n in range(500)]
    said += [
        _said(900 + n, 1, 1, f"{n} things are wrong here, " + f"as number {n} says " * 9, author=10) for n in range(40)
    ]
    reviewers = (5, 6, 7, 8, 9, 10)
    rows = _compute(
        warehouse,
        "pull_requests",
        users=users,
        issue_comments=said,
        pull_requests=[pull_request(n, 0, closed=9) for n in reviewers],
        reviews=[review(n, n, 2, "APPROVED", author=n) for n in reviewers],
    )
    # A person says so of u8, who only looks like one; LGTM is no template, and 40 texts are too few.
    assert {n: row["passed"] for n, row in rows.items()} == {5: False, 6: False, 7: False, 8: True, 9: True, 10: True}


def test_repositories_whose_approvals_end_in_closed_are_named(warehouse: Warehouse) -> None:
    prs = [pull_request(n, 0, repo=1 + n % 2, closed=9) for n in range(1, 61)]
    for row in prs:
        row["merged_at"] = row["closed_at"] if row["repo_id"] == 2 else None
    rows = {
        "pull_requests": prs,
        "reviews": [review(row["number"], row["number"], 2, "APPROVED", repo=row["repo_id"]) for row in prs],
        "repositories": [{"repo_id": 1, "name": "o/squashed"}, {"repo_id": 2, "name": "o/plain"}],
    }
    with warehouse.write() as connection:
        histories.cover(connection)
        histories.put(connection, rows)
    warehouse.rebuild("features/pull_requests", load_settings().feature_parameters("pull_requests"))
    result = _approvals_land(warehouse)
    assert not result.passed and result.severity is not None and result.severity.value == "WARN"
    assert next(iter(result.metadata.values())).value == "o/squashed: 30 of 30"


@pytest.mark.parametrize("still_open", [0, 1])
def test_a_history_of_closed_ones_only_is_named(warehouse: Warehouse, still_open: int) -> None:
    rows = {
        "issues": [issue(n, 0, closed=None if n <= still_open else 9) for n in range(1, 151)]
        + [issue(n, 0, repo=2, closed=9) for n in range(1, 51)],
        "repositories": [{"repo_id": 1, "name": "o/exported"}, {"repo_id": 2, "name": "o/small"}],
    }
    with warehouse.write() as connection:
        histories.cover(connection)
        histories.put(connection, rows)
    warehouse.rebuild("features/issues", load_settings().feature_parameters("issues"))
    result = _open_ones_are_there(warehouse, "issues")
    assert result.passed == (still_open > 0) and result.severity is not None and result.severity.value == "WARN"
    expected = "in no repository" if still_open else "o/exported: 150"
    assert next(iter(result.metadata.values())).value == expected


def test_endings_compete_and_open_issues_count_for_as_long_as_they_were_watched(warehouse: Warehouse) -> None:
    day = 24
    issues = [
        issue(1, 0, closed=day / 2),
        issue(2, 0, closed=2 * day, state_reason="duplicate"),
        issue(3, 27 * day),  # watched for three days
        issue(4, 0, closed=5 * day, closed_by_is_bot=True),
        issue(5, 0, closed=6 * day),
        issue(6, 0),
    ]
    with warehouse.write() as connection:
        histories.cover(connection, days=30)
        histories.put(connection, {"issues": issues, "repositories": [{"repo_id": 1, "name": "o/r"}]})
    warehouse.rebuild("features/issues", load_settings().feature_parameters("issues"))
    warehouse.rebuild("reports/issue_endings")
    rows = warehouse.query(
        "SELECT ending, cumulative_incidence FROM reports.issue_endings WHERE repo = 'all' AND days = 7"
    )
    # By hand: a sixth each at 0.5 and 2 days; the third leaves at 3 days, and three share what is left of four sixths.
    expected = {"completed": 1 / 6 + 2 / 9, "duplicate": 1 / 6, "stale": 2 / 9, "not_planned": 0.0}
    assert dict(rows.rows()) == pytest.approx(expected)
    days = warehouse.query("SELECT DISTINCT days FROM reports.issue_endings ORDER BY ALL").rows()
    assert days == [(1,), (7,), (30,)], "nobody was watched for longer"
