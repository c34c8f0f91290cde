"""Queries of assistants in processes of their own: what one takes or breaks there is not the asker's."""

import json
import os
import pickle
import resource
import subprocess
import sys
from typing import Any

import duckdb
from pydantic_core import to_jsonable_python

from qc_assets.errors import QcError
from qc_assets.store.asking import asked_rows
from qc_assets.store.readable import NotReadingError
from qc_assets.store.warehouse import Warehouse

# Some functions of DuckDB heed neither its memory limit nor an interruption: a process does.
_MOST_MEMORY = 6 * 2**30
_GRACE_S = 5.0
LONGEST_TEXT = 2_000


def rows_apart(
    store: Warehouse, query: str, limit: int, *, deadline_s: float, longest: int
) -> tuple[list[str], list[dict[str, Any]], bool]:
    """Column names and rows of a query as JSON has them, with texts cut, and whether there are more.

    Args:
        store: the warehouse.
        query: see `asked_rows`.
        limit: rows at most.
        deadline_s: seconds that it may take.
        longest: characters of all rows together.

    Raises:
        QcError: if it does more than read, takes too long or too much, or is no SQL.
    """
    means = store.means
    opening = {"lock_timeout_s": means.lock_timeout_s, "memory_limit": means.memory_limit, "threads": means.threads}
    order = (store.place, opening | {"staging": store.staging_root, "forges": dict(store.forges)})
    try:
        ended = subprocess.run(
            [sys.executable, "-m", __name__],
            input=pickle.dumps((*order, query, limit, deadline_s, longest)),
            capture_output=True,
            timeout=deadline_s + _GRACE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotReadingError(f"the query took longer than {deadline_s:g} s: ask for less") from error
    if ended.returncode or not ended.stdout:
        raise NotReadingError("the query took more memory than there is for it, or broke DuckDB: ask for less")
    answer = json.loads(ended.stdout)
    if "error" in answer:
        raise NotReadingError(answer["error"])
    return answer["columns"], answer["rows"], answer["has_more"]


def bounded(value: Any) -> Any:
    """A value as JSON has it, its texts cut."""
    return _cut(to_jsonable_python(value, inf_nan_mode="strings", fallback=str))


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {name[:LONGEST_TEXT]: _cut(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_cut(part) for part in value]
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"{value[:LONGEST_TEXT]}… (cut, {len(value):,} characters)"
    return value


def _answer(place: Any, opening: dict[str, Any], query: str, limit: int, deadline_s: float, longest: int) -> Any:
    try:
        names, rows = asked_rows(Warehouse(place, **opening), query, limit + 1, deadline_s=deadline_s)
    except (QcError, duckdb.Error, MemoryError) as error:
        return {"error": (str(error) or "the query takes too much memory: ask for less")[:LONGEST_TEXT]}
    kept: list[Any] = []
    size = 0
    for row in map(bounded, rows[:limit]):
        size += len(json.dumps(row, ensure_ascii=False))
        if size > longest:
            break
        kept.append(row)
    return {"columns": names, "rows": kept, "has_more": len(rows) > len(kept)}


def main() -> None:
    """Answer what stands on standard input."""
    order = pickle.load(sys.stdin.buffer)  # of the process that began this one
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    with os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace") as answer:
        os.dup2(2, 1)  # nothing else is the answer
        json.dump(_answer(*order), answer)


if __name__ == "__main__":
    main()
