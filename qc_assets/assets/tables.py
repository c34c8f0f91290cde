"""How tables of the warehouse appear in Dagster: keys, column schemas and previews."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from qc_assets import pages
from qc_assets.store.schema import columns

# From left to right, as a person reads the graph; Dagster lists groups by name, hence the numbers.
_GROUPS = (
    "upkeep", "ingest", "features", "models", "fairness", "monitoring", "reports", "exports", "critiques",
    "notebooks",
)  # fmt: skip
_CELL_CHARACTERS = 80
OWNERS = ["team:qc-assets"]


def spec(
    table: str, description: str, *, group: str, deps: Sequence[str] = (), kinds: set[str] | None = None
) -> dg.AssetSpec:
    """The asset of ``schema.table``, with the columns that its SQL declares.

    Args:
        table: such as ``raw.pull_requests``; the key is ``raw_pull_requests``.
        description: shown in the UI.
        group: as `group` takes it.
        deps: names of what it is computed from, as `key` takes them.
        kinds: tags such as duckdb and sql.
    """
    return dg.AssetSpec(
        key(table),
        description=description,
        group_name=group_name(group),
        owners=OWNERS,
        kinds=kinds or {"duckdb", "sql"},
        deps=[key(dep) for dep in deps],
        metadata={"dagster/column_schema": column_schema(table), "dagster/table_name": table},
    )


def key(name: str) -> dg.AssetKey:
    """The asset of a table, of a model or of a part of a model, by one word that explains itself in the graph.

    Dagster draws no more than the last part of a key, so there is no other: ``raw.issues`` is ``raw_issues``,
    ``models.p0`` is ``p0_model`` and ``models.p0.evaluation`` is ``p0_evaluation``, so that all of p0 stands together.
    A key's own name is taken, too.
    """
    schema, *parts = name.split(".")
    if schema == "models":
        parts = parts if len(parts) > 1 else [*parts, "model"]
        return dg.AssetKey("_".join(parts))
    return dg.AssetKey("_".join([schema, *parts]))


def group_name(group: str) -> str:
    """What an asset group is called in Dagster: ``features`` is ``2_features``."""
    return f"{_GROUPS.index(group)}_{group}"


def column_schema(table: str) -> dg.TableSchema:
    """Names, types and comments of a table's columns, from its SQL."""
    return dg.TableSchema(
        columns=[dg.TableColumn(name, type=kind, description=comment) for name, kind, comment in columns(table)]
    )


def row_count(rows: int) -> dict[str, Any]:
    return {"dagster/row_count": dg.MetadataValue.int(rows)}


def png_metadata(image: bytes) -> dg.MarkdownMetadataValue:
    """A PNG that the UI shows in place."""
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{pages.base64_png(image)})")


def link(text: str, url: str) -> dg.MarkdownMetadataValue:
    """A link by a short text: a whole URL does not break, and pushes the other values out of the page."""
    return dg.MetadataValue.md(f"[{text}]({url})")


def preview(rows: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """A few rows as a Markdown table."""
    if not rows:
        return dg.MetadataValue.md("no rows")
    names = list(rows[0])
    return dg.MetadataValue.md(pages.markdown_table(names, ([_cell(row[name]) for name in names] for row in rows)))


def _cell(value: Any) -> str:
    return (f"{value:.3f}" if isinstance(value, float) else str(value))[:_CELL_CHARACTERS]
