"""Models as assets: each trains, is judged by its gates, and becomes champion or does not."""

import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from qc_assets import progress
from qc_assets.assets import tables
from qc_assets.models.close_in_7_days import SPEC as CLOSE_IN_7_DAYS
from qc_assets.models.p0 import SPEC as P0
from qc_assets.models.spec import ModelSpec
from qc_assets.resources import RegistryResource, WarehouseResource
from qc_assets.settings import PROJECT_ROOT, Settings

if TYPE_CHECKING:
    from qc_assets.models.lifecycle import Outcome
    from qc_assets.warehouse import Warehouse

SPECS: tuple[ModelSpec, ...] = (P0, CLOSE_IN_7_DAYS)
_KINDS = {"lightgbm": "lightgbm", "random_forest": "scikitlearn", "xgboost": "xgboost"}
_GATES = {
    "enough_labelled_rows": "There are enough labelled rows, over enough time, to train and test on.",
    "auc_above_threshold": "ROC AUC on the test window reaches the model's threshold.",
    "beats_base_rate": "Log loss on the test window is lower than for always predicting the base rate.",
}


class TrainingConfig(dg.Config):
    """How to train."""

    quick: bool = Field(False, description="Use each candidate's defaults instead of searching with Optuna.")
    n_trials: int | None = Field(None, description="Optuna trials per candidate; QC_N_TRIALS if not given.")


def training_config(*, quick: bool, n_trials: int | None = None) -> dict[str, Any]:
    """Run configuration that trains every model in the same way."""
    config = {"quick": quick, "n_trials": n_trials}
    return {f"train_{spec.name}": {"config": config} for spec in SPECS}


def model_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """One asset a model."""
    return [_model_asset(spec, settings) for spec in SPECS]


def _model_asset(spec: ModelSpec, settings: Settings) -> dg.AssetsDefinition:
    key = tables.key(f"models.{spec.name}")

    @dg.multi_asset(
        name=f"train_{spec.name}",
        specs=[
            dg.AssetSpec(
                key,
                description=f"{spec.question} A calibrated probability, versioned in MLflow.",
                group_name="models",
                owners=tables.OWNERS,
                kinds={"mlflow", *(_KINDS[candidate.kind] for candidate in spec.candidates)},
                deps=[tables.key(spec.table)],
            )
        ],
        check_specs=[dg.AssetCheckSpec(name, asset=key, description=text) for name, text in _GATES.items()],
    )
    def train(
        context: dg.AssetExecutionContext,
        config: TrainingConfig,
        warehouse: WarehouseResource,
        registry: RegistryResource,
    ) -> Iterator[dg.MaterializeResult]:
        # Imported here: scikit-learn, LightGBM and MLflow take seconds to import.
        from qc_assets.models import lifecycle
        from qc_assets.models.training import Options

        def tell(message: str) -> None:
            context.log.info(message)
            progress.report(message, 0, 0)

        store = warehouse.open()
        options = Options(
            quick=config.quick,
            n_trials=config.n_trials or settings.n_trials,
            resamples=settings.bootstrap_resamples,
            seed=settings.seed,
            threads=settings.training_threads,
        )
        rows = store.sql_file(spec.table.replace(".", "/"), {"is_synthetic": settings.is_synthetic}, section="training")
        origin = {
            "snapshot": store.snapshot([spec.table]),
            "dagster_run_id": context.run_id,
            "dagster_run_url": f"{settings.dagster_url.rstrip('/')}/runs/{context.run_id}",
            "git_commit": _git_commit(),
            "source": settings.source,
        }
        outcome = lifecycle.run(
            spec,
            rows,
            registry.open(),
            options,
            is_synthetic=settings.is_synthetic,
            origin=origin,
            progress=tell,
        )
        if outcome.logged is not None:
            _record(store, spec, outcome, origin, settings.is_synthetic)
        by_name = {gate.name: gate for gate in outcome.gates}
        yield dg.MaterializeResult(
            asset_key=key,
            metadata=_metadata(outcome, registry),
            check_results=[
                dg.AssetCheckResult(
                    check_name=name,
                    passed=name in by_name and by_name[name].passed,
                    metadata={"detail": by_name[name].detail if name in by_name else "nothing was trained"},
                )
                for name in _GATES
            ],
        )

    return train


def _metadata(outcome: "Outcome", registry: RegistryResource) -> dict[str, Any]:
    decision: dict[str, Any] = {"decision": outcome.decision.reason, "promoted": outcome.decision.promote}
    if outcome.trained is None or outcome.logged is None:
        return decision
    from qc_assets.models import plots

    trained = outcome.trained
    labels = trained.data.y[trained.split.test]
    numbers = {name: one.value for name, one in trained.best.evaluations["test"].items()}
    return decision | {
        "version": outcome.logged.version,
        "candidate": trained.best.kind,
        "MLflow run": dg.MetadataValue.url(registry.run_url(outcome.logged.experiment_id, outcome.logged.run_id)),
        **{f"test {name}": dg.MetadataValue.float(value) for name, value in numbers.items()},
        "model card": dg.MetadataValue.md(outcome.card),
        "calibration": tables.picture(plots.calibration_curve(labels, trained.best.predictions)),
        "ROC": tables.picture(plots.roc_curve(labels, trained.best.predictions)),
        "importance": tables.picture(plots.importance(trained)),
    }


def _record(
    store: "Warehouse", spec: ModelSpec, outcome: "Outcome", origin: dict[str, str], is_synthetic: bool
) -> None:
    """Mirror the registered version in the ml tables, in one transaction."""
    import polars as pl

    from qc_assets.warehouse import sql_sections

    trained, logged = outcome.trained, outcome.logged
    assert trained is not None and logged is not None
    version = {"model": spec.name, "version": logged.version}
    evaluations = pl.DataFrame(
        [
            version | {"time_window": window, "metric": metric} | vars(one)
            for window, found in trained.best.evaluations.items()
            for metric, one in found.items()
        ]
    )
    rows = trained.split.test
    predictions = trained.data.frame[rows].select(
        pl.lit(spec.name).alias("model"),
        pl.lit(logged.version).alias("version"),
        "repo_id",
        "number",
        pl.col(spec.opened_at).alias("opened_at"),
        pl.Series("prediction", trained.best.predictions),
        pl.Series("label", trained.data.y[rows]),
    )
    sections = sql_sections("ml/model_versions")
    with store.write() as connection:
        connection.execute(sections["retire"], {"model": spec.name, "promoted": outcome.decision.promote})
        connection.execute(
            sections["record"],
            version
            | {
                "status": "champion" if outcome.decision.promote else "challenger",
                "candidate": trained.best.kind,
                "trained_at": outcome.finished_at,
                "snapshot": origin["snapshot"],
                "is_synthetic": is_synthetic,
                **{f"{name}_rows": len(part) for name, part in trained.split.windows.items()},
                "reason": outcome.decision.reason,
                "mlflow_run_id": logged.run_id,
                "dagster_run_id": origin["dagster_run_id"],
                "git_commit": origin["git_commit"] or None,
            },
        )
        for table, frame in (("ml.evaluations", evaluations), ("ml.test_predictions", predictions)):
            connection.register("rows_to_add", frame.to_arrow())
            connection.execute(f"INSERT OR REPLACE INTO {table} BY NAME SELECT * FROM rows_to_add")
            connection.unregister("rows_to_add")


def _git_commit() -> str:
    """The checkout's commit, or an empty string outside a checkout."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except OSError:
        return ""
    return answer.stdout.strip()
