"""The tables that the SQL files of `warehouse/` declare."""

import json
import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import duckdb

from qc_assets.errors import QcError
from qc_assets.places import sql_root
from qc_assets.source_traits import all_traits

# Reports that keep a row for every version; the others are computed anew.
KEPT_REPORTS = ["reports/bias", "reports/bias_mitigation"]

_COMMENT = re.compile(r"^COMMENT ON (?:TABLE|COLUMN) ([\w.\"]+) IS\s+((?:'(?:[^']|'')*'\s*)+);", re.MULTILINE)
_PLACE = "schema_name || '.' || table_name"
_OURS = "WHERE database_name = current_database() AND schema_name <> 'information_schema'"


@cache
def sql_sections(name: str) -> dict[str, str]:
    """Read `warehouse/<name>.sql`, split at its `-- name: x` lines; text before the first is section ``""``.

    Raises:
        QcError: if the file does not exist.
    """
    path = sql_root() / f"{name}.sql"
    if not path.is_file():
        raise QcError(f"no SQL file {path}")
    parts = re.split(r"^-- name: (\w+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {"": parts[0].strip(), **dict(zip(parts[1::2], map(str.strip, parts[2::2]), strict=True))}


def define_functions(connection: duckdb.DuckDBPyConnection, sql: str | None = None) -> None:
    """Give a connection our functions, and what the sources say of themselves.

    Args:
        connection: which has none that it has not been given: to define all takes as long as to open the file.
        sql: those that it may name are enough; None: all.
    """
    statements = _functions_named_in(sql) if sql is not None else "".join(_functions().values())
    variables = source_variables()
    named = [name for name in variables if name in f"{statements} {sql}".lower()]
    # As text: DuckDB imports pandas as soon as a parameter is bound, in half a second.
    texts = {name: json.dumps(variables[name][1], default=str).replace("'", "''") for name in named}
    connection.execute(
        "".join(f"SET VARIABLE {name} = '{texts[name]}'::JSON::{variables[name][0]};\n" for name in named) + statements
    )


def source_variables() -> dict[str, tuple[str, Any]]:
    """What the sources say of themselves, as our functions ask for it by `getvariable`: type and value by name."""
    traits = all_traits()
    return {
        "synthetic_sources": ("VARCHAR[]", [name for name, source in traits.items() if source.synthetic]),
        "complete_sources": ("VARCHAR[]", [name for name, source in traits.items() if source.complete]),
        "snapshot_sources": ("VARCHAR[]", [name for name, source in traits.items() if source.snapshot]),
        "sources_of_states": ("VARCHAR[]", [name for name, source in traits.items() if source.states]),
        "source_priorities": ("MAP(VARCHAR, INTEGER)", {name: source.priority for name, source in traits.items()}),
        "last_whole_days": ("MAP(VARCHAR, DATE)", {name: source.last_whole_day for name, source in traits.items()}),
    }


@cache
def _functions() -> dict[str, str]:
    """What defines each function of `macros.sql` and `changes.sql`, by name, in order."""
    text = "\n".join(sql_sections(file)[""] for file in ("macros", "changes"))
    parts = re.split(r"^CREATE OR REPLACE TEMP MACRO (\w+)", re.sub(r"^--.*\n", "", text, flags=re.M), flags=re.M)
    return {
        name: f"CREATE OR REPLACE TEMP MACRO {name}{body}"
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }  # fmt: skip


@lru_cache(maxsize=256)
def _functions_named_in(sql: str) -> str:
    """What defines the functions that a text may name, and those that these name."""
    functions, texts = _functions(), [sql]
    named: set[str] = set()
    while texts:
        new = set(re.findall(r"\w+", texts.pop().lower())) & functions.keys() - named
        named |= new
        texts += [functions[name] for name in new]
    return "".join(functions[name] for name in functions if name in named)


def columns(table: str) -> list[tuple[str, str, str]]:
    """Name, type and comment of the columns of ``schema.table`` as its SQL declares them; no file is opened."""
    return declared(table).columns


@dataclass(frozen=True)
class TableShape:
    """What a table is, but for its rows.

    Attributes:
        comment: of the table.
        columns: name, type and comment of each column; there are none if there is no such table.
        keys: columns of the primary key; none if it has none.
        rules: of each column, whether NULL is allowed, and its default.
        constraints: PRIMARY KEY, CHECK and NOT NULL as SQL.
    """

    comment: str
    columns: list[tuple[str, str, str]]
    keys: tuple[str, ...]
    rules: tuple[tuple[bool, str | None], ...]
    constraints: tuple[str, ...]

    def holds_rows_as(self, other: "TableShape") -> bool:
        """Whether both hold the same rows under the same rules, whatever their comments say."""
        names, others = ([column[:2] for column in shape.columns] for shape in (self, other))
        return (names, self.rules, self.constraints) == (others, other.rules, other.constraints)

    def without_keys(self) -> "TableShape":
        """The shape that it has in a lake, which has neither keys nor checks, and defaults as text."""
        kept = tuple(text for text in self.constraints if text == "NOT NULL")
        rules = tuple((free, default and f"'{default.strip(chr(39))}'") for free, default in self.rules)
        return replace(self, keys=(), constraints=kept, rules=rules)


def shapes_of(connection: duckdb.DuckDBPyConnection) -> dict[str, TableShape]:
    """The shape of every table and view of a database, by ``schema.table``.

    No parameters are bound: DuckDB would import pandas for that, which takes longer than all of this.
    """
    comments = dict(
        connection.execute(f"SELECT {_PLACE}, coalesce(comment, '') FROM duckdb_tables() {_OURS}").fetchall()
    )
    columns: dict[str, list[tuple[Any, ...]]] = {}
    for table, _, *column in connection.execute(
        f"SELECT {_PLACE}, column_index, column_name, data_type, coalesce(comment, ''), is_nullable, "
        f"nullif(column_default, 'NULL') FROM duckdb_columns() {_OURS} ORDER BY ALL"
    ).fetchall():
        columns.setdefault(table, []).append(tuple(column))
    constraints: dict[str, list[tuple[Any, ...]]] = {}
    for table, *constraint in connection.execute(
        f"SELECT {_PLACE}, constraint_text, constraint_type, constraint_column_names FROM duckdb_constraints() {_OURS} "
        "ORDER BY ALL"
    ).fetchall():
        constraints.setdefault(table, []).append(tuple(constraint))
    return {
        table: TableShape(
            comments.get(table, ""),
            [column[:3] for column in of_table],
            next((tuple(names) for _, kind, names in constraints.get(table, []) if kind == "PRIMARY KEY"), ()),
            tuple(column[3:] for column in of_table),
            tuple(text for text, _, _ in constraints.get(table, [])),
        )
        for table, of_table in columns.items()
    }


def declared(table: str) -> TableShape:
    """What the SQL of ``schema.table`` declares.

    Raises:
        QcError: if no SQL file declares it.
    """
    try:
        return _declared_tables()[table]
    except KeyError:
        raise QcError(f"no SQL file of {sql_root()} declares {table}") from None


@cache
def declared_names() -> frozenset[str]:
    """Every ``schema.table`` that an SQL file declares."""
    return frozenset(_declared_tables())


@cache
def _declared_tables() -> dict[str, TableShape]:
    """The shape of every table that an SQL file declares; no database file is opened.

    All are made at once, without their comments: DuckDB copies a table for each, which is most of the work. What they
    say is in the text.
    """
    tables = ""
    comments: dict[str, str] = {}
    for path in sorted(sql_root().glob("*/*.sql")):
        sections = sql_sections(f"{path.parent.name}/{path.stem}")
        declaration = sections.get("table") or sections[""]
        if path.parent.name not in ("migrations", "sources") and "CREATE TABLE" in declaration:
            tables += _COMMENT.sub("", declaration)
            comments |= {place.replace('"', ""): _joined(literals) for place, literals in _COMMENT.findall(declaration)}
    with duckdb.connect(":memory:", config={"threads": "1"}) as connection:
        connection.execute(sql_sections("schema")[""] + tables)
        shapes = shapes_of(connection)
    return {
        table: replace(
            shape,
            comment=comments.get(table, ""),
            columns=[(name, kind, comments.get(f"{table}.{name}", "")) for name, kind, _ in shape.columns],
        )
        for table, shape in shapes.items()
    }


def _joined(literals: str) -> str:
    """The text of literals that follow each other on lines of their own."""
    return "".join(part.replace("''", "'") for part in re.findall(r"'((?:[^']|'')*)'", literals))


def shown_by(table: str) -> tuple[str, ...]:
    """Of a raw table whose rows hang on a pull request or issue: the parts of a reading that show them.

    It is the first line of its SQL, such as ``-- shown by: reviewThreads, threadComments``; a reading that lacks one
    of these parts (`unread_parts`) does not tell whether a row has vanished. Other tables have none.
    """
    match = re.match(r"-- shown by: (.+)\n", sql_sections(f"raw/{table}")[""])
    return tuple(part.strip() for part in match[1].split(",")) if match else ()


@cache
def id_columns(table: str) -> tuple[str, ...]:
    """The columns of ``schema.table`` whose ids are a forge's: their lines in CREATE TABLE end in ``-- forge id``.

    ``-- of: identity, forge id`` in feature tables. They hold the forge's number, see `qc_assets/forges.py`.
    """
    schema, name = table.split(".")
    sections = sql_sections(f"{schema}/{name}")
    head = (sections.get("table") or sections[""]).partition("\n);")[0]
    return tuple(re.findall(r"^    (\w+) .*-- (?:.+, )?forge id$", head, re.MULTILINE))


def _raw_tables() -> tuple[str, ...]:
    names = [path.stem for path in (sql_root() / "raw").glob("*.sql")]
    # What rows hang on comes before them: a reading must be known before what it does not show any more is marked.
    return tuple(sorted(names, key=lambda name: (bool(shown_by(name)), name)))


RAW_TABLES = _raw_tables()
"""The raw tables: one a file of `warehouse/raw/`."""


@cache
def allowed_values(table: str, column: str) -> tuple[str, ...]:
    """The values that the SQL of ``schema.table`` lets a text column have, by ``CHECK (column IN (...))``.

    Raises:
        QcError: if it has no such check.
    """
    schema, name = table.split(".")
    sections = sql_sections(f"{schema}/{name}")
    check = re.search(rf"CHECK \(\s*{column} IN \(([^)]*)\)", sections.get("table") or sections[""])
    if check is None:
        raise QcError(f"warehouse/{schema}/{name}.sql does not say which values {column} may have")
    return tuple(re.findall(r"'([^']*)'", check[1]))


@cache
def table_statements() -> dict[str, str]:
    """The declarations of all tables that every warehouse has, by ``schema/table``; the first makes the schemas."""
    files = ["schema", *(f"raw/{table}" for table in RAW_TABLES)]
    folders = ("ops", "ml", "critique")
    files += [f"{folder}/{path.stem}" for folder in folders for path in sorted((sql_root() / folder).glob("*.sql"))]
    files += KEPT_REPORTS
    return {name: sql_sections(name).get("table") or sql_sections(name)[""] for name in files}


@cache
def view_statements() -> dict[str, str]:
    """The declarations of the views for analysts, by ``schema.view``; the first is read by the others."""
    files = sorted((sql_root() / "analysis").glob("*.sql"), key=lambda path: (path.stem != "repositories", path.stem))
    sections = {f"analysis.{path.stem}": sql_sections(f"analysis/{path.stem}") for path in files}
    return {name: parts["view"] for name, parts in sections.items() if "view" in parts}
