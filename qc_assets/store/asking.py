"""Rows of a query that somebody typed: only read, only of the warehouse, and only for so long."""

import re
import threading
from typing import Any

import duckdb

from qc_assets.store.readable import NotReadingError, reading_statement, refuse_acts, rows_of
from qc_assets.store.schema import define_functions, view_statements
from qc_assets.store.warehouse import Warehouse


def asked_rows(
    store: Warehouse, query: str, limit: int | None, *, unsafe: bool = False, deadline_s: float | None = None
) -> tuple[list[str], list[dict[str, Any]]]:
    """Column names and rows of a query; see `rows_of`.

    Args:
        store: the warehouse.
        query: one SELECT, FROM, WITH, VALUES, DESCRIBE, SHOW or SUMMARIZE.
        limit: rows at most; None for all.
        unsafe: run any statement instead, which may read and write every file that this user may.
        deadline_s: seconds that it may take; None for as long as it takes.

    Raises:
        NotReadingError: if it does more than read the warehouse, or takes too long.
        duckdb.Error: if it is no SQL.
    """
    statement = query if unsafe else reading_statement(query)
    try:
        with store.read(unsafe=unsafe) as connection:
            if not unsafe:
                refuse_acts(connection, statement, is_lake=store.is_lake)
            define_functions(connection, statement)
            timer = threading.Timer(deadline_s or 0, connection.interrupt)
            if deadline_s is not None:
                timer.start()
            try:
                return rows_of(connection, statement, limit)
            finally:
                timer.cancel()
    except duckdb.CatalogException as error:
        name = re.search(r"with name (\w+)", str(error))
        if name and f"analysis.{name[1]}" in view_statements():
            raise NotReadingError(
                f"analysis.{name[1]} is not there yet: it comes with the features (`qc train`, `qc demo`), that of "
                "payouts with their first report, and to a warehouse of an older version by `qc migrate`"
            ) from error
        raise
    except duckdb.PermissionException as error:
        raise NotReadingError(f"{error}: only the warehouse is read; `qc sql --unsafe` runs anything") from error
    except duckdb.InterruptException as error:
        raise NotReadingError(f"the query took longer than {deadline_s:g} s: ask for less") from error
