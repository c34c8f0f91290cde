"""Which rows a model has is said by its spec, and by nothing else."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from qc_assets.features.model_rows import model_rows
from qc_assets.learning.spec import UNUSABLE, ModelSpec
from qc_assets.learning.task import labelled
from qc_assets.models.close_in_7_days import SPEC as CLOSE_IN_7_DAYS
from qc_assets.models.p0 import SPEC as P0
from qc_assets.models.resolution_time import SPEC as RESOLUTION_TIME
from qc_assets.models.specs import SPECS
from qc_assets.settings import load_settings
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.histories import START, issue, pull_request, review

# "Will it be merged?", drafts and small ones too, though only those with a known number of commits.
MERGED = replace(
    P0,
    name="merged",
    excluded=UNUSABLE,
    columns={"merged": "CASE WHEN closed_at IS NOT NULL THEN merged_at IS NOT NULL END"},
    rows="commits IS NOT NULL",
    target="merged",
    known_at="closed_at",
    words=("merged", "rejected"),
    texts=(),
)
# What features/*.sql said before specs did.
BEFORE = {
    "p0": "coalesce(exclusion, 'undecided') = 'undecided'",
    "resolution_time": "exclusion IS NULL",
    "close_in_7_days": "exclusion IS NULL",
    "comment_category": "exclusion IS NULL",
    "first_response": "NOT list_has_any(exclusions, ['opening_not_observed', 'outside_coverage', 'bot', 'draft'])",
}


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    """Nine pull requests and three issues; one for each thing that may keep one out."""
    small, draft = {"additions": 2, "deletions": 1}, {"is_draft": True}
    rows: dict[str, Any] = {
        "pull_requests": [
            pull_request(1, 0, merged=10),
            pull_request(2, 0, closed=10),
            pull_request(3, 0),
            pull_request(4, 0, merged=10, author_is_bot=True),
            pull_request(5, 0, merged=10, **opened(small)),
            pull_request(6, 0, merged=10, **opened(draft)),
            pull_request(7, 0, closed=10, **opened(small | draft)),
            pull_request(8, -24 * 90, merged=10),
            pull_request(9, 0, merged=10, opened_commits=None),
        ],
        "reviews": [review(1, 2, 3, "APPROVED")],
        "issues": [issue(11, 0, closed=30), issue(12, 0), issue(13, 0, closed=9, author_is_bot=True)],
    }
    with warehouse.write() as connection:
        histories.put(connection, rows)
        histories.cover(connection)
    for table in ("pull_requests", "issues", "comments"):
        warehouse.rebuild(f"features/{table}", load_settings().feature_parameters(table))
    return warehouse


def opened(values: dict[str, Any]) -> dict[str, Any]:
    return {f"opened_{name}": value for name, value in values.items()}


def numbers(rows: pl.DataFrame) -> list[int]:
    return sorted(rows["number"].to_list())


@pytest.mark.parametrize("spec", [P0, RESOLUTION_TIME, CLOSE_IN_7_DAYS], ids=lambda spec: spec.name)
def test_texts_are_those_of_the_opening_and_never_the_last_edited(filled: Warehouse, spec: ModelSpec) -> None:
    raw = f"raw.{spec.table.removeprefix('features.')}"
    with filled.write() as connection:
        connection.execute(f"UPDATE {raw} SET title = 'LATER', body = 'LATER'")
        connection.execute(f"UPDATE {raw} SET opened_title = NULL, opened_body = NULL WHERE number IN (1, 11)")
        expected = connection.execute(f"SELECT number, opened_title, opened_body FROM {raw} ORDER BY number").pl()
    texts = model_rows(filled, spec, is_synthetic=False).select("number", *spec.texts).sort("number")
    assert texts.equals(expected.join(texts.select("number"), on="number", how="semi"))
    assert texts["opened_title"].null_count() == 1 and len(texts) > 1
    tasks = filled.query(sql_sections("features/openings")[f"tasks_of_{raw.removeprefix('raw.')}"].rstrip(";"))
    assert "LATER" not in {*tasks["opened_title"], *tasks["opened_body"]}


def test_the_models_have_the_rows_that_they_had(filled: Warehouse) -> None:
    for spec in SPECS:
        before = filled.query(f"FROM {spec.table} WHERE {BEFORE[spec.name]} AND NOT is_synthetic(source)")
        assert numbers(model_rows(filled, spec, is_synthetic=False)) == numbers(before)
    assert numbers(model_rows(filled, P0, is_synthetic=False)) == [1, 2, 3, 9]
    assert numbers(labelled(P0, model_rows(filled, P0, is_synthetic=False))) == [1, 2, 9]
    assert numbers(model_rows(filled, RESOLUTION_TIME, is_synthetic=False)) == [11, 12]
    assert model_rows(filled, P0, is_synthetic=True).is_empty()


def test_another_model_on_the_same_table_has_rows_and_labels_of_its_own(filled: Warehouse) -> None:
    rows = model_rows(filled, MERGED, is_synthetic=False).sort("number")
    labels = dict(rows.select("number", "merged").iter_rows())
    assert labels == {1: True, 2: False, 3: None, 5: True, 6: True, 7: False}
    assert numbers(labelled(MERGED, rows)) == [1, 2, 5, 6, 7]
    not_small = replace(MERGED, excluded=(*UNUSABLE, "too_small"))
    # A small draft is kept out as small, though it is a draft as well.
    assert numbers(model_rows(filled, not_small, is_synthetic=False)) == [1, 2, 3, 6]


@pytest.mark.parametrize(
    ("spec", "number", "label", "target"),
    [(MERGED, 3, "merged", True), (MERGED, 1, "rejected", False), (RESOLUTION_TIME, 12, "7.5", 7.5)],
    ids=["unknown", "known", "hours"],
)
def test_what_people_say_is_the_label_of_any_model(
    filled: Warehouse, spec: ModelSpec, number: int, label: str, target: object
) -> None:
    given_at = START + timedelta(days=3)
    before = model_rows(filled, spec, is_synthetic=False).sort("number")
    with filled.write() as connection:
        connection.execute(
            "INSERT INTO ml.feedback BY NAME SELECT key AS feedback_id, $model AS model, 'outcome' AS kind, "
            "1 AS repo_id, $number AS number, $label AS label, 'amy' AS given_by, $given_at AS given_at, "
            "key AS received_key FROM unnest(['a', 'b']) AS _ (key)",  # what GitHub says otherwise takes two keys
            {"model": spec.name, "number": number, "label": label, "given_at": given_at},
        )
    after = model_rows(filled, spec, is_synthetic=False).sort("number")
    row = after.filter(pl.col("number") == number).row(0, named=True)
    assert row[spec.target] == target
    known_before = before.filter(pl.col("number") == number)[spec.known_at].item()
    assert row[spec.known_at] == (known_before or given_at)
    others = pl.col("number") != number
    assert after.filter(others).equals(before.filter(others))


def test_a_closing_is_known_when_it_happens_and_its_absence_after_a_week(filled: Warehouse) -> None:
    rows = model_rows(filled, CLOSE_IN_7_DAYS, is_synthetic=False).sort("number")
    waits = (rows["known_at"] - rows["opened_at"]).to_list()
    assert waits == [timedelta(hours=30), timedelta(days=7)]
