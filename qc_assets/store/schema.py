"""The tables that the SQL files of `warehouse/` declare."""

import re
from dataclasses import dataclass
from functools import cache

import duckdb

from qc_assets.errors import QcError
from qc_assets.places import sql_root
from qc_assets.source_traits import all_traits

# Reports that keep a row for every version; the others are computed anew.
KEPT_REPORTS = ["reports/bias", "reports/bias_mitigation"]


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


def define_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection the functions of `macros.sql` and `changes.sql`, and what the sources say of themselves."""
    traits = all_traits()
    variables = {
        "synthetic_sources": ("VARCHAR[]", [name for name, source in traits.items() if source.synthetic]),
        "complete_sources": ("VARCHAR[]", [name for name, source in traits.items() if source.complete]),
        "snapshot_sources": ("VARCHAR[]", [name for name, source in traits.items() if source.snapshot]),
        "sources_of_states": ("VARCHAR[]", [name for name, source in traits.items() if source.states]),
        "source_priorities": ("MAP(VARCHAR, INTEGER)", {name: source.priority for name, source in traits.items()}),
        "last_whole_days": ("MAP(VARCHAR, DATE)", {name: source.last_whole_day for name, source in traits.items()}),
    }
    for variable, (kind, value) in variables.items():
        connection.execute(f"SET VARIABLE {variable} = $value::{kind}", {"value": value})
    for functions in ("macros", "changes"):
        connection.execute(sql_sections(functions)[""])


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


def shape_of(connection: duckdb.DuckDBPyConnection, table: str) -> TableShape:
    """The shape of ``schema.table`` as it is in a database."""
    place = table.split(".")
    columns = connection.execute(
        "SELECT column_name, data_type, coalesce(comment, ''), is_nullable, column_default FROM duckdb_columns() "
        "WHERE schema_name = ? AND table_name = ? ORDER BY column_index",
        place,
    ).fetchall()
    comment = connection.execute(
        "SELECT coalesce(comment, '') FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?", place
    ).fetchall()
    constraints = connection.execute(
        "SELECT constraint_type, constraint_text, constraint_column_names FROM duckdb_constraints() "
        "WHERE schema_name = ? AND table_name = ? ORDER BY constraint_text",
        place,
    ).fetchall()
    keys = [names for kind, _, names in constraints if kind == "PRIMARY KEY"]
    return TableShape(
        "".join(text for (text,) in comment),
        [column[:3] for column in columns],
        tuple(keys[0]) if keys else (),
        tuple(column[3:] for column in columns),
        tuple(text for _, text, _ in constraints),
    )


@cache
def declared(table: str) -> TableShape:
    """What the SQL of ``schema.table`` declares; no file is opened but that."""
    schema, name = table.split(".")
    sections = sql_sections(f"{schema}/{name}")
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"CREATE SCHEMA {schema}; {sections.get('table') or sections['']}")
        return shape_of(connection, table)


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
