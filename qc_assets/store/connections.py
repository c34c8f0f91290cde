"""Connections to DuckDB: prepared, waited for while somebody else has the file, or locked to it."""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
from tenacity import (
    RetryError,
    Retrying,
    retry,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from qc_assets.errors import WarehouseAwayError, WarehouseBusyError

# The second and third: another thread of this process has the file open in the other mode, or is closing it.
_BUSY = (
    "Could not set lock on file",
    "different configuration",
    "Unique file handle conflict",
    "being used by another process",
)
# Connections of one process to one file share its settings, so the first sets them, and only then comes the next.
_opening = threading.Lock()

again_when_away = retry(
    retry=retry_if_exception_type(WarehouseAwayError),
    stop=stop_after_attempt(4),
    wait=wait_random_exponential(multiplier=0.5, max=10),
    reraise=True,
)
"""Does something again whose server has ended the connection, which is whole or undone."""


def prepared(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The connection, with our time zone and order."""
    connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    _quieten(connection)
    return connection


def connect_locked(path: Path, staging: Path, config: Mapping[str, str]) -> duckdb.DuckDBPyConnection:
    """Open a file read-only, so that no statement reaches other files than those staged, nor changes that again.

    Args:
        path: the file.
        staging: the folder whose files may be read and written.
        config: of DuckDB; the same for all connections of this process.
    """
    with _opening:
        options = {**config, "python_enable_replacements": "false"}
        connection = duckdb.connect(str(path), read_only=True, config=options)
        (is_locked,) = connection.execute("SELECT current_setting('lock_configuration')").fetchall()[0]
        if not is_locked:
            lock_to(connection, [staging.absolute()])
    return with_short_names(connection)


def lock_to(connection: duckdb.DuckDBPyConnection, folders: Sequence[object]) -> None:
    """Let no statement of a database reach other files than its own and those of these folders, nor change that."""
    places = ", ".join("'{}'".format(str(folder).replace("'", "''")) for folder in folders)
    connection.execute("SET GLOBAL TimeZone = 'UTC'; SET preserve_insertion_order = false")
    _quieten(connection)
    connection.execute(f"SET allowed_directories = [{places}]; SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def with_short_names(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The connection, on which the views for analysts are found without their schema; a file of before has none."""
    if connection.execute("SELECT 1 FROM duckdb_schemas() WHERE schema_name = 'analysis'").fetchone():
        connection.execute("SET search_path = 'analysis,main'")
    return connection


def when_free(path: Path, timeout_s: float, act: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Do something with a file as soon as nobody else has it.

    Raises:
        WarehouseBusyError: if somebody had it for `timeout_s`.
    """
    attempts = Retrying(
        retry=retry_if_exception(_is_busy),
        stop=stop_after_delay(timeout_s),
        wait=wait_random_exponential(multiplier=0.01, max=0.5),
    )
    try:
        return attempts(act, *arguments, **options)
    except RetryError as error:
        holder = re.search(r"PID (\d+)", str(error.last_attempt.exception()))
        who = f"process {holder[1]}" if holder else "another process"
        raise WarehouseBusyError(
            f"{who} has kept {path} open for {timeout_s:.0f} s: close the program that holds it "
            "(a notebook with an open connection?) or raise QC_LOCK_TIMEOUT_S"
        ) from error


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, duckdb.Error) and any(text in str(error) for text in _BUSY)


def _quieten(connection: duckdb.DuckDBPyConnection) -> None:
    with suppress(duckdb.InvalidInputException):  # in Jupyter without ipywidgets there is no bar to turn off
        connection.execute("SET enable_progress_bar = false")
