"""What features and labels mean, on histories small enough to check by hand."""

import json
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from qc_assets.features.model_rows import query_of
from qc_assets.models.close_in_7_days import SPEC as CLOSE_IN_7_DAYS
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.histories import issue, label, pull_request, review


@pytest.fixture
def compute(warehouse: Warehouse) -> Any:
    def run(table: str = "pull_requests", **rows: Any) -> dict[int, dict[str, Any]]:
        with histories.memory(warehouse) as connection:
            histories.put(connection, rows)
            frame: pl.DataFrame = histories.features(connection, table)
        return {row["number"]: row for row in frame.to_dicts()}

    return run


@pytest.mark.parametrize(
    ("reviews", "ending", "passed", "cycles", "decided"),
    [
        ([(2, "APPROVED", 9, False)], {"merged": 5}, True, 0, 2),
        ([(2, "CHANGES_REQUESTED", 9, False), (3, "APPROVED", 9, False)], {"merged": 5}, False, 1, 2),
        ([(2, "COMMENTED", 9, False)], {"merged": 5}, True, 0, 5),
        ([], {"closed": 5}, False, 0, 5),
        ([], {}, None, 0, None),
        ([(2, "APPROVED", 1, False)], {"closed": 5}, False, 0, 5),
        ([(2, "APPROVED", 9, True)], {"closed": 5}, False, 0, 5),
        ([(6, "CHANGES_REQUESTED", 9, False)], {"merged": 5}, True, 0, 5),
        ([(2, "CHANGES_REQUESTED", 9, False), (3, "CHANGES_REQUESTED", 8, False)], {}, False, 2, 2),
    ],
    ids=[
        "approved", "changes requested, then approved", "a comment decides nothing", "closed unmerged", "undecided",
        "the author's own review does not count", "a bot's review does not count",
        "a review after the merge does not count", "two rounds",
    ],
)  # fmt: skip
def test_the_label(
    compute: Any, reviews: list, ending: dict, passed: bool | None, cycles: int, decided: int | None
) -> None:
    given = [review(n, 1, at, state, author=who, bot=bot) for n, (at, state, who, bot) in enumerate(reviews, 1)]
    row = compute(pull_requests=[pull_request(1, 0, **ending)], reviews=given)[1]
    expected = None if decided is None else histories.hour(decided)
    assert (row["passed"], row["review_cycles"], row["decided_at"]) == (passed, cycles, expected)
    assert row["exclusion"] == (None if decided else "undecided")


def test_a_later_dismissal_does_not_change_what_the_first_review_said(compute: Any) -> None:
    dismissed = review(1, 1, 2, "CHANGES_REQUESTED") | {"state": "DISMISSED"}
    assert compute(pull_requests=[pull_request(1, 0, merged=5)], reviews=[dismissed])[1]["passed"] is False


def test_history_counts_what_was_decided_before_not_what_was_opened_before(compute: Any) -> None:
    rows = compute(
        pull_requests=[
            pull_request(1, 0, merged=2),
            pull_request(2, 1, merged=30),
            pull_request(3, 10, repo=1),
            pull_request(4, 10, repo=2),
            pull_request(5, 2, author=2),
        ],
        reviews=[review(1, 2, 5, "CHANGES_REQUESTED")],
    )
    third = rows[3]
    assert third["author_prior_prs"] == 2
    assert third["author_prior_merged"] == 1
    assert third["author_prior_decided"] == 2
    assert third["author_average_cycles"] == 0.5
    assert third["author_days_since_last_pr"] == pytest.approx(9 / 24)
    assert third["author_tenure_days"] == pytest.approx(10 / 24)
    assert third["repo_decided_recently"] == 2
    assert third["repo_pass_rate"] == (1 + 1) / (2 + 2)
    assert third["author_pass_rate"] == (1 + 4 * 0.5) / (2 + 4)
    assert third["repo_open_prs"] == 2, "2 is still open, and so is 5"
    assert third["repo_hours_to_first_review"] == 4
    assert third["repo_verdict_share"] == (1 + 1) / (2 + 2), "1 was merged without a verdict"
    assert third["repo_changes_rate"] == (1 + 1) / (1 + 3)
    assert [rows[n]["decided_by_verdict"] for n in (1, 2, 3)] == [False, True, None]
    assert (rows[4]["author_prior_prs"], rows[4]["author_prior_prs_in_repo"]) == (2, 0)
    assert rows[4]["author_is_newcomer"] is True
    assert rows[5]["author_prior_prs"] == 0
    assert rows[5]["repo_decided_recently"] == 0, "1 was merged at that very instant, which is not before it"


def test_standing_is_what_was_done_before_in_the_repository(compute: Any) -> None:
    rows = compute(
        pull_requests=[
            pull_request(1, 0, author=1, merged=4, merged_by_id=2),
            pull_request(2, 0, author=2, merged=4, merged_by_id=2),
            pull_request(3, 4, author=2),
            pull_request(4, 5, author=2),
            pull_request(5, 5, author=2, repo=2),
            pull_request(6, 5, author=3),
            pull_request(7, 5, author=4),
        ],
        issues=[issue(50, 1, author=4)],
        reviews=[
            review(1, 1, 2, "APPROVED", author=3),
            review(2, 1, 3, "COMMENTED", author=3),
            review(3, 2, 3, "APPROVED", author=2),
            review(4, 4, 6, "APPROVED", author=3),
        ],
    )
    standing = ("author_reviews_given_in_repo", "author_merges_given_in_repo", "author_is_first_contribution")
    assert {number: tuple(row[name] for name in standing) for number, row in rows.items()} == {
        1: (0, 0, True),
        2: (0, 0, True),
        3: (0, 0, False),
        4: (0, 1, False),
        5: (0, 0, True),
        6: (1, 0, True),
        7: (0, 0, False),
    }
    seniority = {number: rows[number]["author_seniority"] for number in (4, 5, 6, 7)}
    assert seniority == {4: "mid", 5: "newcomer", 6: "junior", 7: "newcomer"}


def test_an_issue_knows_the_standing_of_its_author(compute: Any) -> None:
    rows = compute(
        table="issues",
        pull_requests=[pull_request(1, 0, author=1, merged=4, merged_by_id=2)],
        reviews=[review(1, 1, 2, "APPROVED", author=3)],
        issues=[issue(2, 5, author=2), issue(3, 5, author=3), issue(4, 2, author=3)],
    )
    standing = ("author_reviews_given_in_repo", "author_merges_given_in_repo", "author_seniority")
    assert [tuple(row[name] for name in standing) for row in rows.values()] == [
        (0, 1, "mid"), (1, 0, "junior"), (0, 0, "newcomer"),
    ]  # fmt: skip
    assert rows[2]["author_tenure_in_repo_days"] == 0, "to merge is not to arrive"


@pytest.mark.parametrize(
    ("unknown", "reasons"),
    [(1, ["size_unknown", "too_small", None, None]), (3, [None, None, None, None])],
    ids=["few: they are left out, neither small nor large", "most: size decides nothing"],
)
def test_unknown_sizes_count_neither_as_small_nor_as_large(compute: Any, unknown: int, reasons: list) -> None:
    small = {"opened_additions": 1, "opened_deletions": 1}
    lost = dict.fromkeys(("opened_additions", "opened_deletions", "opened_commits", "opened_sizes_from"))
    sizes = [lost, small, *([lost, lost] if unknown == 3 else [{}, {}])]
    rows = compute(pull_requests=[pull_request(n, 0, merged=1, **given) for n, given in enumerate(sizes, 1)])
    assert [row["exclusion"] for row in rows.values()] == reasons
    assert (rows[1]["lines_changed"], rows[1]["sizes_from"]) == (None, None)
    assert rows[2]["sizes_from"] == "opening"


def test_what_the_webhook_saw_at_the_opening_is_a_fact_of_it(warehouse: Warehouse) -> None:
    opening = {"additions": 70, "deletions": 30, "changed_files": 3, "commits": 2, "author_association": "MEMBER"}
    lost = dict.fromkeys(("opened_additions", "opened_deletions", "opened_author_association", "opened_sizes_from"))
    with histories.memory(warehouse) as connection:
        histories.put(connection, {"pull_requests": [pull_request(1, 0, **lost), pull_request(2, 0, **lost)]})
        for number, request in ((1, {"opening": opening}), (2, {"task_id": "a/b#2"})):
            connection.execute(
                "INSERT INTO ml.predictions BY NAME SELECT 'p0' AS model, '1' AS version, 1 AS repo_id, "
                "$number AS number, 0 AS comment_id, 'j:1' AS entry, 'served' AS role, $at AS opened_at, "
                "$at AS predicted_at, 0.5 AS prediction, $inputs AS inputs",
                {"number": number, "at": histories.hour(0), "inputs": json.dumps({"request": request, "features": {}})},
            )
        rows = histories.features(connection, "pull_requests")
    columns = ("lines_changed", "files_changed", "commits", "additions_share", "author_association", "sizes_from")
    assert rows.select(columns).rows() == [
        (100, 3, 2, 0.7, "MEMBER", "webhook"),
        (None, 2, 1, None, None, None),
    ]


def test_decisions_leave_the_recent_window_after_90_days(compute: Any) -> None:
    late = pull_request(2, 91 * 24, author=2)
    row = compute(pull_requests=[pull_request(1, 0, merged=2), late])[2]
    assert (row["repo_decided_recently"], row["repo_pass_rate"]) == (0, 0.5)


def test_a_deleted_author_has_no_history_and_shares_none_with_other_ghosts(compute: Any) -> None:
    rows = compute(pull_requests=[pull_request(1, 0, author=None, merged=1), pull_request(2, 5, author=None)])
    history = [name for name in rows[2] if name.startswith("author_") and name != "author_association"]
    assert {name: rows[2][name] for name in history} == dict.fromkeys(history) | {"author_seniority": "unknown"}


def test_text_sizes_and_time_are_those_of_the_opening(compute: Any) -> None:
    body = "see https://a and http://b\n- [ ] one\n- [x] two\n```\ncode\n```\n"
    row = compute(
        pull_requests=[
            pull_request(1, 34, opened_title="fix(core)!: x", opened_body=body, title="docs: y", additions=999)
        ]
    )[1]
    assert (row["link_count"], row["checklist_items"], row["code_blocks"]) == (2, 2, 1)
    assert (row["title_length"], row["body_length"]) == (13, len(body))
    assert (row["lines_changed"], row["additions_share"], row["files_changed"]) == (40, 0.75, 2)
    assert (row["is_bug_fix"], row["is_documentation"]) == (True, False)
    assert (row["hour"], row["weekday"], row["is_weekend"]) == (10, 5, True), "2024-03-02 was a Saturday"


def test_labels_count_up_to_the_opening_and_not_after(compute: Any) -> None:
    plain = {"opened_title": "x"}
    rows = compute(
        pull_requests=[pull_request(number, 10, **plain) for number in (1, 2, 3)],
        label_events=[
            label(1, "kind/bug", 10), label(1, "docs", 11),
            label(2, "enhancement", 5), label(2, "enhancement", 6, "unlabeled"),
            label(3, "tech debt", 9),
        ],
    )  # fmt: skip
    kinds = ("is_bug_fix", "is_feature", "is_documentation", "is_refactor")
    assert [[row[kind] for kind in kinds] for row in rows.values()] == [
        [True, False, False, False],
        [False, False, False, False],
        [False, False, False, True],
    ]


def test_exclusions_are_named(compute: Any) -> None:
    rows = compute(
        pull_requests=[
            pull_request(1, 0, merged=1, author_is_bot=True),
            pull_request(2, 0, merged=1, opened_is_draft=True),
            pull_request(3, 0, merged=1, opened_additions=4, opened_deletions=5),
            pull_request(4, 0, merged=1, opened_title=None),
            pull_request(5, -48, merged=1),
            pull_request(6, 0),
            pull_request(7, 0, merged=1),
        ]
    )
    assert [row["exclusion"] for row in rows.values()] == [
        "bot", "draft", "too_small", "opening_not_observed", "outside_coverage", "undecided", None,
    ]  # fmt: skip


def test_issues_younger_than_a_week_are_not_labelled_and_open_ones_are_censored(compute: Any) -> None:
    end = 400 * 24
    rows = compute(
        table="issues",
        issues=[
            issue(1, 0, closed=24),
            issue(2, 0, closed=24 * 8),
            issue(3, 0),
            issue(4, end - 24 * 3),
            issue(5, end - 24 * 3, closed=end - 24),
            issue(6, 0, closed=24 * 7),
        ],
    )
    assert [row["closed_in_7_days"] for row in rows.values()] == [True, False, False, None, True, True]
    assert (rows[1]["resolution_hours"], rows[1]["censored_hours"]) == (24, None)
    assert (rows[4]["resolution_hours"], rows[4]["censored_hours"]) == (None, 72)


def test_an_open_issue_is_a_label_once_its_week_is_over_and_known_only_then(warehouse: Warehouse) -> None:
    rows = {
        "issues": [issue(1, 0, closed=30), issue(2, 0), issue(3, 0, closed=24 * 8)],
    }
    with histories.memory(warehouse) as connection:
        histories.put(connection, rows)
        histories.features(connection, "issues").write_parquet(warehouse.path.with_suffix(".parquet"))
        connection.execute(f"CREATE TABLE features.issues AS FROM '{warehouse.path.with_suffix('.parquet')}'")
        found = connection.execute(
            query_of(CLOSE_IN_7_DAYS), {"is_synthetic": False, "excluded": list(CLOSE_IN_7_DAYS.excluded)}
        ).pl()
    week = timedelta(days=7)
    assert found.sort("number").select("number", "closed_in_7_days").rows() == [(1, True), (2, False), (3, False)]
    waits = (found.sort("number")["known_at"] - found.sort("number")["opened_at"]).to_list()
    assert waits == [timedelta(hours=30), week, week]


def test_history_of_issues(compute: Any) -> None:
    rows = compute(
        table="issues",
        pull_requests=[pull_request(50, 1), pull_request(51, 1, author=2, closed=2)],
        issues=[issue(1, 0, closed=4), issue(2, 1), issue(3, 10), issue(4, 10, author=3)],
    )
    third = rows[3]
    assert (third["author_prior_issues"], third["author_prior_closed"], third["author_average_hours"]) == (2, 1, 4)
    assert (third["author_prior_prs_in_repo"], third["author_is_newcomer"]) == (1, False)
    assert (third["repo_open_issues"], third["repo_open_prs"], third["repo_median_hours"]) == (1, 1, 4)
    assert rows[4]["author_is_newcomer"] is True
    assert third["is_bug"] is True
