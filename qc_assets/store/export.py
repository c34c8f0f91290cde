"""`qc export`: a table of the warehouse as a file, or all raw tables as a history, whole or not at all."""

import os
import re
import shutil
from pathlib import Path
from typing import Literal

import duckdb

from qc_assets.errors import QcError
from qc_assets.store.schema import RAW_TABLES, columns, define_functions, id_columns, sql_sections
from qc_assets.store.warehouse import Warehouse
from qc_assets.terminal_text import FORMULA

Format = Literal["csv", "parquet", "jsonl.gz"]
_OPTIONS = {
    "csv": "(FORMAT csv, HEADER)",
    "parquet": "(FORMAT parquet, COMPRESSION zstd)",
    "jsonl.gz": "(FORMAT json, COMPRESSION gzip)",
}
# Types whose values are written as they are; all others but numbers and times begin with a bracket.
_TEXTS = ("VARCHAR", "JSON", "BLOB", "ENUM", "UNION")


def export_table(warehouse: Warehouse, table: str, path: Path, file_format: Format, *, raw: bool = False) -> int:
    """Write a table to `path`, which appears only when it is complete.

    Args:
        warehouse: where from.
        table: as in ``raw.pull_requests``.
        path: where to; an existing file is replaced.
        file_format: csv with a header, parquet, or gzipped lines of JSON.
        raw: leave texts in a CSV as they are, which a spreadsheet may take for formulas; else these get an apostrophe.

    Returns:
        The number of rows.

    Raises:
        QcError: if there is no such table, or no such folder.
    """
    if not path.parent.is_dir():
        raise QcError(f"{path.parent} is not a folder: create it, or choose another --output")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with warehouse.staging() as folder, warehouse.read() as connection:
            names = {
                f"{schema}.{name}"
                for schema, name in connection.execute(
                    "SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name <> 'observed' "
                    "UNION ALL SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal"
                ).fetchall()
            }
            if table not in names:
                raise QcError(f"no table {table}; there are {', '.join(sorted(names))}")
            rows = table if file_format != "csv" or raw else _without_formulas(connection, table)
            staged = folder / "rows"
            parameters = {"file": str(staged)} | ({"formula": FORMULA} if "$formula" in rows else {})
            query = f"COPY (FROM {rows}) TO $file {_OPTIONS[file_format]}"
            row = connection.execute(query, parameters).fetchone()
            shutil.move(staged, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return int(row[0]) if row else 0


def _without_formulas(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """A query of a table in which no text begins as a formula does for a spreadsheet; numbers stay numbers."""
    kinds = connection.execute(f"DESCRIBE {table}").fetchall()
    names = [f'"{name}"' for name, kind, *_ in kinds if kind.startswith(_TEXTS) and not kind.endswith("[]")]
    texts = [f"regexp_replace({name}::VARCHAR, $formula, '''\\0') AS {name}" for name in names]
    return f"(SELECT * REPLACE ({', '.join(texts)}) FROM {table})" if texts else table


def export_history(warehouse: Warehouse, folder: Path) -> dict[str, int]:
    """Write the raw tables as data sets that the files source reads, one a forge (docs/histories.md).

    Args:
        warehouse: where from; `ops.coverage` says from when to when each repository's history is whole.
        folder: where to; it must not exist yet, and appears only when it is complete.

    Returns:
        The number of rows by data set and table.

    Raises:
        QcError: if the folder exists, or nothing has been loaded.
    """
    if folder.exists():
        raise QcError(f"{folder} exists already: choose another folder, or move it away")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    sections, counts = sql_sections("sources/history"), {}
    try:
        with warehouse.staging() as staged, warehouse.read() as connection:
            define_functions(connection, " ".join([*sections.values(), "own_id"]))
            forges = connection.execute(sections["forges"]).fetchall()
            if not forges:
                raise QcError("nothing has been loaded yet: `qc backfill` first")
            for number, forge, is_synthetic, end in forges:
                place = draft / re.sub(r"[^\w.-]", "_", forge)
                place.mkdir(parents=True)
                lines = [f'forge = "{forge}"', f"extracted_at = {end.isoformat()}Z"]
                lines += ["synthetic = true"] if is_synthetic else []
                (place / "dataset.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
                for table in RAW_TABLES:
                    ids = id_columns(f"raw.{table}")
                    names = [name for name, _, _ in columns(f"raw.{table}") if name not in ("source", "observed_at")]
                    told = ", ".join(f"own_id({name}) AS {name}" if name in ids else name for name in names)
                    query = sections.get(table, sections["rows"]).format(table=table, columns=told, id=ids[0])
                    target = {"target": str(staged / "rows.parquet"), "forge": number}
                    rows = connection.execute(f"COPY ({query}) TO $target (FORMAT parquet)", target).fetchall()[0][0]
                    shutil.move(staged / "rows.parquet", place / f"{table}.parquet")
                    counts[f"{forge} {table}"] = int(rows)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return counts
