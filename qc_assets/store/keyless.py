"""Writing on an engine that enforces neither keys nor checks, so that no more gets in than on one that does."""

import re
from typing import Any

import duckdb

from qc_assets.errors import QcError
from qc_assets.store.schema import TableShape, declared, declared_names

# What a statement writes to; a name that is no declared table's is a temporary one's.
_TARGET = re.compile(
    r"\b(?:INSERT\s+INTO|MERGE\s+INTO|UPDATE|COPY|(?<!DROP\s)TABLE(?:\s+IF\s+NOT\s+EXISTS)?)\s+\"?(\w+)\"?\.\"?(\w+)",
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
        if not self.plain.execute(f"SELECT 1 FROM {rows} LIMIT 1").fetchone():
            return
        on = ", ".join(map(_quoted, declared(table).keys))
        refuse_broken(self.plain, table, rows)
        self.plain.execute(
            f"MERGE INTO {table} USING {rows} USING ({on}) "
            "WHEN MATCHED THEN UPDATE BY NAME WHEN NOT MATCHED THEN INSERT BY NAME"
        )
        key, *others = keys_of(declared(table))
        _refuse_twice(self.plain, table, key, f"{table} SEMI JOIN {rows} USING ({on})")
        for names in others:
            _refuse_twice(self.plain, table, names, table)


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
    for names in keys_of(shape):
        _refuse_twice(connection, table, names, rows or table)
    present = {column[0] for column in connection.execute(f"FROM {rows or table} LIMIT 0").description or []}
    checks = [rule for rule in checks_of(shape) if columns_of_check(shape, rule) <= present]
    if checks:
        counts = ", ".join(f"count(*) FILTER (NOT {rule})" for rule in checks)
        broken = connection.execute(f"SELECT {counts} FROM {rows or table}").fetchall()[0]
        for rule, count in zip(checks, broken, strict=True):
            if count:
                raise BrokenRuleError(f"{table}: {count} rows break the rule {rule}; nothing of this was written")


def keys_of(shape: TableShape) -> list[str]:
    """The columns that a table has a row for each of, with commas between them: those of its keys, the first first."""
    constraints = sorted(text for text in shape.constraints if text.startswith(("PRIMARY KEY(", "UNIQUE(")))
    return [text.partition("(")[2].removesuffix(")") for text in constraints]


def checks_of(shape: TableShape) -> list[str]:
    """The checks of a table as expressions in brackets."""
    return [text.removeprefix("CHECK") for text in shape.constraints if text.startswith("CHECK")]


def columns_of_check(shape: TableShape, rule: str) -> set[str]:
    """The columns that a check speaks of, and perhaps more: words that are also a column's name."""
    return {name for name, _, _ in shape.columns if re.search(rf"\b{re.escape(name)}\b", rule)}


def _refuse_twice(connection: duckdb.DuckDBPyConnection, table: str, names: str, rows: str) -> None:
    twice = connection.execute(
        f"SELECT {names}, count(*) FROM {rows} WHERE ({names}) IS NOT NULL GROUP BY {names} HAVING count(*) > 1 LIMIT 1"
    ).fetchone()
    if twice:
        values = ", ".join(str(value)[:80] for value in twice[:-1])
        raise BrokenRuleError(
            f"{table} has one row for each ({names}), and would have {twice[-1]} for ({values}); nothing of this was "
            "written"
        )


def _quoted(name: str) -> str:
    return f'"{name}"'
