"""Models as assets: each trains, is judged by its gates, and becomes champion or does not."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg
from pydantic import Field

from qc_assets import progress
from qc_assets.assets import tables
from qc_assets.assets.model_pages import PARTS, model_page, step_pages
from qc_assets.assets.partitions import NOTHING_MADE
from qc_assets.assets.resources import RegistryResource, WarehouseResource
from qc_assets.errors import QcError
from qc_assets.features.model_rows import model_rows
from qc_assets.learning.promotion import gate_names
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.models.specs import SPECS
from qc_assets.places import checkout
from qc_assets.registry import mirror
from qc_assets.settings import Settings
from qc_assets.store.forge_records import reads_made_up

if TYPE_CHECKING:
    from qc_assets.learning.task.terms import Gate

_T = TypeVar("_T")
ENDED_WELL = "training_ended_well"
# Metadata of a model whose training failed: it is materialized all the same, so that what follows, and is about the
# others, too, goes on.
FAILED = "training failed"
_BOOSTED = ("lightgbm", "xgboost")


class TrainingConfig(dg.Config):
    """How to train."""

    quick: bool = Field(False, description="Use each candidate's defaults instead of searching with Optuna.")
    n_trials: int | None = Field(None, description="Optuna trials per candidate; QC_N_TRIALS if not given.")
    candidates: list[str] = Field([], description="Only these candidates, such as lightgbm; all if empty.")
    run_name: str | None = Field(None, description="Name of the MLflow run; default: model and winning candidate.")


NOTHING_TRAINED = "nothing was trained"


def training_config(*, quick: bool, **others: Any) -> dict[str, Any]:
    """Run configuration that trains every model in the same way; `others` as in `TrainingConfig`."""
    config = {"quick": quick} | others
    return {f"train_{spec.name}": {"config": config} for spec in SPECS}


def model_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """One asset a model."""
    return [_model_asset(spec, settings) for spec in SPECS]


def _model_asset(spec: ModelSpec, settings: Settings) -> dg.AssetsDefinition:
    key = tables.key(f"models.{spec.name}")
    promises = gate_names(spec) | {ENDED_WELL: "The training came to an end. Red fails the run when all else is done."}

    @dg.multi_asset(
        name=f"train_{spec.name}",
        specs=_specs(spec),
        check_specs=[dg.AssetCheckSpec(name, asset=key, description=text) for name, text in promises.items()],
    )
    def train(
        context: dg.AssetExecutionContext,
        config: TrainingConfig,
        warehouse: WarehouseResource,
        registry: RegistryResource,
    ) -> Iterator[dg.MaterializeResult | dg.AssetObservation]:
        # Imported here: scikit-learn, LightGBM and MLflow take seconds to import.
        from qc_assets.learning.corrections import within_shares
        from qc_assets.learning.promotion import Decision
        from qc_assets.learning.task.terms import Gate
        from qc_assets.learning.trained import Options
        from qc_assets.registry import lifecycle
        from qc_assets.registry.model_files import others_of

        store, models = warehouse.open(), registry.open()
        options = Options(
            quick=config.quick,
            n_trials=config.n_trials or settings.n_trials,
            resamples=settings.bootstrap_resamples,
            seed=settings.seed,
            threads=settings.training_threads,
            candidates=tuple(config.candidates),
            feedback_share=settings.feedback_share,
            train_rows=settings.train_rows,
        )
        made_up = reads_made_up(store, settings)
        origin: dict[str, Any] = {
            "dagster_run_id": context.run_id,
            "dagster_run_url": f"{settings.dagster_url.rstrip('/')}/runs/{context.run_id}",
            "git_commit": _git_commit(),
            "source": settings.source,
        }

        def attempt() -> lifecycle.TrainingOutcome:
            # Of one moment: the identity is that of the rows, whatever lands meanwhile.
            with store.at_one_time() as now:
                origin["snapshot"] = now.snapshot([spec.table])
                names = now.query("SELECT repo_id, name AS repo FROM raw.repositories")
                rows = model_rows(now, spec, is_synthetic=made_up, giver_share=settings.feedback_giver_share)
            rows = rows.join(names, on="repo_id", how="left")
            outcome = lifecycle.train_and_register(
                spec,
                rows,
                models,
                replace(options, others=others_of(settings, spec, is_synthetic=made_up)),
                is_synthetic=made_up,
                origin=origin,
                run_name=config.run_name,
                numbered_after=mirror.highest_version(store, spec.name),
                progress=progress.logged(context.log.info, every_s=10),
                settings=settings.unusual,
            )
            return replace(outcome, gates=[*outcome.gates, within_shares(rows)])

        outcome, trouble = attempted(context, attempt)
        # Whatever became of the training: a version that it made has its rows.
        _, unmirrored = attempted(context, lambda: mirror.sync_mirror(store, models, spec.name))
        if outcome is None:
            outcome = lifecycle.TrainingOutcome([], Decision(False, f"the training failed: {trouble}"))
        troubles = "; ".join(filter(None, [trouble, unmirrored]))
        ended = Gate(ENDED_WELL, not troubles, troubles or "it did")
        by_name = {gate.name: gate for gate in (*outcome.gates, ended)}
        # A step that made nothing is skipped. The model is not, for what follows is about the others, too; but without
        # a training there is nothing to be green about (event_log.py), and what was seen is written down instead.
        for part, metadata in step_pages(spec, outcome, origin.get("snapshot", "")).items():
            yield dg.MaterializeResult(asset_key=_part_key(spec, part), metadata=metadata)
        page = model_page(spec, outcome, registry, settings.dagster_url)
        if outcome.trained is None and not troubles:
            yield dg.AssetObservation(key, metadata=page)
            page |= {NOTHING_MADE: outcome.decision.reason}
        yield dg.MaterializeResult(
            asset_key=key,
            metadata=page | ({FAILED: troubles} if troubles else {}),
            check_results=[
                dg.AssetCheckResult(
                    check_name=name,
                    # What cannot be judged is left out, and its detail says so.
                    passed=name in by_name and by_name[name].passed is not False,
                    severity=_severity(by_name.get(name)),
                    metadata={"detail": by_name[name].detail if name in by_name else NOTHING_TRAINED},
                )
                for name in promises
            ],
        )

    return train


def attempted(context: dg.AssetExecutionContext, action: Callable[[], _T]) -> tuple[_T | None, str]:
    """What an action for one model returns, or None and what went wrong: that must not cost the others their reports.

    Raises:
        QcError: what concerns all models, such as a warehouse or an MLflow server that is away.
    """
    try:
        return action(), ""
    except QcError:
        raise
    except Exception as error:
        context.log.exception("this model is left out; the others go on")
        return None, f"{type(error).__name__}: {error}"


def model_and_parts(spec: ModelSpec) -> list[str]:
    """Names of a model's asset and of the steps of its training, as `tables.key` takes them."""
    return [f"models.{spec.name}", *(f"models.{spec.name}.{part}" for part in PARTS)]


def _part_key(spec: ModelSpec, part: str) -> dg.AssetKey:
    return tables.key(f"models.{spec.name}.{part}")


def _specs(spec: ModelSpec) -> list[dg.AssetSpec]:
    """What a training goes through, each step with a page of its own, and the model that comes of it."""
    common: dict[str, Any] = {"group_name": tables.group_name("models"), "owners": tables.OWNERS}
    steps = [
        dg.AssetSpec(_part_key(spec, part), description=text, kinds={kind}, deps=[before], skippable=True, **common)
        for (part, (text, kind)), before in zip(
            PARTS.items(), [tables.key(spec.table), *(_part_key(spec, part) for part in PARTS)], strict=False
        )
    ]
    boosted = {candidate.kind if candidate.kind in _BOOSTED else "scikitlearn" for candidate in spec.candidates}
    model = dg.AssetSpec(
        tables.key(f"models.{spec.name}"),
        description=f"{spec.question} {task_of(spec).answers_with}, versioned in MLflow.",
        kinds={"mlflow", *sorted(boosted)[:2]},
        deps=[steps[-1].key],
        **common,
    )
    return [*steps, model]


def _severity(gate: "Gate | None") -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if gate is None or gate.blocks else dg.AssetCheckSeverity.WARN


def _git_commit() -> str:
    """The checkout's commit, or an empty string outside a checkout."""
    if checkout() is None:
        return ""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=checkout(),
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except OSError:
        return ""
    return answer.stdout.strip()
