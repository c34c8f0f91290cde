"""The model registry as tables of the warehouse: made from what MLflow has, whenever the two differ."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from qc_assets.errors import WarehouseMissingError
from qc_assets.registry.standing import RecordedDecision, Standing, VersionReference
from qc_assets.registry.version_record import LATER_TABLES, TABLES, VersionRecord
from qc_assets.store.inserts import put
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse

if TYPE_CHECKING:
    import duckdb

    from qc_assets.registry.model_registry import Registry

_COMPARISONS = pl.List(
    pl.Struct(
        {"time_window": pl.String, "metric": pl.String}
        | dict.fromkeys(("difference", "lower", "upper", "margin"), pl.Float64)
        | {"regression": pl.Boolean, "reason": pl.String}
    )
)
_UNJUDGED = "its training ended before it was judged"


def highest_version(store: Warehouse, model: str) -> int:
    """The highest version number that the warehouse knows of a model; 0 if none."""
    return max((int(row["version"]) for row in _rows(store, "model_versions", model)), default=0)


def sync_mirror(store: Warehouse, registry: "Registry", model: str) -> list[str]:
    """Bring the tables after the registry: versions, aliases and decisions.

    What the registry does not have any more stays, with the status `removed`.

    Returns:
        What was changed, in words; nothing is written if nothing differs.
    """
    versions, promotions = _rows_of(store, ("model_versions", "promotions"), model)
    held = {int(row["version"]): row for row in versions}
    standing = registry.standing(model)
    if not standing.versions and not held:
        return []
    if not standing.decisions and standing.versions and (older := _decisions_of_rows(promotions, held)):
        for decision in older:
            registry.note_decision(model, decision)
        standing = registry.standing(model)
    standing = registry.settle(model, standing)
    new = {
        version: run_id
        for version, run_id in standing.versions.items()
        if version not in held or held[version]["mlflow_run_id"] != run_id
    }
    records = {
        version: record for version, run_id in new.items() if (record := registry.record_of_run(run_id)) is not None
    }
    statuses = _statuses(standing, registry.version_of(model, "challenger"), held, records)
    changes = [f"version {version} of {model} is from MLflow" for version in sorted(records)]
    changes += [
        f"version {version} of {model} is {status}"
        for version, status in sorted(statuses.items())
        if version not in records and held[version]["status"] != status
    ]
    noted = {(row["version"], row["decided_at"]) for row in promotions}
    decisions = [
        decision for decision in standing.decisions if (decision.subject.version, decision.decided_at) not in noted
    ]
    changes += [f"a decision on version {decision.subject.version} of {model}" for decision in decisions]
    if changes:
        with store.write() as connection:
            for version, record in records.items():
                _write_version(connection, standing, version, record, statuses[version])
            update = sql_sections("ml/model_versions")["set_status"]
            for version, status in statuses.items():
                connection.execute(update, {"model": model, "version": version, "status": status})
            if decisions:
                put(connection, "ml.promotions", _promotions(decisions), {"model": model})
    return changes


def log_missing_records(store: Warehouse, registry: "Registry", model: str) -> int:
    """Log with the versions of older days what the warehouse says of them; returns how many had nothing logged.

    Then another warehouse can be made from the registry.
    """
    versions = registry.standing(model).versions
    rows = [
        row for row in _rows(store, "model_versions", model) if versions.get(row["version"]) == row["mlflow_run_id"]
    ]
    missing = [row for row in rows if registry.record_of_run(row["mlflow_run_id"]) is None]
    for row in missing:
        registry.log_record(row["mlflow_run_id"], _record_of_warehouse(store, model, row))
    return len(missing)


def what_differs(store: Warehouse, registry: "Registry", model: str) -> str | None:
    """What somebody should know of a model: a champion removed by hand, or tables that lag; None if nothing."""
    standing = registry.standing(model)
    if standing.removal:
        return standing.removal
    champions = [int(row["version"]) for row in _rows(store, "model_versions", model) if row["status"] == "champion"]
    present = [standing.champion.version] if standing.champion else []
    if champions == present:
        return None
    names = [f"version {versions[0]}" if versions else "none" for versions in (present, champions)]
    return f"the champion of {model} in MLflow is {names[0]}, and in the warehouse {names[1]}"


def _rows(store: Warehouse, table: str, model: str) -> list[dict[str, Any]]:
    return _rows_of(store, (table,), model)[0]


def _rows_of(store: Warehouse, tables: Sequence[str], model: str) -> list[list[dict[str, Any]]]:
    """What tables of `ml` have of a model, at one time; nothing if there is no warehouse yet."""
    try:
        with store.at_one_time() as now:
            return [now.sql_file(f"ml/{table}", {"model": model}, section="of_model").to_dicts() for table in tables]
    except WarehouseMissingError:
        return [[] for _ in tables]


def _decisions_of_rows(promotions: Sequence[dict[str, Any]], held: dict[int, dict[str, Any]]) -> list[RecordedDecision]:
    """Decisions of before they were kept in MLflow."""
    runs = {version: str(row["mlflow_run_id"]) for version, row in held.items()}

    def reference(version: int | None) -> VersionReference | None:
        return VersionReference(version, runs[version]) if version in runs else None

    return [
        RecordedDecision(
            subject, row["decided_at"], row["kind"], row["promoted"], reference(row["champion_before"]), row["reason"],
            row["comparisons"] or (),
        )
        for row in promotions
        if (subject := reference(row["version"])) is not None
    ]  # fmt: skip


def _record_of_warehouse(store: Warehouse, model: str, facts: dict[str, Any]) -> VersionRecord:
    version = facts["version"]
    tables = {
        table: store.query(f"FROM ml.{table} WHERE model = $1 AND version = $2", [model, version]).drop(
            "model", "version"
        )
        for table in (*TABLES, *LATER_TABLES)
    }
    own = {
        name: value
        for name, value in facts.items()
        if name not in ("model", "version", "status", "reason", "mlflow_run_id")
    }
    return VersionRecord(own, tables)


def _statuses(
    standing: Standing, challenger: int | None, held: dict[int, dict[str, Any]], records: dict[int, VersionRecord]
) -> dict[int, str]:
    """Status of every version that the warehouse has, or will have, by number."""
    promoted = {decision.subject.run_id for decision in standing.decisions if decision.promoted}
    champion = standing.champion.version if standing.champion else None
    statuses = {}
    for version in held.keys() | records.keys():
        run_id = standing.versions.get(version)
        if run_id is None or (version not in records and held[version]["mlflow_run_id"] != run_id):
            statuses[version] = "removed"
        elif version in (champion, challenger):
            statuses[version] = "champion" if version == champion else "challenger"
        else:
            statuses[version] = "retired" if run_id in promoted else "rejected"
    return statuses


def _write_version(
    connection: "duckdb.DuckDBPyConnection", standing: Standing, version: int, record: VersionRecord, status: str
) -> None:
    key = {"model": standing.model, "version": version}
    run_id = standing.versions[version]
    reasons = [decision.reason for decision in standing.decisions if decision.subject.run_id == run_id]
    row = dict(record.facts) | {"status": status, "reason": (reasons or [_UNJUDGED])[0], "mlflow_run_id": run_id}
    put(connection, "ml.model_versions", pl.DataFrame([row]), key)
    for table, rows in record.tables.items():
        connection.execute(f"DELETE FROM ml.{table} WHERE model = $model AND version = $version", key)
        if len(rows):
            put(connection, f"ml.{table}", rows, key)


def _promotions(decisions: Sequence[RecordedDecision]) -> pl.DataFrame:
    rows = [
        {
            "version": decision.subject.version,
            "decided_at": decision.decided_at,
            "kind": decision.kind,
            "promoted": decision.promoted,
            "champion_before": decision.before.version if decision.before else None,
            "reason": decision.reason,
            "comparisons": list(decision.comparisons),
        }
        for decision in decisions
    ]
    return pl.DataFrame(rows, schema_overrides={"comparisons": _COMPARISONS, "champion_before": pl.Int32})
