"""Data sets in files made into rows of the raw tables: with ids, and each on the days that it belongs to."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from qc_assets.clock import now_utc
from qc_assets.errors import SourceError
from qc_assets.sources.bounded import Bounds
from qc_assets.sources.files.data_sets import DataSet
from qc_assets.sources.files.inputs import columns_of, read_table
from qc_assets.store.schema import RAW_TABLES, columns, declared, id_columns, sql_sections

_ITEMS = ("pull_requests", "issues")
_NAMED = ("repositories", "users")
# Made ids of what has none of its own, by column: what makes it one thing.
_MADE = {
    "review_id": "coalesce(input.review_id, concat_ws(' ', input.author_login, submitted_at, state))",
    "comment_id": "coalesce(input.comment_id, concat_ws(' ', input.author_login, created_at, md5(body)))",
}
_PLACE = "lower(coalesce(by_name.repo, by_id.repo, their_name.repo, their_id.repo, sole.repo))"


def prepare(data_sets: Sequence[DataSet], connection: duckdb.DuckDBPyConnection, folder: Path, bounds: Bounds) -> None:
    """Write the rows of data sets as `<raw table>.parquet`, and `letters.parquet` and `summary.parquet` beside them.

    Args:
        data_sets: of one forge.
        connection: in memory, with the project's macros.
        folder: an empty folder.
        bounds: of lines of JSON.

    Raises:
        SourceError: if a file cannot be read at all, a column that is needed is missing, or two things have one id.
    """
    sections = sql_sections("sources/files")
    connection.execute(sections["macros"])
    connection.execute(
        "CREATE TABLE letters (data_set INTEGER, day DATE, file VARCHAR, error_type VARCHAR, reason VARCHAR, "
        "line BIGINT, excerpt VARCHAR)"
    )
    counts: dict[str, int] = {}
    for table in (*RAW_TABLES, "commits"):
        declaration = ", ".join(f"{name} {kind}" for name, kind in columns_of(table).items())
        connection.execute(sections["inputs"].format(table=table, columns=declaration))
        for number, data_set in enumerate(data_sets):
            for path in (data_set.tables[name] for name in _names(table) if name in data_set.tables):
                counts[path.name] = counts.get(path.name, 0) + read_table(
                    connection, table, number, data_set, path, folder, bounds
                )
    for table in _NAMED:
        connection.execute(sections["named_letters"].format(table=table, broken=", ".join(_broken(table)) or "NULL"))
    _data_sets(connection, data_sets)
    mentions = " UNION ALL ".join(
        f"SELECT data_set, {'name' if table == 'repositories' else 'repo'} AS repo, repo_id, line, "
        f"{_instant_of(table)} AS t FROM input_{table}"
        for table in (*RAW_TABLES, "commits")
        if table != "users"
    )
    connection.execute(sections["repositories_named"].format(mentions=mentions))
    _refuse(connection, "two_ids", "the repository {} has two ids, in {}: leave one, or all, of the ids out")
    there = {name for data_set in data_sets for name in data_set.tables}
    tables = [t for t in RAW_TABLES if t in _ITEMS or (t not in _NAMED and there.intersection(_names(t)))]
    tables.sort(key=lambda table: table not in _ITEMS)  # what hangs on items comes after them
    has_commits = "commits" in there
    for table in [*tables, "commits"] if has_commits else tables:
        connection.execute(sections["placed"].format(table=table, **_placed(table)))
        connection.execute(sections["judged"].format(table=table, **_judged(table)))
        connection.execute(sections["letters"].format(table=table))
    _refuse(
        connection,
        "endings_untold",
        "{} says when pull requests were closed, and not which were merged. Give them merged_at, or the state merged "
        "beside closed; leave closed_at out if nobody knows (docs/histories.md)",
    )
    if has_commits:
        connection.execute(sections["sizes"])
    if "review_requests" in tables:
        events = "label_events" if "label_events" in tables else "review_requests"
        connection.execute(sections["reviewers"].format(events=events))
    for table in tables:
        connection.execute(sections["rows"].format(table=table, **_output(table)))
    first = connection.execute(sections["first_day"]).fetchall()[0][0]
    if first is None:
        raise SourceError(
            f"{data_sets[0].paths[0].parent}: no pull request and no issue could be read; {_why(connection)}"
        )
    for table in tables:
        if table in _ITEMS:
            not_yet = [name for name in ("closed_at", "merged_at") if name in columns_of(table)]
            connection.execute(
                sections["observations"].format(
                    table=table, not_yet=", ".join(f"NULL::TIMESTAMP AS {name}" for name in not_yet)
                )
            )
        connection.execute(sections["on_days"].format(table=table), {"first_day": first})
    _write(connection, tables, folder, first, sum(counts.values()))


def _names(table: str) -> tuple[str, ...]:
    """What files of a table may be called."""
    return (table, "events") if table in ("label_events", "review_requests") else (table,)


def _data_sets(connection: duckdb.DuckDBPyConnection, data_sets: Sequence[DataSet]) -> None:
    """The data sets, with when each was extracted: as it says, else the newest instant in it."""
    instants = " UNION ALL ".join(
        f"SELECT data_set, {name} AS t FROM input_{table}"
        for table in (*RAW_TABLES, "commits")
        for name, kind in columns_of(table).items()
        if kind == "TIMESTAMP"
    )
    newest: dict[int, datetime] = dict(
        connection.execute(
            f"SELECT data_set, max(t) FROM ({instants}) AS instants WHERE t <= $now GROUP BY ALL", {"now": now_utc()}
        ).fetchall()
    )
    connection.execute(
        "CREATE TABLE data_sets (data_set INTEGER, name VARCHAR, has_ids BOOLEAN, extracted_at TIMESTAMP)"
    )
    for number, data_set in enumerate(data_sets):
        extracted = data_set.extracted_at or newest.get(number)
        connection.execute(
            "INSERT INTO data_sets VALUES (?, ?, ?, ?)", [number, data_set.name, bool(data_set.forge), extracted]
        )


def _placed(table: str) -> Mapping[str, str]:
    has = columns_of(table)
    ids = [name for name in (id_columns(f"raw.{table}") if table in RAW_TABLES else ()) if name != "repo_id"]
    placed = {}
    for name in ids:
        if name in ("author_id", "reviewer_id", "requested_by_id"):
            placed[name] = f"person_of(has_ids, input.{name}, input.{name.removesuffix('_id')}_login)"
        elif name in ("review_id", "comment_id", "in_reply_to_id"):
            kind = "review" if name == "review_id" else "comment"
            key = declared(f"raw.{table}").keys == (name,)
            given = _MADE[name] if key else f"input.{name}"
            number = "coalesce(input.number, items.number, there.number)" if key else "NULL"
            text = f"concat_ws(' ', '{kind}', {_PLACE}, CASE WHEN input.{name} IS NULL THEN {number} END, {given})"
            value = text if key else f"CASE WHEN input.{name} IS NOT NULL THEN {text} END"
            placed[name] = f"id_of(has_ids, input.{name}, {value})"
        else:
            placed[name] = f"CASE WHEN has_ids THEN TRY_CAST(input.{name} AS BIGINT) END"
    if "author_login" in has:
        placed["author_login"] = "CASE WHEN list_contains(given, 'author_login') THEN login_or_ghost(author_login) END"
    if "author_is_bot" in has:
        placed["author_is_bot"] = (
            "CASE WHEN list_contains(given, 'author_is_bot') "
            "THEN coalesce(author_is_bot, nullif(is_bot(author_login, NULL), false)) "
            "WHEN author_login IS NOT NULL THEN is_bot(author_login, NULL) END"
        )
    placed["has_ids"] = "has_ids"
    replaced = [name for name in placed if name != "has_ids"]
    return {
        "ids": ", ".join(replaced or ["pr_id"]),
        "placed_ids": ", ".join(f"{expression} AS {name}" for name, expression in placed.items()),
    }


def _instant_of(table: str) -> str:
    """When a row of a table happened, in SQL; a repository's own age is none."""
    instant = {"commits": "committed_at", "reviews": "submitted_at"}.get(table, "created_at")
    return instant if table not in _NAMED and instant in columns_of(table) else "NULL::TIMESTAMP"


def _judged(table: str) -> Mapping[str, str]:
    sections = sql_sections("sources/files")
    shape = sections.get(f"shape_{table}") or sections["shape"].format(table=table, happened_at=_instant_of(table))
    if table == "commits":
        return {"shape": shape, "broken": "NULL", "keys": "repo_id, number, file, line"}
    keys = declared(f"raw.{table}").keys
    broken = _broken(table) + [
        f"CASE WHEN {key} IS NULL THEN 'it has no {key}' END" for key in keys if key != "repo_id"
    ]
    if "number" not in keys:
        broken.append("CASE WHEN number IS NULL THEN 'it does not say what it belongs to: number, or a pr_id' END")
    if table in _ITEMS:
        broken.append(
            "CASE WHEN state IS NULL AND told_state IS NOT NULL "
            "THEN 'neither open nor closed, and with no time of closing: ' || left(told_state, 40) END"
        )
    if table == "pull_requests":
        broken.append("CASE WHEN state = 'open' AND merged_at IS NOT NULL THEN 'it is open and merged' END")
    return {"shape": shape, "broken": ", ".join(broken), "keys": ", ".join(keys)}


def _broken(table: str) -> list[str]:
    """What a row says that the raw table does not allow, each in SQL."""
    constraints = declared(f"raw.{table}").constraints
    checks = [text.removeprefix("CHECK") for text in constraints if text.startswith("CHECK")]
    return [
        f"CASE WHEN NOT {check} THEN '{check.strip('()').replace(chr(39), '')} does not hold' END" for check in checks
    ]


def _output(table: str) -> Mapping[str, str]:
    names = [name for name, _, _ in columns(f"raw.{table}") if name not in ("source", "observed_at", "partition_date")]
    return {"columns": ", ".join(names), "keys": ", ".join(declared(f"raw.{table}").keys)}


def _refuse(connection: duckdb.DuckDBPyConnection, section: str, sentence: str) -> None:
    row = connection.execute(sql_sections("sources/files")[section]).fetchone()
    if row is not None:
        raise SourceError(sentence.format(*(", ".join(each) if isinstance(each, list) else each for each in row)))


def _why(connection: duckdb.DuckDBPyConnection) -> str:
    rows = connection.execute("SELECT file, line, reason FROM letters LIMIT 1").fetchall()
    return "; ".join(f"{file}, line {line}: {reason}" for file, line, reason in rows) or "the files have no rows"


def _write(connection: duckdb.DuckDBPyConnection, tables: Sequence[str], folder: Path, first: date, lines: int) -> None:
    sections = sql_sections("sources/files")
    authored = [table for table in tables if "author_id" in columns_of(table)]
    others = [table for table in tables if table not in authored]
    activity = " UNION ALL ".join(
        [
            f"SELECT repo_id, partition_date, author_id, author_login, author_is_bot, observed_at FROM rows_{table}"
            for table in authored
        ]
        + [f"SELECT repo_id, partition_date, NULL, NULL, NULL, observed_at FROM rows_{table}" for table in others]
    )
    connection.execute(sections["active"].format(activity=activity))
    _refuse(connection, "two_logins", "the logins {} and {} give the same id: give author_id and a forge")
    newest: datetime = connection.execute("SELECT max(extracted_at) FROM data_sets").fetchall()[0][0]
    for table in tables:
        connection.execute(
            f"COPY (SELECT * EXCLUDE (data_set, repo) FROM rows_{table}) TO $target (FORMAT parquet)",
            {"target": str(folder / f"{table}.parquet")},
        )
    target = {"target": str(folder / "repositories.parquet"), "first_day": first}
    connection.execute(sections["repositories"], target)
    target = {"target": str(folder / "users.parquet"), "first_day": first, "newest": newest}
    connection.execute(sections["users"], target)
    summary: dict[str, Any] = {"first": first, "last": max(first, newest.date()), "lines": lines}
    connection.execute(
        "COPY (SELECT $first::DATE AS first_day, $last::DATE AS last_day, $lines::BIGINT AS lines) "
        "TO $target (FORMAT parquet)",
        summary | {"target": str(folder / "summary.parquet")},
    )
    connection.execute(
        "COPY (SELECT least(greatest(coalesce(day, $first), $first::DATE), $last::DATE) AS day, "
        "* EXCLUDE (data_set, day) FROM letters) TO $target (FORMAT parquet)",
        {"first": first, "last": summary["last"], "target": str(folder / "letters.parquet")},
    )
