"""What a change is: its files, who is asked, what it links to, how much of the form it keeps; all as of the opening."""

import random
from collections.abc import Iterator
from typing import Any

import duckdb
import polars as pl
import pytest

from qc_assets.features.contract import contract_of
from qc_assets.store.schema import define_functions
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.features.test_leakage import OUTCOMES
from tests.histories import changed_file, issue, pull_request, request, review

FACTS = (
    *("touches_tests", "documentation_only", "machine_made_share", "path_depth", "extensions", "files_prior_changes"),
    *("files_failed_share", "files_known_share", "reviewers_asked", "asked_changes_rate", "closes_issues"),
    *("linked_issue_age_hours", "linked_issue_is_own", "checklist_ticked_share", "form_kept", "base_share"),
    *("is_from_fork", "author_open_prs", "author_opened_in_hour", "author_opened_in_day"),
)
MONTH = 30 * 24


@pytest.fixture
def memory(warehouse: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    with histories.memory(warehouse) as connection:
        yield connection


def told(memory: duckdb.DuckDBPyConnection, number: int, **rows: Any) -> dict[str, Any]:
    """The row of a pull request in a history."""
    histories.put(memory, rows)
    return histories.features(memory, "pull_requests").filter(number=number).row(0, named=True)


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("src/a.py", ""),
        ("tests/a.py", "test"),
        ("src/test_a.py", "test"),
        ("web/a.spec.ts", "test"),
        ("contest/a.py", ""),
        ("latest.py", ""),
        ("docs/a.md", "text"),
        ("README", "text"),
        ("CHANGELOG.md", "text"),
        ("poetry.lock", "machine"),
        ("web/package-lock.json", "machine"),
        ("vendor/x/y.go", "machine"),
        ("api/a_pb2.py", "machine"),
        ("block.py", ""),
        ("x\n/tests/y", "test"),
        ("x" * 4096, ""),
        ("", ""),
    ],
)
def test_kinds_of_files_are_told_by_their_paths(path: str, kinds: str) -> None:
    with duckdb.connect(":memory:") as connection:
        query = "SELECT is_test_path($p), is_text_path($p), is_machine_made_path($p)"
        define_functions(connection, query)
        answer = connection.execute(query, {"p": path}).fetchall()[0]
    assert answer == tuple(kind in kinds.split() for kind in ("test", "text", "machine"))


def test_the_files_of_an_opening_and_what_became_of_earlier_changes_of_them(memory: duckdb.DuckDBPyConnection) -> None:
    row = told(
        memory,
        4,
        pull_requests=[
            pull_request(1, 0, closed=10),  # closed without landing: it failed
            pull_request(2, 1, author=2, merged=10),
            pull_request(3, 2, author=2, closed=50),  # it fails later
            pull_request(4, 20),
            pull_request(5, 20),  # opened at the same instant
        ],
        files=[changed_file(n, "src/a.py") for n in (1, 2, 3, 4, 5)]
        + [changed_file(n, "src/deep/tests/b.PY") for n in (2, 4)]
        + [changed_file(4, "uv.lock"), changed_file(4, "docs/c.md")],
    )
    assert {name: row[name] for name in FACTS[:8]} == {
        "touches_tests": True,
        "documentation_only": False,
        "machine_made_share": 0.25,
        "path_depth": 5 / 4,
        "extensions": 3,
        "files_prior_changes": (3 + 1) / 4,
        "files_failed_share": 1 / 3,  # a.py: one of two that were decided; b.PY: none of one
        "files_known_share": 0.25,
    }


@pytest.mark.parametrize("table", ["pull_requests", "issues"])
def test_rows_have_the_types_of_their_table(table: str, memory: duckdb.DuckDBPyConnection) -> None:
    """The webhook writes measured values down as JSON, which has no decimals."""
    rows = histories.features(memory, table)
    declared = contract_of(table).columns
    facts = [name for name in (*FACTS, "hour", "title_length") if name in declared]
    kinds = {"BIGINT": pl.Int64, "INTEGER": pl.Int32, "DOUBLE": pl.Float64, "BOOLEAN": pl.Boolean}
    assert {name: rows.schema[name] for name in facts} == {name: kinds[declared[name].type] for name in facts}


def test_no_file_that_is_known_leaves_everything_of_files_unknown(memory: duckdb.DuckDBPyConnection) -> None:
    row = told(memory, 1, pull_requests=[pull_request(1, 0)])
    assert {row[name] for name in FACTS[:8]} == {None}


def test_those_who_are_asked_with_the_opening_count_and_later_ones_do_not(memory: duckdb.DuckDBPyConnection) -> None:
    second = 1 / 3600
    row = told(
        memory,
        2,
        pull_requests=[pull_request(1, 0), pull_request(2, 20, author=3, opened_reviewers=1)],
        review_requests=[
            request(2, 8, 20 + 2 * second),
            request(2, 9, 20 + 11 * second),
            request(2, 9, 20, "removed"),
        ],
        reviews=[
            review(1, 1, 5, "CHANGES_REQUESTED", author=8),
            review(2, 1, 6, "APPROVED", author=8),
            review(3, 1, 7, "CHANGES_REQUESTED", author=9),
            review(4, 1, 20, "CHANGES_REQUESTED", author=8),  # at the same instant
        ],
    )
    assert (row["reviewers_asked"], row["asked_changes_rate"]) == (1, 2 / 5)


def test_issues_that_the_opened_text_closes_count_if_they_were_there(memory: duckdb.DuckDBPyConnection) -> None:
    body = "Fixes #10, closes: GH-11 and resolves #12. See #13; prefixes #14; fix #10"
    row = told(
        memory,
        2,
        pull_requests=[pull_request(2, 20, opened_body=body)],
        issues=[issue(10, 5, author=2), issue(11, 8), issue(12, 30), issue(13, 1), issue(14, 1)],
    )
    assert (row["closes_issues"], row["linked_issue_age_hours"], row["linked_issue_is_own"]) == (3, 15, True)
    row = told(memory, 2, pull_requests=[pull_request(2, 20, opened_body="See #13", body="Fixes #10")])
    assert (row["closes_issues"], row["linked_issue_age_hours"]) == (0, None), "a text of later does not count"
    row = told(memory, 2, pull_requests=[pull_request(2, 20, opened_body=None)])
    assert row["closes_issues"] is None


def test_the_form_is_what_half_of_the_descriptions_of_before_had(memory: duckdb.DuckDBPyConnection) -> None:
    form = "## What?\r\nx\r\n### How: \n- [ ] tests"
    before = [pull_request(n, n, opened_body=form if n < 5 else "## Only here") for n in range(1, 7)]
    kept = "text\n# what?\n- [x] tests\n- [X] docs\n- [ ] more"
    asked = pull_request(9, MONTH + 24, opened_body=kept)
    row = told(memory, 9, pull_requests=[*before, asked])
    assert (row["form_kept"], row["checklist_ticked_share"]) == (0.5, 2 / 3)
    row = told(memory, 9, pull_requests=[*before[:4], asked])
    assert row["form_kept"] is None, "four descriptions are no habit"
    row = told(memory, 9, pull_requests=[*before, asked | {"created_at": histories.hour(8 * MONTH)}])
    assert row["form_kept"] is None, "the habit of half a year ago is none"


def test_what_else_the_author_has_open_and_where_pull_requests_go(memory: duckdb.DuckDBPyConnection) -> None:
    prs = [
        pull_request(1, 0, opened_base_ref="main", closed=3),
        pull_request(2, 19.5, opened_base_ref="main", repo=2, merged=40),
        pull_request(3, 1, opened_base_ref="next"),
        pull_request(4, 20, opened_base_ref="main", is_from_fork=True),
        pull_request(5, 20, opened_base_ref="main"),
    ]
    row = told(memory, 4, pull_requests=prs)
    load = ("author_open_prs", "author_opened_in_hour", "author_opened_in_day", "base_share", "is_from_fork")
    assert [row[name] for name in load] == [2, 1, 3, 0.5, True]
    stranger = told(memory, 1, pull_requests=[pull_request(1, 0, author=None)])
    assert {stranger[name] for name in load} == {None}


@pytest.mark.slow
def test_no_fact_of_a_change_knows_anything_later_than_its_opening(memory: duckdb.DuckDBPyConnection) -> None:
    """On one long history in which every fact is known; tests/features/test_leakage.py draws many short ones."""
    chance = random.Random(7)
    bodies = ["## Why\n## How\n- [x] a\n- [ ] b\nfixes #101", "## Why\nresolves #102", "no form, closes #103"]
    paths = ["a.py", "b.py", "docs/c.md", "tests/d.py", "uv.lock"]
    rows: dict[str, list[dict[str, Any]]] = {
        "pull_requests": [], "files": [], "review_requests": [], "reviews": [],
        "issues": [issue(n, chance.randrange(0, 900), author=chance.randint(1, 3)) for n in (101, 102, 103)],
    }  # fmt: skip
    for number in range(1, 61):
        opened = chance.randrange(0, 3 * MONTH)
        ending = {chance.choice(["merged", "closed"]): opened + chance.randrange(1, 200)}
        facts = {"opened_body": chance.choice(bodies), "opened_base_ref": chance.choice(["main", "next"])}
        facts |= {"opened_reviewers": 1, "is_from_fork": chance.random() < 0.5}
        rows["pull_requests"].append(pull_request(number, opened, author=chance.randint(1, 3), **ending, **facts))
        rows["files"] += [changed_file(number, path) for path in chance.sample(paths, 2)]
        for delay in (0, chance.randrange(1, 50)):
            rows["review_requests"].append(request(number, chance.randint(4, 6), opened + delay))
        state, at = chance.choice(["APPROVED", "CHANGES_REQUESTED"]), opened + chance.randrange(1, 100)
        rows["reviews"].append(review(number, number, at, state, author=chance.randint(4, 6)))
    histories.put(memory, rows)
    whole = {row["number"]: row for row in histories.features(memory, "pull_requests").to_dicts()}
    newest = sorted(rows["pull_requests"], key=lambda row: row["created_at"])[-12:]
    assert {name for name in FACTS if any(whole[item["number"]][name] is None for item in newest)} <= {
        "linked_issue_age_hours",
        "linked_issue_is_own",
        "checklist_ticked_share",
    }
    for item in newest:
        histories.put(memory, histories.as_of(rows, item["created_at"], 1, item["number"]))
        then = histories.features(memory, "pull_requests").filter(number=item["number"]).row(0, named=True)
        now = whole[item["number"]]
        assert {name: then[name] for name in then.keys() - OUTCOMES["pull_requests"]} == {
            name: now[name] for name in now.keys() - OUTCOMES["pull_requests"]
        }
