"""Writing on an engine that enforces neither keys nor checks, so that no more gets in than on one that does."""

import re
from typing import Any

import duckdb

from qc_assets.errors import QcError
from qc_assets.store.schema import TableShape, declared, declared_names

# What a statement writes to; a name that is no declared table's is a temporary one's.
_TARGET = re.compile(
    r"\b(?:INSERT\s+INTO|MERGE\s+INTO|UPDATE|COPY|TABLE(?:\s+IF\s+NOT\s+EXISTS)?)\s+\"?(\w+)\"?\.\"?(\w+)",
    re.IGNORECASE,
)
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


class BrokenRuleError(QcError):
    """Rows break a key or a check of their table's declaration."""


class KeylessConnection:
    """A connection that notes which tables are written, and looks at their keys and checks before the commit.

    It is used as DuckDB's is. One of it is made for each transaction.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.plain = connection
        self.written: set[str] = set()

    def execute(self, query: Any, parameters: object = None) -> duckdb.DuckDBPyConnection:
        self.written |= tables_written_by(str(query))
        return self.plain.execute(query, parameters)

    def executemany(self, query: Any, parameters: object = None) -> duckdb.DuckDBPyConnection:
        self.written |= tables_written_by(str(query))
        return self.plain.executemany(query, parameters)

    def sql(self, query: Any, **options: Any) -> duckdb.DuckDBPyRelation:
        self.written |= tables_written_by(str(query))
        return self.plain.sql(query, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)

    def commit(self) -> None:
        """Commit what keeps the rules.

        Raises:
            BrokenRuleError: if rows break them; nothing is committed.
        """
        for table in sorted(self.written):
            refuse_broken(self.plain, table)
        self.plain.commit()

    def upsert(self, table: str, rows: str) -> None:
        """Insert the rows of a relation by column name; those whose key is there replace what stands there."""
        keys = declared(table).keys
        refuse_broken(self.plain, table, rows)
        on = ", ".join(map(_quoted, keys))
        self.plain.execute(
            f"MERGE INTO {table} USING {rows} USING ({on}) "
            "WHEN MATCHED THEN UPDATE BY NAME WHEN NOT MATCHED THEN INSERT BY NAME"
        )
        _refuse_twice(self.plain, table, f"{table} SEMI JOIN {rows} USING ({on})")


def upsert(connection: duckdb.DuckDBPyConnection, table: str, rows: str) -> None:
    """Insert the rows of a relation into a table by column name; those whose key is there replace what stands there.

    Args:
        connection: from `Warehouse.write`.
        table: ``schema.table``.
        rows: name of a temporary table, view or registered frame, with a row a key.
    """
    if isinstance(connection, KeylessConnection):
        connection.upsert(table, rows)
    else:
        connection.execute(f"INSERT OR REPLACE INTO {table} BY NAME FROM {rows}")


def is_keyless(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether tables that this connection makes have neither keys nor checks."""
    return isinstance(connection, KeylessConnection)


def tables_written_by(query: str) -> set[str]:
    """The declared tables that statements insert into or update."""
    targets = {f"{schema}.{table}".lower() for schema, table in _TARGET.findall(_COMMENTS.sub(" ", query))}
    return targets & declared_names()


def statement_without_keys(table: str) -> str:
    """CREATE TABLE of a declared table, without its keys and checks."""
    shape = declared(table)
    lines = [
        f"{_quoted(name)} {kind}{'' if is_nullable else ' NOT NULL'}{f' DEFAULT {default}' if default else ''}"
        for (name, kind, _), (is_nullable, default) in zip(shape.columns, shape.rules, strict=True)
    ]
    return f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(lines)})"


def refuse_broken(connection: duckdb.DuckDBPyConnection, table: str, rows: str = "") -> None:
    """Refuse rows that break the rules of a table's declaration.

    Args:
        connection: on the warehouse.
        table: ``schema.table``.
        rows: a relation with rows for it, instead of those that it has.

    Raises:
        BrokenRuleError: naming the table, the rule and an example.
    """
    shape = declared(table)
    if shape.keys:
        _refuse_twice(connection, table, rows or table)
    names = {column[0] for column in connection.execute(f"FROM {rows} LIMIT 0").description or []} if rows else None
    checks = [rule for rule in checks_of(shape) if names is None or columns_of_check(shape, rule) <= names]
    if checks:
        counts = ", ".join(f"count(*) FILTER (NOT {rule})" for rule in checks)
        broken = connection.execute(f"SELECT {counts} FROM {rows or table}").fetchall()[0]
        for rule, count in zip(checks, broken, strict=True):
            if count:
                raise BrokenRuleError(f"{table}: {count} rows break the rule {rule}; nothing of this was written")


def checks_of(shape: TableShape) -> list[str]:
    """The checks of a table as expressions in brackets."""
    return [text.removeprefix("CHECK") for text in shape.constraints if text.startswith("CHECK")]


def columns_of_check(shape: TableShape, rule: str) -> set[str]:
    """The columns that a check speaks of, and perhaps more: words that are also a column's name."""
    return {name for name, _, _ in shape.columns if re.search(rf"\b{re.escape(name)}\b", rule)}


def _refuse_twice(connection: duckdb.DuckDBPyConnection, table: str, rows: str) -> None:
    keys = declared(table).keys
    names = ", ".join(map(_quoted, keys))
    twice = connection.execute(
        f"SELECT {names}, count(*) FROM {rows} GROUP BY {names} HAVING count(*) > 1 LIMIT 1"
    ).fetchone()
    if twice:
        example = ", ".join(f"{key} {value}" for key, value in zip(keys, twice[:-1], strict=True))
        raise BrokenRuleError(
            f"{table} has one row for each ({', '.join(keys)}), and would have {twice[-1]} for {example}; nothing of "
            "this was written. If it was there before, `qc warehouse copy` into a new place says where it came in"
        )


def _quoted(name: str) -> str:
    return f'"{name}"'
