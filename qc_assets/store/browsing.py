"""What tables and views there are, and what stands in their columns."""

from dataclasses import dataclass
from typing import Any

from qc_assets.errors import QcError
from qc_assets.store.asking import asked_rows
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse


@dataclass(frozen=True)
class TableDescription:
    """A table or view.

    Attributes:
        name: ``schema.table``.
        about: its comment.
        rows: how many it has.
        columns: name, type, comment, and what DuckDB's SUMMARIZE says: share of NULLs, number of different values
            (about), least, median, greatest and mean as text; None where there is nothing to say.
    """

    name: str
    about: str
    rows: int
    columns: list[dict[str, Any]]


def tables_to_browse(store: Warehouse) -> list[dict[str, Any]]:
    """Schema, name, kind, rows (None of a view) and comment of every table and view, those with names in them first."""
    _, rows = asked_rows(store, sql_sections("reports/overview")["tables"], None)
    return rows


def describe_table(store: Warehouse, name: str) -> TableDescription:
    """Columns, comments and statistics of a table or view.

    Args:
        store: the warehouse.
        name: ``schema.table``; without a schema that of `analysis`, or the only one of that name.

    Raises:
        QcError: if there is no such table, or several.
    """
    listed = tables_to_browse(store)
    schema, _, table = name.strip().strip('"').rpartition(".")
    fitting = [row for row in listed if row["name"] == table and schema in ("", row["schema"])]
    if not schema and any(row["schema"] == "analysis" for row in fitting):
        fitting = [row for row in fitting if row["schema"] == "analysis"]
    if len(fitting) != 1:
        names = ", ".join(f"{row['schema']}.{row['name']}" for row in fitting or listed)
        raise QcError(f"{'several tables have the name' if fitting else 'no table'} {name}: name one of {names}")
    chosen = fitting[0]
    place = f'"{chosen["schema"]}"."{chosen["name"]}"'
    statement = sql_sections("reports/overview")["columns"]
    for parameter in ("schema", "name"):  # what is asked has no parameters; both names are the catalog's
        statement = statement.replace(f"${parameter}", "'{}'".format(chosen[parameter].replace("'", "''")))
    _, columns = asked_rows(store, statement, None)
    _, summary = asked_rows(store, f"SUMMARIZE {place}", None)
    return TableDescription(
        f"{chosen['schema']}.{chosen['name']}",
        chosen["about"] or "",
        max((row["count"] for row in summary), default=0),
        [column | _statistics(row) for column, row in zip(columns, summary, strict=True)],
    )


def _statistics(row: dict[str, Any]) -> dict[str, Any]:
    nothing = not row["count"]
    return {
        "unknown": None if nothing else float(row["null_percentage"] or 0) / 100,
        "different": None if nothing else row["approx_unique"],
        "least": row["min"],
        "median": row["q50"],
        "greatest": row["max"],
        "mean": row["avg"],
    }
