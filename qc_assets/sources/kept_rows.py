"""Rows of the raw tables that a source makes once, keeps as Parquet files, and stages by day."""

import shutil
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

import polars as pl

from qc_assets.progress import Reporter


def kept_rows(cache: Path, fingerprint: str, make: Callable[[Path], None]) -> Path:
    """The folder of some rows, making them if need be; safe under many processes at once.

    Args:
        cache: folder of all such folders.
        fingerprint: of what the rows are made of; names the folder.
        make: fills an empty folder.
    """
    folder = cache / fingerprint
    if folder.is_dir():
        return folder
    draft = cache / f".{uuid.uuid4().hex}"
    draft.mkdir(parents=True)
    try:
        make(draft)
        with suppress(OSError):  # another process was quicker: its rows are the same
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def stage_kept_rows(
    rows: Path,
    tables: Sequence[str],
    folder: Path,
    *,
    days: Sequence[date],
    repo_ids: Collection[int] | None,
    progress: Reporter,
    step: str,
) -> dict[str, list[Path]]:
    """Stage the rows of some days as a `Batch` has them; tables without a file have nothing.

    Args:
        rows: from `kept_rows`, a Parquet file a table.
        tables: names of raw tables.
        folder: where to.
        days: partitions to stage.
        repo_ids: only of these repositories; None for all. Users belong to none.
        progress: called with `step` after each table.
        step: what is being done, in words.
    """
    of_days = pl.col("partition_date").is_in(list(days))
    staged: dict[str, list[Path]] = {}
    for number, table in enumerate(tables):
        if not (rows / f"{table}.parquet").is_file():
            continue
        of_repos = of_days
        if repo_ids is not None and table != "users":
            of_repos = of_days & pl.col("repo_id").is_in(list(repo_ids))
        staged[table] = [folder / f"{table}.parquet"]
        pl.scan_parquet(rows / f"{table}.parquet").filter(of_repos).sink_parquet(staged[table][0], compression="lz4")
        progress(step, number + 1, len(tables))
    return staged
