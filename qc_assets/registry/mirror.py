"""The model registry as tables of the warehouse, and moving its aliases back."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.store.inserts import put
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse

if TYPE_CHECKING:
    from qc_assets.learning.spec import ModelSpec
    from qc_assets.learning.trained import Trained
    from qc_assets.registry.lifecycle import TrainingOutcome
    from qc_assets.registry.model_registry import Registry

_COMPARISONS = pl.List(
    pl.Struct(
        {"time_window": pl.String, "metric": pl.String}
        | dict.fromkeys(("difference", "lower", "upper", "margin"), pl.Float64)
        | {"regression": pl.Boolean}
    )
)


def mirror_training(
    store: Warehouse, spec: "ModelSpec", outcome: "TrainingOutcome", origin: Mapping[str, str], *, is_synthetic: bool
) -> None:
    """Mirror a registered version, its metrics, test predictions and the decision, in one transaction."""
    from qc_assets.learning.task import task_of

    trained, logged = outcome.trained, outcome.logged
    assert trained is not None and logged is not None and outcome.finished_at is not None
    task, version = task_of(spec), {"model": spec.name, "version": logged.version}
    evaluations = pl.DataFrame(
        [
            version | {"time_window": window, "metric": metric} | vars(estimate)
            for window, estimates in trained.best.evaluations.items()
            for metric, estimate in estimates.items()
        ]
    )
    rows = trained.data.frame[trained.split.test]
    predictions = pl.concat(
        [
            rows.select(*spec.key, pl.col(spec.opened_at).alias("opened_at")),
            task.table(spec.classes, trained.best.predictions),
            task.outcomes(spec.classes, trained.known["test"], trained.best.predictions),
        ],
        how="horizontal",
    )
    sections = sql_sections("ml/model_versions")
    with store.write() as connection:
        connection.execute(sections["retire"], {"model": spec.name, "promoted": outcome.decision.promote})
        connection.execute(
            sections["record"],
            version
            | {
                "task": spec.task,
                "status": "champion" if outcome.decision.promote else "challenger",
                "candidate": trained.best.kind,
                "trained_at": outcome.finished_at,
                "snapshot": origin["snapshot"],
                "is_synthetic": is_synthetic,
                "train_from": trained.data.frame[spec.opened_at][int(trained.split.train[0])],
                "train_until": trained.data.frame[spec.opened_at][int(trained.split.train[-1])],
                **{f"{name}_rows": len(part) for name, part in trained.split.windows.items()},
                "reason": outcome.decision.reason,
                "mlflow_run_id": logged.run_id,
                "dagster_run_id": origin["dagster_run_id"],
                "git_commit": origin["git_commit"] or None,
            },
        )
        put(connection, "ml.evaluations", evaluations.fill_nan(None))
        gates = pl.DataFrame([version | vars(gate) for gate in outcome.gates]).rename({"name": "gate"})
        put(connection, "ml.gates", gates)
        put(connection, "ml.test_predictions", with_comment(predictions), version)
        put(connection, "ml.training_rows", with_comment(_training_rows(spec, trained)), version)
        decision = outcome.decision
        put(
            connection,
            "ml.promotions",
            _decision(
                version,
                outcome.finished_at,
                "training",
                decision.promote,
                outcome.replaced,
                decision.reason,
                [vars(comparison) for comparison in decision.comparisons],
            ),
        )


def with_comment(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with a comment_id: 0 where they are about pull requests or issues themselves."""
    return rows if "comment_id" in rows.columns else rows.with_columns(comment_id=pl.lit(0))


def _training_rows(spec: "ModelSpec", trained: "Trained") -> pl.DataFrame:
    """The key of every row of the three windows, and which one."""
    keys = trained.data.frame.select(spec.key)
    windows = trained.split.windows.items()
    return pl.concat([keys[rows].with_columns(time_window=pl.lit(name)) for name, rows in windows])


def roll_back_champion(store: Warehouse, registry: "Registry", model: str, to: int | None = None) -> tuple[int, int]:
    """Make an earlier version champion again.

    Args:
        store: the warehouse.
        registry: MLflow.
        model: name of the model.
        to: version; default: the one that the present champion replaced.

    Returns:
        The champion before and after.

    Raises:
        QcError: if there is no champion, no earlier one, or no such version.
    """
    champion = registry.version_of(model, "champion")
    if champion is None:
        raise QcError(f"{model} has no champion to roll back from: train it first")
    if to is None:
        previous = store.sql_file("ml/promotions", {"model": model, "champion": champion}, section="previous")
        if previous.is_empty():
            raise QcError(f"version {champion} of {model} replaced no other: name a version with --to")
        to = int(previous.item())
    if to == champion:
        raise QcError(f"version {to} of {model} is the champion already")
    registry.roll_back(model, to)
    reason = f"rolled back from version {champion}"
    version = {"model": model, "version": to}
    with store.write() as connection:
        connection.execute(sql_sections("ml/model_versions")["roll_back"], version)
        now = now_utc()
        put(connection, "ml.promotions", _decision(version, now, "rollback", True, champion, reason, []))
    return champion, to


def _decision(
    version: Mapping[str, Any],
    decided_at: datetime,
    kind: str,
    promoted: bool,
    champion_before: int | None,
    reason: str,
    comparisons: list[dict[str, Any]],
) -> pl.DataFrame:
    row = {
        "decided_at": decided_at,
        "kind": kind,
        "promoted": promoted,
        "champion_before": champion_before,
        "reason": reason,
        "comparisons": comparisons,
    }
    return pl.DataFrame(
        [dict(version) | row], schema_overrides={"comparisons": _COMPARISONS, "champion_before": pl.Int32}
    )
