"""Which forges a warehouse holds: each has its number there, and no two share one."""

import duckdb

from qc_assets.clock import now_utc
from qc_assets.errors import QcError, WarehouseMissingError
from qc_assets.forges import forge_number
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse


def register(connection: duckdb.DuckDBPyConnection, forge: str, *, is_synthetic: bool) -> int:
    """The number of a forge in a warehouse; it is written down in ops.forges.

    Args:
        connection: from `Warehouse.write`.
        forge: its name, as of `qc_assets.forges.forge_at`.
        is_synthetic: what it shows is made up.

    Raises:
        QcError: if another forge has that number, or this one was made up before and is not now, or the other way.
    """
    number = forge_number(forge, is_synthetic=is_synthetic)
    known = connection.execute(
        "SELECT forge_number, forge, is_synthetic FROM ops.forges WHERE forge = $1 OR forge_number = $2",
        [forge, number],
    ).fetchall()
    if not known:
        connection.execute("INSERT INTO ops.forges VALUES (?, ?, ?, ?)", [number, forge, is_synthetic, now_utc()])
    for _, name, was_synthetic in known:
        if name != forge:
            raise QcError(
                f"{forge} and {name} have the same number, {number}, and their ids could not be told apart: "
                "load one of them into another warehouse (QC_WAREHOUSE)"
            )
        if was_synthetic != is_synthetic:
            words = {True: "made-up activity", False: "real activity"}
            raise QcError(
                f"{forge} showed {words[was_synthetic]} when it was first loaded, and shows {words[is_synthetic]} now: "
                "load it into another warehouse (QC_WAREHOUSE)"
            )
    return number


def number_in(connection: duckdb.DuckDBPyConnection, forge: str) -> int:
    """The number of a forge in a warehouse, or the one that it will get there."""
    row = connection.execute("SELECT forge_number FROM ops.forges WHERE forge = ?", [forge]).fetchone()
    return int(row[0]) if row else forge_number(forge, is_synthetic=False)


def assumed_forge(connection: duckdb.DuckDBPyConnection, settings: Settings) -> str:
    """Whose names and ids are without a host: those of the only forge in the warehouse, or of the settings' forge."""
    forges = connection.execute("SELECT DISTINCT ops.forge_of(repo_id) FROM raw.repositories").fetchall()
    return str(forges[0][0]) if len(forges) == 1 else settings.forge


def assumed_number(store: Warehouse, settings: Settings) -> int:
    """The number of `assumed_forge`; github.com's while nothing has been loaded."""
    try:
        with store.read() as connection:
            return number_in(connection, assumed_forge(connection, settings))
    except WarehouseMissingError:
        return 0


def reads_made_up(store: Warehouse, settings: Settings) -> bool:
    """Whether what the settings read is made up: their source says so, or the forge did when it was loaded."""
    if settings.is_synthetic:
        return True
    try:
        with store.read() as connection:
            return is_made_up(connection, settings.forge)
    except WarehouseMissingError:
        return False


def is_made_up(connection: duckdb.DuckDBPyConnection, forge: str) -> bool:
    """Whether a forge said when it was loaded that it makes things up; False if it was not loaded."""
    query = "SELECT 1 FROM ops.forges WHERE forge = ? AND is_synthetic"
    return connection.execute(query, [forge]).fetchone() is not None
