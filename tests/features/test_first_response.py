"""The first response to a pull request: by whom, by what, when, and what is known of it at a later opening."""

from collections.abc import Iterator
from typing import Any

import duckdb
import polars as pl
import pytest

from qc_assets.models.first_response import SPEC
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.histories import comment, hour, pull_request, review

LABELS = ("first_response_hours", "first_response_by", "closed_unanswered_at")


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    with histories.memory(warehouse) as opened:
        yield opened


def labels_of(connection: duckdb.DuckDBPyConnection, item: dict[str, Any], **others: Any) -> tuple[Any, ...]:
    """The label columns of one pull request, opened at hour 10, with what was done to it."""
    histories.put(connection, {"pull_requests": [item], **others})
    return histories.features(connection, "pull_requests").select(*LABELS).row(0)


def test_the_first_of_all_acts_counts_and_says_what_it_was(connection: duckdb.DuckDBPyConnection) -> None:
    acts = {
        "reviews": [review(1, 1, 15, "COMMENTED")],
        "issue_comments": [comment(1, 1, 13)],
        "review_comments": [comment(1, 1, 14)],
    }
    assert labels_of(connection, pull_request(1, 10), **acts) == (3.0, "comment", None)
    acts["reviews"].append(review(2, 1, 13, "APPROVED"))
    assert labels_of(connection, pull_request(1, 10), **acts) == (3.0, "review", None), "at the same instant"
    acts["review_comments"].append(comment(2, 1, 12.5))
    assert labels_of(connection, pull_request(1, 10), **acts) == (2.5, "review_comment", None)


def test_what_is_said_at_the_instant_of_the_opening_is_a_response(connection: duckdb.DuckDBPyConnection) -> None:
    assert labels_of(connection, pull_request(1, 10), issue_comments=[comment(1, 1, 10)]) == (0.0, "comment", None)
    before = labels_of(connection, pull_request(1, 10), issue_comments=[comment(1, 1, 9.9)])
    assert before == (None, None, None), "a clock that is wrong is no response"


@pytest.mark.parametrize("table", ["issue_comments", "review_comments"])
def test_authors_and_programs_do_not_respond(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    said = {table: [comment(1, 1, 11, author=1), comment(2, 1, 12, author=7, bot=True), comment(3, 1, 13, author=8)]}
    connection.execute("INSERT INTO ops.machine_accounts VALUES (8, 'u8', 'setting', 0, NULL)")
    assert labels_of(connection, pull_request(1, 10), **said) == (None, None, None)
    said[table].append(comment(4, 1, 17))
    kind = {"issue_comments": "comment", "review_comments": "review_comment"}[table]
    assert labels_of(connection, pull_request(1, 10), **said) == (7.0, kind, None)


def test_closing_by_somebody_else_is_a_response_and_by_the_author_it_ends_the_wait(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    others = {"closed_by_id": 9, "closed_by_login": "u9"}
    own = {"closed_by_id": 1, "closed_by_login": "u1"}
    assert labels_of(connection, pull_request(1, 10, closed=14, **others)) == (4.0, "closing", None)
    assert labels_of(connection, pull_request(1, 10, merged=14, merged_by_id=9)) == (4.0, "merge", None)
    assert labels_of(connection, pull_request(1, 10, merged=14, merged_by_id=1)) == (None, None, hour(14))
    assert labels_of(connection, pull_request(1, 10, closed=14, **own)) == (None, None, hour(14))
    assert labels_of(connection, pull_request(1, 10, closed=14)) == (None, None, hour(14)), "nobody knows who"
    machine = {"closed_by_id": 7, "closed_by_login": "stale", "closed_by_is_bot": True}
    assert labels_of(connection, pull_request(1, 10, closed=14, **machine)) == (None, None, hour(14))


def test_what_comes_after_the_end_is_no_response(connection: duckdb.DuckDBPyConnection) -> None:
    own = {"closed_by_id": 1, "closed_by_login": "u1"}
    late = labels_of(connection, pull_request(1, 10, closed=14, **own), issue_comments=[comment(1, 1, 15)])
    assert late == (None, None, hour(14))
    at_the_end = labels_of(connection, pull_request(1, 10, closed=14, **own), issue_comments=[comment(1, 1, 14)])
    assert at_the_end == (4.0, "comment", None)


def test_a_deleted_account_is_another_person_unless_the_authors_is_deleted_too(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    ghost = [comment(1, 1, 12, author=None)]
    assert labels_of(connection, pull_request(1, 10), issue_comments=ghost) == (2.0, "comment", None)
    by_a_ghost = pull_request(1, 10, author=None)
    assert labels_of(connection, by_a_ghost, issue_comments=ghost) == (None, None, None)
    assert labels_of(connection, by_a_ghost, issue_comments=[comment(1, 1, 12)]) == (2.0, "comment", None)


def test_medians_are_of_what_had_been_answered_before_and_of_people_only(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = {
        "pull_requests": [
            pull_request(1, 0, author=1),
            pull_request(2, 0, author=2),
            pull_request(3, 0, author=3, author_is_bot=True),
            pull_request(4, 8, author=1),
            pull_request(5, 9, author=1),
            pull_request(6, 9, author=2, repo=2),
        ],
        "issue_comments": [comment(1, 1, 2), comment(2, 2, 8), comment(3, 3, 1), comment(4, 4, 20)],
    }
    histories.put(connection, rows)
    names = ("author_hours_to_first_response", "repo_hours_to_first_response")
    known = {row[0]: row[1:] for row in histories.features(connection, "pull_requests").select("number", *names).rows()}
    assert known[1] == known[2] == (None, None)
    assert known[4] == (2.0, 2.0), "the answer of the very instant is not known yet"
    assert known[5] == (2.0, 5.0)
    assert known[6] == (None, None), "of another repository"


def test_drafts_are_left_out_and_small_ones_are_in(warehouse: Warehouse) -> None:
    from qc_assets.features.model_rows import model_rows
    from qc_assets.settings import load_settings

    rows = {
        "pull_requests": [
            pull_request(1, 0, opened_is_draft=True),
            pull_request(2, 0, opened_additions=1, opened_deletions=0),
            pull_request(3, 0, author_is_bot=True),
            pull_request(4, 0),
        ],
        "issue_comments": [comment(n, n, 5) for n in (1, 2, 3)],
    }
    with warehouse.write() as opened:
        histories.put(opened, rows)
        histories.cover(opened)
    warehouse.rebuild("features/pull_requests", load_settings().feature_parameters("pull_requests"))
    frame = model_rows(warehouse, SPEC, is_synthetic=False).sort("number")
    assert frame["number"].to_list() == [2, 4]
    assert frame["first_response_hours"].to_list() == [5.0, None]


def test_feedback_says_hours(warehouse: Warehouse) -> None:
    from qc_assets.features.model_rows import _corrected

    frame = pl.DataFrame(
        {
            "repo_id": [1, 1],
            "number": [1, 2],
            "opened_at": [hour(0), hour(0)],
            "first_response_hours": [None, 3.0],
        }
    )
    feedback = pl.DataFrame(
        {
            "repo_id": [1, 1],
            "number": [1, 2],
            "label": ["12.5", "1"],
            "given_at": [hour(20), hour(20)],
            "received_key": ["a", "a"],
            "arrival": [0, 1],
            "confirmed": [False, False],
            "disputed": [False, False],
        }
    )
    hours = _corrected(frame, SPEC, feedback, 1.0)["first_response_hours"].to_list()
    assert hours == [12.5, 3.0], "where the forge is silent it is the label; else a second key must say so"
