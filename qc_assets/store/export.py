"""`qc export`: a table of the warehouse as a file, whole or not at all."""

import os
from pathlib import Path
from typing import Literal

from qc_assets.errors import QcError
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
