"""Queries that only read, and their results in forms that hold every type of DuckDB."""

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl

from qc_assets.errors import QcError

_NUMBERS = ("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint")
_PLAIN = {*_NUMBERS, "uhugeint", "boolean", "float", "double", "decimal", "varchar", "uuid"}
_MOMENTS = ("date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone")
_NESTED = ("list", "array", "struct", "map")
# What polars has a type for; whether a value of these fits is seen in the values. Of a TIME, 24:00 would become null.
_IN_POLARS = {*_PLAIN, *_MOMENTS, "enum", "blob"} - {"uhugeint"}
_DAYS = (date(1, 1, 1).toordinal() - date(1970, 1, 1).toordinal(), date.max.toordinal() - date(1970, 1, 1).toordinal())
_UNITS_A_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
# As DuckDB writes a query's parts down; in a text, quotes would have a backslash before them.
_MACHINERY = re.compile(
    r'"function_name":"((?:ducklake|postgres|sqlite|mysql)_\w+|query_table)"|'
    r'"(?:catalog|schema|database)(?:_name)?":"(__ducklake\w*)"',
    re.IGNORECASE,
)


# What a SELECT may call of any warehouse and does more than read: it runs a text, or changes the process or files.
_ACTS = "|".join(
    (
        r"query|json_execute_serialized_sql|(?:en|dis)able_(?:logging|profiling)",
        r"truncate_duckdb_logs|write_log|\w*checkpoint",
    )
)
_ACTING = re.compile(rf'"function_name":"({_ACTS})"', re.IGNORECASE)
_MAY_ACT = re.compile(rf"\b(?:{_ACTS})\b", re.IGNORECASE)


class NotReadingError(QcError):
    """A query is not one SELECT, or wants more than the warehouse."""


def reading_statement(sql: str) -> str:
    """The one statement that a text is.

    Raises:
        NotReadingError: if it is none, several, or not a SELECT, FROM, WITH, VALUES, DESCRIBE, SHOW or SUMMARIZE.
        duckdb.ParserException: if it is no SQL.
    """
    if re.search(r"\bimport_database\b", sql, re.IGNORECASE):  # reads files as soon as it is parsed
        raise NotReadingError("import_database is not for reading the warehouse; `qc sql --unsafe` runs anything")
    statements = duckdb.extract_statements(sql)
    kinds = [statement.type for statement in statements]
    if kinds != [duckdb.StatementType.SELECT]:
        names = ", ".join(kind.name for kind in kinds) or "nothing"
        raise NotReadingError(
            f"the warehouse is read-only: one SELECT, FROM, WITH, VALUES, DESCRIBE, SHOW or SUMMARIZE is answered, "
            f"and this is {names} (of a PIVOT, name the values: ON column IN (…)); `qc sql --unsafe` runs anything"
        )
    return statements[0].query


def refuse_acts(connection: duckdb.DuckDBPyConnection, statement: str, *, is_lake: bool) -> None:
    """Refuse a query that does more than read, though it is a SELECT: functions may change files, or the process.

    Of a lake, what is behind it is refused, too: the catalogue's database, and functions that change it.

    Raises:
        NotReadingError: naming it.
    """
    if not is_lake and _MAY_ACT.search(statement) is None:  # as nearly all
        return
    quoted = statement.replace("'", "''")  # not bound: DuckDB would import pandas for that
    tree = connection.execute(f"SELECT json_serialize_sql('{quoted}')").fetchall()[0][0]
    if '"error":true' in tree[:20]:
        tree = " ".join(f'"function_name":"{word}","schema_name":"{word}"' for word in re.findall(r"\w+", statement))
    if named := _ACTING.search(tree) or (_MACHINERY.search(tree) if is_lake else None):
        raise NotReadingError(
            f"{next(filter(None, named.groups()))} is not for reading the warehouse; `qc sql --unsafe` runs anything"
        )


def identity_of(connection: duckdb.DuckDBPyConnection, tables: Sequence[str], database: str = "") -> str:
    """Identity of the contents of tables: see `Warehouse.snapshot`.

    Args:
        connection: on the warehouse.
        tables: each ``schema.table``.
        database: the name that it is attached by, if it is not the connection's own.
    """
    digest = hashlib.sha256()
    for table in sorted(tables):
        if not re.fullmatch(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*", table):
            raise QcError(f"{table!r} is not a table name")
        place = ".".join(f'"{part}"' for part in (database, *table.split(".")) if part)
        row = connection.execute(f"SELECT count(*), coalesce(sum(hash(t)::HUGEINT), 0) FROM {place} AS t").fetchone()
        digest.update(f"{table}:{row}\n".encode())
    return digest.hexdigest()


def frame_of(connection: duckdb.DuckDBPyConnection, sql: str, parameters: object = None) -> pl.DataFrame:
    """The result of a query as a frame, in which every value is what DuckDB has.

    A type or value that polars lacks comes as text: years before 1 and after 9999, infinite times, intervals with
    months, unions, bits. A HUGEINT of more than 38 digits is an Int128. Nested columns with such things are JSON.
    """
    result = connection.execute(sql, parameters)
    kinds = [column[1] for column in result.description or []]
    told = {i for i, kind in enumerate(kinds) if not _has_polars_type(kind)}
    if not told:
        frame = result.pl()
        told = {i for i, column in enumerate(frame) if not _is_sound(column)}
        if not told:
            return _with_large_numbers(frame)
    names = [column[0] for column in result.description or []]
    columns = [_column(i, kind, i in told) for i, kind in enumerate(kinds)]
    frame = connection.execute(_over(sql, columns), parameters).pl()
    again = {i for i, column in enumerate(frame) if not _is_sound(column)}
    if again:
        columns = [_column(i, kind, i in told | again) for i, kind in enumerate(kinds)]
        frame = connection.execute(_over(sql, columns), parameters).pl()
    frame.columns = _unique(names)
    durations = [_duration(frame[name]) for name, kind in zip(frame.columns, kinds, strict=True) if _is_span(kind)]
    return _with_large_numbers(frame.with_columns(durations))


def rows_of(
    connection: duckdb.DuckDBPyConnection, sql: str, limit: int | None = None
) -> tuple[list[str], list[dict[str, Any]]]:
    """Column names and rows of a query as numbers, text, times, lists and dicts: all that JSON and a table show.

    A statement without a result has neither.
    """
    relation = connection.sql(sql)
    if relation is None:
        return [], []
    names, kinds = _unique(relation.columns), relation.types
    shown = relation if limit is None else relation.limit(limit)
    values = shown.project(", ".join(_told(i, kind) for i, kind in enumerate(kinds))).fetchall()
    readers = [_reader(kind) for kind in kinds]
    return names, [{name: read(value) for name, read, value in zip(names, readers, row, strict=True)} for row in values]


def _has_polars_type(kind: Any) -> bool:
    if kind.id not in _NESTED:
        return kind.id in _IN_POLARS
    children = [child for name, child in kind.children if name != "size"]
    # Of a map, polars does not show whether its values are sound.
    return all(_has_polars_type(child) for child in children) and (
        kind.id != "map" or all(child.id in _PLAIN for child in children)
    )


def _is_span(kind: Any) -> bool:
    return bool(kind.id == "interval")


def _column(position: int, kind: Any, is_told: bool) -> str:
    """The expression that a column is fetched by; ``#1`` is the first."""
    column = f"#{position + 1}"
    if _is_span(kind):
        return (
            f"{{'us': TRY(epoch_us({column})), 'text': {column}::VARCHAR, "
            f"'months': datepart('year', {column}) * 12 + datepart('month', {column})}}"
        )
    if not is_told:
        return column
    return f"to_json({column})::VARCHAR" if kind.id in (*_NESTED, "union") else f"{column}::VARCHAR"


def _over(sql: str, columns: Sequence[str]) -> str:
    statement = duckdb.extract_statements(sql)[0].query  # without what follows its semicolon
    return f"SELECT {', '.join(f'{column} AS c{i}' for i, column in enumerate(columns))} FROM (\n{statement}\n)"


def _duration(column: pl.Series) -> pl.Series:
    """A column of intervals as durations, or as text if months make one of them no fixed time."""
    parts = column.struct.unnest()
    is_fixed = not (parts["months"] != 0).any() and parts["us"].null_count() == parts["text"].null_count()
    values = parts["us"].cast(pl.Duration("us")) if is_fixed else parts["text"]
    return values.alias(column.name)


def _is_sound(column: pl.Series) -> bool:
    """Whether polars can show every value of a column: it fails on times beyond those of Python."""
    kind = column.dtype
    if isinstance(kind, pl.Struct):
        return all(_is_sound(part) for part in column.struct.unnest())
    if isinstance(kind, pl.List | pl.Array):
        return _is_sound(column.explode())
    if isinstance(kind, pl.Date):
        bounds = _DAYS
    elif isinstance(kind, pl.Datetime):
        unit = _UNITS_A_DAY[kind.time_unit]
        bounds = (_DAYS[0] * unit, (_DAYS[1] + 1) * unit - 1)
    else:
        return True
    physical = column.to_physical().drop_nulls()
    least, most = physical.min(), physical.max()
    return least is None or bool(least >= bounds[0] and most <= bounds[1])  # type: ignore[operator]


def _with_large_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame, with whole numbers of more than 38 digits, which overflow a decimal, as Int128."""
    large = []
    for column in frame:
        if column.dtype == pl.Decimal(38, 0):
            whole = column.to_physical()
            if whole.drop_nulls().is_between(-(10**38) + 1, 10**38 - 1).all() is False:
                large.append(whole)
    return frame.with_columns(large)


def _told(position: int, kind: Any) -> str:
    column = f"#{position + 1}"
    if kind.id in _PLAIN:
        return column
    return f"{column}::VARCHAR" if kind.id in _MOMENTS else f"to_json({column})::VARCHAR"


def _reader(kind: Any) -> Any:
    if kind.id in _PLAIN:
        return _plain_value
    if kind.id == "date":
        return lambda text: _moment(date, text)
    if kind.id == "timestamp_ns":  # Python has no nanoseconds
        return _plain_value
    return (lambda text: _moment(datetime, text)) if kind.id in _MOMENTS else _document


def _plain_value(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | Decimal | str) else str(value)


def _moment(kind: type[date], text: str | None) -> date | str | None:
    """A time as Python's, where Python has it."""
    try:
        return None if text is None else kind.fromisoformat(text)
    except ValueError:  # infinity, before the year 1, after 9999
        return text


def _document(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text, parse_float=Decimal, parse_constant=str)
    except (ValueError, RecursionError):  # a number or a nesting that Python does not read
        return text


def _unique(names: Sequence[str]) -> list[str]:
    """Column names, of which a later one that is there already gets a number, as in a subquery of DuckDB."""
    taken: dict[str, None] = {}
    for name in names:
        free, n = name, 0
        while free in taken:
            n += 1
            free = f"{name}_{n}"
        taken[free] = None
    return list(taken)
