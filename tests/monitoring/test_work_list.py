"""The work list: what waits longest against expectation first, and who is likely to act next."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from qc_assets.learning.bundle import Bundle
from qc_assets.learning.conformal import Intervals
from qc_assets.learning.remaining import RemainingTimes
from qc_assets.models.first_response import SPEC
from qc_assets.monitoring import scoring
from qc_assets.settings import load_settings
from qc_assets.store.inserts import put
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.histories import START, comment, hour, pull_request, review

HORIZON = 2_000.0
WATCHED_DAYS = 2


class Score:
    """Predicts what the feature says."""

    def score(self, x: np.ndarray) -> np.ndarray:
        return np.nan_to_num(x[:, 0], nan=3.0)

    def save(self, folder: object) -> None:
        raise AssertionError("not saved here")


class RegistryOfOne:
    """Has one champion."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def standing(self, model: str) -> Any:
        return SimpleNamespace(champion=SimpleNamespace(version=3), earlier_champions=[])

    def load(self, model: str, version: int) -> Bundle:
        return self.bundle

    def version_of(self, model: str, alias: str) -> None:
        return None


def champion() -> Bundle:
    """Answers with the feature `score`, in log hours."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(1, 5, 600)
    y = np.clip(scores + rng.normal(0, 1.0, 600), 0, np.log1p(HORIZON))
    intervals = Intervals.fit(scores, y, np.ones(600), HORIZON)
    remaining = RemainingTimes.fit(scores, y, np.ones(600), HORIZON)
    spec = replace(SPEC, features=("score",), categories={})
    context = {"horizon_hours": HORIZON}
    return Bundle.of(spec, Score(), intervals, trivial=(), context=context, is_synthetic=False, remaining=remaining)


def filled(warehouse: Warehouse, items: list[dict[str, Any]], **others: Any) -> Warehouse:
    with warehouse.write() as connection:
        histories.put(connection, {"pull_requests": items, **others})
        histories.cover(connection, days=WATCHED_DAYS)
        connection.execute(
            "INSERT INTO raw.repositories BY NAME SELECT 1 AS repo_id, 'acme/atlas' AS name, 'github' AS source, "
            "$1::TIMESTAMP AS observed_at, $1::DATE AS partition_date",
            [START],
        )
    warehouse.rebuild("features/pull_requests", load_settings().feature_parameters("pull_requests"))
    return warehouse


def listed(warehouse: Warehouse) -> pl.DataFrame:
    assert warehouse.rebuild("analysis/open_pull_requests") >= 0
    counts = warehouse.sql_file("analysis/open_pull_requests", section="checks").row(0, named=True)
    assert counts["rows"] == counts["open_rows"] and counts["impossible"] == 0
    return warehouse.query("FROM analysis.open_pull_requests ORDER BY position")


def test_what_waits_longest_against_expectation_is_first(warehouse: Warehouse) -> None:
    own = {"closed_by_id": 1, "closed_by_login": "u1"}
    store = filled(
        warehouse,
        [
            pull_request(1, 0, title="Waits long, as was to be expected"),
            pull_request(2, 24, title="Waits shorter, and should not"),
            pull_request(3, 0, title="Answered"),
            pull_request(4, 0, opened_is_draft=True, title="A draft"),
            pull_request(5, 0, closed=30, **own),
            pull_request(6, 0, author_is_bot=True),
        ],
        issue_comments=[comment(1, 3, 40)],
    )
    waits = {1: np.log1p(60.0), 2: np.log1p(4.0)}
    with store.write() as connection:
        connection.execute("ALTER TABLE features.pull_requests ADD COLUMN score DOUBLE")
        for number, score in waits.items():
            connection.execute("UPDATE features.pull_requests SET score = ? WHERE number = ?", [score, number])
    registry: Any = RegistryOfOne(champion())
    assert scoring.score_waiting_items(store, registry, SPEC, is_synthetic=False).counts == {"champion": 2}
    rows = listed(store)
    assert rows["number"].to_list() == [2, 1, 4, 3], "by ratio; then those without one, by hours"
    first = rows.row(0, named=True)
    assert first["repository"] == "acme/atlas" and first["author"] == "u1"
    assert first["link"] == "https://github.com/acme/atlas/pull/2"
    assert first["waited_hours"] == 24.0 and first["as_of"] == START + timedelta(days=WATCHED_DAYS)
    assert first["expected_hours"] == pytest.approx(4.0, rel=0.2)
    assert first["ratio"] == pytest.approx(24.0 / first["expected_hours"])
    assert first["expectation"] == f"within {first['within_hours']:.0f} h (80 %)"
    assert rows["ratio"][1] == pytest.approx(48.0 / 60.0, rel=0.25)
    answered = rows.row(3, named=True)
    assert answered["expected_hours"] is None and answered["waited_hours"] == 8.0, "since the last act"
    waits_kept = store.query("FROM ml.waits ORDER BY number")
    assert waits_kept["number"].to_list() == [1, 2] and set(waits_kept["version"]) == {3}
    assert (waits_kept["remaining_lower"] >= 0).all()
    with store.write() as connection:
        connection.execute("UPDATE ml.waits SET within_hours = NULL, words = NULL WHERE number = 2")
    assert listed(store)["expectation"][0] == "unknown: hardly any that was watched waited so long"
    with store.write() as connection:
        connection.execute("UPDATE features.pull_requests SET first_response_hours = 1 WHERE number = 2")
    scoring.score_waiting_items(store, registry, SPEC, is_synthetic=False)
    assert store.query("FROM ml.waits")["number"].to_list() == [1], "what was answered waits no longer"


RULES = [
    ({}, "reviewers", "nobody has responded"),
    ({"issue_comments": [comment(1, 1, 3, author=1)]}, "reviewers", "nobody has responded"),
    ({"issue_comments": [comment(1, 1, 3, author=7, bot=True)]}, "reviewers", "nobody has responded"),
    ({"issue_comments": [comment(1, 1, 3)]}, "author", "somebody else commented last"),
    ({"review_comments": [comment(1, 1, 3)]}, "author", "somebody else commented last"),
    ({"reviews": [review(1, 1, 3, "CHANGES_REQUESTED")]}, "author", "changes were requested"),
    (
        {"reviews": [review(1, 1, 3, "CHANGES_REQUESTED")], "issue_comments": [comment(1, 1, 4)]},
        "author",
        "changes were requested",
    ),
    (
        {"reviews": [review(1, 1, 3, "CHANGES_REQUESTED")], "issue_comments": [comment(1, 1, 4, author=1)]},
        "reviewers",
        "the author acted last",
    ),
    (
        {"reviews": [review(1, 1, 3, "CHANGES_REQUESTED"), review(2, 1, 5, "APPROVED")]},
        "reviewers",
        "approved, and somebody else must merge",
    ),
    ({"reviews": [review(1, 1, 3, "COMMENTED")]}, "author", "somebody else commented last"),
]


@pytest.mark.parametrize(("acts", "who", "because"), RULES)
def test_who_acts_next(warehouse: Warehouse, acts: dict[str, Any], who: str, because: str) -> None:
    (row,) = listed(filled(warehouse, [pull_request(1, 0)], **acts)).to_dicts()
    assert (row["next_to_act"], row["because"]) == (who, because)
    assert row["last_act_at"] == max([hour(0), *(at for part in acts.values() for at in _instants(part))])


def _instants(rows: list[dict[str, Any]]) -> list[Any]:
    return [row.get("submitted_at", row.get("created_at")) for row in rows if not row["author_is_bot"]]


def test_an_author_with_rights_merges_what_is_approved_and_ends_a_draft(warehouse: Warehouse) -> None:
    member = pull_request(1, 0, opened_author_association="MEMBER")
    draft = pull_request(2, 0, is_draft=True)
    rows = listed(filled(warehouse, [member, draft], reviews=[review(1, 1, 3, "APPROVED")]))
    because = dict(rows.select("number", "because").iter_rows())
    assert because == {1: "approved, and the author may merge", 2: "it is a draft"}
    assert set(rows["next_to_act"]) == {"author"}


def test_links_are_made_of_names_that_can_be_names_only(warehouse: Warehouse) -> None:
    store = filled(warehouse, [pull_request(1, 0)])
    with store.write() as connection:
        put(
            connection,
            "raw.repositories",
            pl.DataFrame([{"repo_id": 1, "name": "a/b?x=<script>", "source": "github", "observed_at": START}]),
            {"partition_date": START.date()},
        )
    assert listed(store)["link"].to_list() == [None]
