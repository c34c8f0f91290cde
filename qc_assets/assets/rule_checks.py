"""Whether keys and rules of the raw tables hold, where the warehouse's engine does not see to that itself."""

from collections.abc import Collection

import dagster as dg
import duckdb

from qc_assets.assets import tables
from qc_assets.settings import Settings
from qc_assets.store.keyless import BrokenRuleError, refuse_broken
from qc_assets.store.schema import RAW_TABLES, declared
from qc_assets.store.warehouse import Warehouse

KEYS_ARE_UNIQUE = "keys_are_unique"


def rule_checks(settings: Settings) -> list[dg.AssetCheckSpec]:
    """A check of every raw table in a lake; what comes after waits for it. A file has keys of its own."""
    return [
        dg.AssetCheckSpec(
            KEYS_ARE_UNIQUE,
            asset=tables.key(f"raw.{table}"),
            blocking=True,
            description=f"One row for each ({', '.join(declared(f'raw.{table}').keys)}), and every rule of "
            f"warehouse/raw/{table}.sql holds: a lake does not enforce them.",
        )
        for table in (RAW_TABLES if settings.has_lake else ())
    ]


def examine_rules(store: Warehouse, assets: Collection[dg.AssetKey]) -> list[dg.AssetCheckResult]:
    """The outcome for the raw table of each asset, of one reading."""
    if not assets:
        return []
    names = {tables.key(f"raw.{name}"): f"raw.{name}" for name in RAW_TABLES}
    with store.read() as connection:
        return [_outcome(connection, asset, names[asset]) for asset in assets]


def _outcome(connection: duckdb.DuckDBPyConnection, asset: dg.AssetKey, table: str) -> dg.AssetCheckResult:
    trouble = ""
    try:
        refuse_broken(connection, table)
    except BrokenRuleError as error:
        trouble = str(error)
    metadata = {"what is broken": trouble} if trouble else {"keys": ", ".join(declared(table).keys)}
    return dg.AssetCheckResult(asset_key=asset, check_name=KEYS_ARE_UNIQUE, passed=not trouble, metadata=metadata)
