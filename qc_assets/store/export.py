"""`qc export`: a table of the warehouse as a file, or all raw tables as a history, whole or not at all."""

import os
import re
import shutil
from pathlib import Path
from typing import Literal

from qc_assets.errors import QcError
from qc_assets.store.schema import RAW_TABLES, columns, id_columns, sql_sections
from qc_assets.store.warehouse import Warehouse

Format = Literal["csv", "parquet", "jsonl.gz"]
_OPTIONS = {
    "csv": "(FORMAT csv, HEADER)",
    "parquet": "(FORMAT parquet, COMPRESSION zstd)",
    "jsonl.gz": "(FORMAT json, COMPRESSION gzip)",
}


def export_table(warehouse: Warehouse, table: str, path: Path, file_format: Format) -> int:
    """Write a table to `path`, which appears only when it is complete.

    Args:
        warehouse: where from.
        table: as in ``raw.pull_requests``.
        path: where to; an existing file is replaced.
        file_format: csv with a header, parquet, or gzipped lines of JSON.

    Returns:
        The number of rows.

    Raises:
        QcError: if there is no such table, or no such folder.
    """
    if not path.parent.is_dir():
        raise QcError(f"{path.parent} is not a folder: create it, or choose another --output")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with warehouse.read() as connection:
            names = {
                f"{schema}.{name}"
                for schema, name in connection.execute(
                    "SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name <> 'observed'"
                ).fetchall()
            }
            if table not in names:
                raise QcError(f"no table {table}; there are {', '.join(sorted(names))}")
            row = connection.execute(f"COPY {table} TO $file {_OPTIONS[file_format]}", {"file": str(draft)}).fetchone()
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return int(row[0]) if row else 0


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
        with warehouse.read() as connection:
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
                    target = {"target": str(place / f"{table}.parquet"), "forge": number}
                    rows = connection.execute(f"COPY ({query}) TO $target (FORMAT parquet)", target).fetchall()[0][0]
                    counts[f"{forge} {table}"] = int(rows)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return counts
