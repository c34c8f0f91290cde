"""Bringing a warehouse that an older version made to the present declarations; no row is lost.

A migration is a file `warehouse/migrations/NNNN_what.sql` and does what a declaration cannot say: rename, move or fill.
Where SQL cannot say it either, it is a `.py` with a function `migrate(connection, forges)`.
After the migrations every table is compared with its declaration, and made anew with its rows where they differ, so
that a new column, a wider CHECK or another comment needs no migration: DuckDB cannot alter constraints.
"""

import hashlib
import re
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import duckdb

from qc_assets.clock import now_utc
from qc_assets.errors import QcError, WarehouseMissingError
from qc_assets.lake_place import LakePlace, WarehousePlace
from qc_assets.places import sql_root
from qc_assets.store.keyless import is_keyless, statement_without_keys, upsert
from qc_assets.store.schema import (
    RAW_TABLES,
    TableShape,
    declared_names,
    define_functions,
    shapes_of,
    sql_sections,
    table_statements,
    view_statements,
)  # fmt: skip
from qc_assets.store.schema import (
    declared as declared_table,
)

_HAS_VERSION = (
    "SELECT 1 FROM duckdb_tables() WHERE database_name = coalesce(?, current_database()) "
    "AND schema_name = 'ops' AND table_name = 'schema_version'"
)


@dataclass(frozen=True)
class Migration:
    """A step from version `number - 1` to `number`.

    Attributes:
        apply: does it, given a transaction and the forge of each source (`Settings.forges`).
    """

    number: int
    name: str
    apply: Callable[[duckdb.DuckDBPyConnection, Mapping[str, str]], object]


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations in order.

    Raises:
        ValueError: if a number is missing or there twice.
    """
    files = sorted(path for kind in ("sql", "py") for path in (sql_root() / "migrations").glob(f"*.{kind}"))
    steps = []
    for number, path in enumerate(files, start=1):
        if not re.fullmatch(rf"{number:04d}_[a-z0-9_]+", path.stem):
            raise ValueError(f"{path} should be named {number:04d}_what.sql: numbers follow each other")
        steps.append(Migration(number, path.stem, _function_of(path)))
    return tuple(steps)


def _function_of(path: Path) -> Callable[[duckdb.DuckDBPyConnection, Mapping[str, str]], object]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".sql":
        return lambda connection, forges: connection.execute(text)
    return lambda connection, forges: runpy.run_path(str(path))["migrate"](connection, forges)


def schema_version(connection: duckdb.DuckDBPyConnection, database: str | None = None) -> int | None:
    """The version of a warehouse: None if it has no tables yet, 0 if it was made before versions had numbers.

    Args:
        connection: on the warehouse.
        database: the name that it is attached by, if it is not the connection's own.
    """
    return _recorded(connection, database)[0]


def is_up_to_date(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether there is nothing that `bring_up_to_date` would do."""
    return _recorded(connection) == (len(migrations()), _declarations())


def pending(version: int | None) -> tuple[Migration, ...]:
    """What a warehouse of this version still has to go through; a new one nothing."""
    return () if version is None else migrations()[version:]


def refuse_newer(version: int | None, path: WarehousePlace) -> None:
    """Refuse a warehouse that a newer program has written.

    Raises:
        QcError: saying so.
    """
    if version is not None and version > len(migrations()):
        raise QcError(
            f"{path} has schema version {version}, and this qc-assets knows versions up to {len(migrations())}: "
            "install the newer qc-assets again, or set QC_WAREHOUSE to the copy that its migration put beside the file"
        )


def refuse_unready(version: int | None, path: WarehousePlace) -> None:
    """Refuse to read a warehouse that has no tables yet, or those of another version.

    Raises:
        WarehouseMissingError: if it has none.
        QcError: if it is of an older or a newer version.
    """
    if version is None:
        raise WarehouseMissingError(f"{path} has no tables yet: run `qc demo` or `qc backfill`, or set QC_WAREHOUSE")
    refuse_newer(version, path)
    if pending(version):
        raise QcError(
            f"{path} was made by an older version of qc-assets (schema {version}): run `qc migrate`, which puts a "
            "copy beside it first"
        )


def bring_up_to_date(
    connection: duckdb.DuckDBPyConnection, path: WarehousePlace, forges: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Create what is missing and migrate what is old; nothing is done while version and declarations are the present.

    Args:
        connection: a transaction on the warehouse.
        path: where the warehouse lies, for errors.
        forges: the forge of each source, for warehouses of before ids held it; default: all are github.com's.

    Raises:
        QcError: if the file is of a newer version, or a table's rows do not fit its declaration.
    """
    if is_up_to_date(connection):
        return
    version = schema_version(connection)
    refuse_newer(version, path)
    if pending(version):
        define_functions(connection)
    for migration in pending(version):
        try:
            migration.apply(connection, forges)
        except duckdb.Error as error:
            raise QcError(f"{path} was left as it was: migration {migration.name} failed: {error}") from error
    if version is not None:
        present = shapes_of(connection)
        for table, declared in _shapes_at(path).items():
            if table in present and not present[table].holds_rows_as(declared):
                _redeclare(connection, path, table, present[table], declared)
    _create(connection)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE present_version AS "
        "SELECT $1::INTEGER AS version, $2::VARCHAR AS declarations, $3::TIMESTAMP AS applied_at",
        [len(migrations()), _declarations(), now_utc()],
    )
    upsert(connection, "ops.schema_version", "present_version")
    connection.execute("DROP TABLE present_version")


def changes(connection: duckdb.DuckDBPyConnection, path: WarehousePlace) -> list[str]:
    """What `bring_up_to_date` would do to a warehouse: migrations, then tables that it would make, or make anew.

    Raises:
        QcError: if the file is of a newer version.
    """
    version = schema_version(connection)
    refuse_newer(version, path)
    if version is None or is_up_to_date(connection):
        return []
    present = shapes_of(connection)
    tables = [
        table
        for table, declared in _shapes_at(path).items()
        if table not in present or not present[table].holds_rows_as(declared)
    ]
    names = [migration.name for migration in pending(version)]
    return names + [table for table in tables if table != "ops.schema_version"]


@cache
def declared_shapes() -> dict[str, TableShape]:
    """The shape of every table that a new warehouse has."""
    with duckdb.connect(":memory:") as connection:
        _create(connection)
        shapes = {name: shape for name, shape in shapes_of(connection).items() if name not in view_statements()}
    # `observed` is made after the columns of `raw`, so it comes later.
    return {table: shapes[table] for table in sorted(shapes, key=lambda table: (table.startswith("observed."), table))}


def _shapes_at(path: WarehousePlace) -> dict[str, TableShape]:
    """The shape of every table that a new warehouse has at such a place."""
    shapes = declared_shapes()
    return {table: shape.without_keys() for table, shape in shapes.items()} if isinstance(path, LakePlace) else shapes


@cache
def _declarations() -> str:
    return hashlib.sha256("".join([*table_statements().values(), *view_statements().values()]).encode()).hexdigest()


def _recorded(connection: duckdb.DuckDBPyConnection, database: str | None = None) -> tuple[int | None, str]:
    """Version and declarations that a warehouse says it has."""
    (takes_variables,) = connection.execute("SELECT current_setting('python_enable_replacements')").fetchall()[0]
    # Where DuckDB takes a missing table for a Python variable of its name, the catalog is asked first; of a lake, that
    # takes half a second.
    if takes_variables and not connection.execute(_HAS_VERSION, [database]).fetchone():
        return None, ""
    try:
        rows = connection.execute(f"FROM {f'{database}.' if database else ''}ops.schema_version").fetchall()
    except duckdb.CatalogException:
        return None, ""
    # Version 0 had one row and column, a hash of all declarations.
    return (0, "") if len(rows[0]) == 1 else max(rows)[:2]


def _create(connection: duckdb.DuckDBPyConnection) -> None:
    for name in table_statements():
        declare(connection, name)
    for table in RAW_TABLES:
        connection.execute(f"CREATE TABLE IF NOT EXISTS observed.{table} AS FROM raw.{table} LIMIT 0")
    make_views(connection)


def declare(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Carry out the declaration in `warehouse/<name>.sql`, as far as the connection's engine can."""
    sections = sql_sections(name)
    text = sections.get("table") or sections[""]
    if not is_keyless(connection):
        connection.execute(text)
        return
    for statement in duckdb.extract_statements(text):
        is_table = re.search(r"^CREATE TABLE", statement.query, re.MULTILINE) is not None
        connection.execute(statement_without_keys(name.replace("/", ".")) if is_table else statement.query)


def make_views(connection: duckdb.DuckDBPyConnection, table: str = "") -> None:
    """Make the views that read a table, or all of them.

    A view whose tables are not there yet, or are those of an older version, is left out until they are computed.
    """
    for name, declaration in view_statements().items():
        if re.search(rf"\b{table}\b", declaration):
            statements = [statement.query for statement in duckdb.extract_statements(declaration)]
            if is_keyless(connection):  # a lake has comments on views, but not on their columns
                statements = [text for text in statements if "COMMENT ON COLUMN" not in text]
            try:
                for statement in statements:
                    connection.execute(statement)
            except (duckdb.CatalogException, duckdb.BinderException):
                connection.execute(f"DROP VIEW IF EXISTS {name}")


def empty_table(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Have a table as its SQL declares it, without rows."""
    if is_keyless(connection):  # there, a table that is made anew is another one, with all that is said of it
        try:
            kinds = [row[:2] for row in connection.execute(f"DESCRIBE {table}").fetchall()]
        except duckdb.CatalogException:
            kinds = []
        if kinds == [(name, kind) for name, kind, _ in declared_table(table).columns]:
            connection.execute(f"DELETE FROM {table}")
            return
    connection.execute(f"DROP TABLE IF EXISTS {table}")
    declare(connection, table.replace(".", "/"))


def _redeclare(
    connection: duckdb.DuckDBPyConnection, path: WarehousePlace, table: str, present: TableShape, declared: TableShape
) -> None:
    """Make a table anew, with its rows; its comments are set by its declaration, wherever that is carried out."""
    unknown = {name for name, *_ in present.columns} - {name for name, *_ in declared.columns}
    if unknown:
        raise QcError(
            f"{path}: {table} has columns that this version does not know ({', '.join(sorted(unknown))}), so a newer "
            "version has written it: install that one, or add a migration that says what becomes of them"
        )
    try:
        connection.execute(f"CREATE TEMP TABLE rows_to_keep AS FROM {table}")
        connection.execute(f"DROP TABLE {table}")
        if table in declared_names():
            declare(connection, table.replace(".", "/"))
        else:
            connection.execute(f"CREATE TABLE {table} AS FROM {table.replace('observed.', 'raw.')} LIMIT 0")
        connection.execute(f"INSERT INTO {table} BY NAME FROM rows_to_keep")
        connection.execute("DROP TABLE rows_to_keep")
    except duckdb.Error as error:
        raise QcError(f"{path} was left as it was: the rows of {table} do not fit its new form: {error}") from error
