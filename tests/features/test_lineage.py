"""What each feature is said to come from is what changes it, and no more of the present than is known at an opening."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from qc_assets.assets.partitions import days_between
from qc_assets.features.lineage import column_lineage
from qc_assets.features.sql_names import LineageError
from qc_assets.models.specs import SPECS
from qc_assets.settings import load_settings
from qc_assets.sources.demo.source import DemoSource
from qc_assets.sources.loading import load
from qc_assets.store import schema
from qc_assets.store.schema import declared
from qc_assets.store.warehouse import Warehouse

TABLES = ("pull_requests", "issues", "comments")
# What an item is now, and was not yet at its opening. Histories may have it: of other items, before this one.
OF_TODAY = {"title", "body", "additions", "deletions", "changed_files", "commits", "is_draft", "labels", "state"}


def sources(table: str, column: str) -> set[str]:
    return {".".join(source) for source in column_lineage(f"features/{table}")[column]}


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_followed_to_columns_that_are_declared(table: str) -> None:
    lineage = column_lineage(f"features/{table}")
    assert set(lineage) == {name for name, _, _ in declared(f"features.{table}").columns}
    for origins in lineage.values():
        for name, column in origins:
            assert column in {known for known, _, _ in declared(name).columns}
    without = {name for name, origins in lineage.items() if not origins}
    assert without == {"pull_requests": {"origin_rules"}, "issues": set(), "comments": {"observed_until"}}[table]


def test_it_sees_through_macros_windows_structs_and_constants_that_stand_for_rows() -> None:
    assert sources("issues", "is_weekend") == {"raw.issues.created_at"}
    assert sources("issues", "title_length") == {"raw.issues.opened_title"}
    assert sources("issues", "is_bug") == {
        "raw.issues.opened_title", "raw.issues.created_at",
        *(f"raw.label_events.{name}" for name in ("label", "action", "created_at")),
    }  # fmt: skip
    assert sources("issues", "repo_median_hours") == {
        f"raw.issues.{name}" for name in ("closed_at", "created_at", "number", "repo_id")
    }
    assert sources("pull_requests", "touches_tests") == {"raw.files.path"}
    sizes = sources("pull_requests", "additions_share")
    assert {"raw.pull_requests.opened_additions", "raw.pull_requests.opened_deletions"} < sizes
    assert "raw.pull_requests.opened_commits" not in sizes, "another field of the same struct"
    # 1 AS merged, of each row of a table that a macro makes of three.
    merged = sources("issues", "author_prior_merged_in_repo")
    assert {"raw.pull_requests.author_id", "raw.issues.repo_id"} <= merged


def test_no_model_is_asked_with_what_an_item_became_later() -> None:
    for spec in SPECS:
        table = spec.table.partition(".")[2]
        lineage = column_lineage(f"features/{table}")
        for name in [*spec.features, *spec.categories]:
            for origin, column in lineage.get(name, ()):
                items = origin in ("raw.pull_requests", "raw.issues")
                assert not (items and column in OF_TODAY), f"{spec.name}: {name} comes from {origin}.{column}"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    folder = tmp_path_factory.mktemp("lineage")
    source = DemoSource(folder / "demo", n_prs=300, days=60, first_day=date(2024, 1, 1), seed=5)
    warehouse = Warehouse(folder / "qc.duckdb", staging=folder / "staging")
    load(warehouse, source, days_between(source.first_day, source.last_day))
    warehouse.rebuild("ops/coverage", {"min_archive_completeness": 0.95})
    return warehouse


def features_after(warehouse: Warehouse, table: str, change: str) -> Iterator[tuple[str, pl.Series]]:
    """Columns of a feature table, were something else in the warehouse."""
    sections = schema.sql_sections(f"features/{table}")
    with warehouse.write() as connection:
        connection.execute(change)
        schema.define_functions(connection, sections["rows"])
        rows = connection.execute(
            f"FROM ({sections['rows'].rstrip(';')}) ORDER BY repo_id, number",
            load_settings(_env_file=None).feature_parameters(table),
        ).pl()
        connection.execute("ROLLBACK")
        connection.execute("BEGIN")
    yield from zip(rows.columns, rows, strict=True)


CHANGES = {
    "raw.pull_requests.opened_title": "opened_title || ' fix: it'",
    "raw.pull_requests.opened_body": "opened_body || ' - [x] https://example.org'",
    "raw.pull_requests.opened_additions": "opened_additions + number % 7",
    "raw.pull_requests.opened_base_ref": "'b' || number % 3",
    "raw.pull_requests.opened_is_draft": "number % 2 = 0",
    "raw.pull_requests.opened_author_association": "CASE WHEN number % 2 = 0 THEN 'MEMBER' ELSE 'NONE' END",
    "raw.label_events.label": "'bug ' || label",
    "raw.files.path": "'tests/' || path",
    "raw.pull_requests.author_is_bot": "number % 2 = 0",
    "raw.pull_requests.created_at": "created_at + INTERVAL 1 HOUR * (number % 50)",
    "raw.label_events.created_at": "created_at + INTERVAL 1 HOUR * (number % 50)",
    "raw.issue_comments.author_login": "author_login || (number % 2)::VARCHAR",
    "raw.reviews.author_is_bot": "number % 2 = 0",
    "raw.reviews.submitted_state": "CASE WHEN number % 2 = 0 THEN 'CHANGES_REQUESTED' ELSE submitted_state END",
}


@pytest.fixture(scope="module")
def before(demo: Warehouse) -> dict[str, pl.Series]:
    return dict(features_after(demo, "pull_requests", "SELECT 1"))


@pytest.mark.parametrize("changed", CHANGES)
def test_only_what_is_said_to_come_from_a_column_changes_with_it(
    demo: Warehouse, before: dict[str, pl.Series], changed: str
) -> None:
    name, column = changed.rsplit(".", 1)
    after = dict(features_after(demo, "pull_requests", f"UPDATE {name} SET {column} = {CHANGES[changed]}"))
    moved = {feature for feature, values in after.items() if not values.equals(before[feature])}
    lineage = column_lineage("features/pull_requests")
    assert moved, "it changes something"
    assert moved <= {feature for feature, origins in lineage.items() if (name, column) in origins}


def test_what_cannot_be_followed_is_said_and_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qc_assets.assets.feature_tables import _came_from
    from qc_assets.features import lineage

    column_lineage.cache_clear()
    for text in (
        "SELECT nobody FROM raw.issues",
        "SELECT repo_id FROM raw.nothing",
        "SELEC 1",
        "PIVOT raw.issues ON number",
    ):
        monkeypatch.setattr(lineage, "sql_sections", lambda name, text=text: {"rows": text})
        with pytest.raises(LineageError, match=r"^features/issues"):
            column_lineage("features/issues")
    assert str(_came_from("issues")["where columns come from"]).startswith("unknown: features/issues")
    monkeypatch.undo()
    shown = _came_from("issues")["dagster/column_lineage"]
    assert isinstance(shown, dg.TableColumnLineage)
    assert shown.deps_by_column["hour"] == [dg.TableColumnDep(dg.AssetKey("raw_issues"), "created_at")]
    in_words = _came_from("issues")["where columns come from"]
    assert isinstance(in_words, dg.MarkdownMetadataValue)
    assert "| hour | raw.issues (created_at) |" in str(in_words.value)
