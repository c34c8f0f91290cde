"""Copies of a warehouse's file that are put beside it before a migration."""

import glob
import subprocess
import sys
from pathlib import Path

import duckdb

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.store.migrations import schema_version


def copies_of(path: Path) -> list[Path]:
    """The copies that migrations put beside the file, oldest first."""
    copies = path.parent.glob(f"{glob.escape(path.name)}.version-*.bak")
    return sorted(copies, key=lambda copy: copy.stat().st_mtime)


def copy_before_migration(connection: duckdb.DuckDBPyConnection, path: Path) -> Path:
    """Put a copy of the file beside it, named by its version and the present time.

    Args:
        connection: the only one on the file, outside a transaction.
        path: the file.

    Raises:
        QcError: if it cannot be copied; no half of a copy stays.
    """
    connection.execute("CHECKPOINT")  # all is in the file, nothing in the log beside it
    copy = path.with_name(f"{path.name}.version-{schema_version(connection)}.{now_utc():%Y%m%dT%H%M%S}.bak")
    try:
        copy_under_lock(path, copy)
    except QcError as error:
        copy.unlink(missing_ok=True)
        raise QcError(f"{path} must be migrated, and no copy of it can be put beside it: {error}") from error
    return copy


def copy_under_lock(source: Path, target: Path) -> None:
    """Copy a file that this process has locked.

    By another process: one that closes any handle of a file loses its POSIX lock on it.

    Raises:
        QcError: if it cannot be copied.
    """
    script = "import shutil, sys; shutil.copyfile(*sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", script, source, target], capture_output=True, text=True)
    if done.returncode:
        raise QcError("".join(done.stderr.strip().splitlines()[-1:]))
