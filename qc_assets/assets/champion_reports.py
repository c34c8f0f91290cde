"""Scoring and monitoring as assets: what the champions say of open items, and whether they still hold."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import dagster as dg
import polars as pl

from qc_assets.assets import bias_reports, tables
from qc_assets.assets.model_versions import attempted
from qc_assets.assets.resources import RegistryResource, WarehouseResource
from qc_assets.clock import now_utc
from qc_assets.features.left_out import stands_for_all
from qc_assets.learning.spec import ModelSpec
from qc_assets.models.specs import SPECS
from qc_assets.settings import Settings
from qc_assets.store.forge_records import reads_made_up
from qc_assets.store.inserts import put
from qc_assets.store.warehouse import Warehouse

_REPORTS = {
    "monitoring": "The champions by week: predicted against what happened.",
    "drift": "How far the champions' inputs have moved since their training.",
    "champion_challenger": "Champion against challenger on the same live items.",
    "expected_quality": "How good the champions are to be expected before labels come, and were found to be after.",
    "live_reliability": "What champions promised and what happened, by repository, month and origin.",
}
_T = TypeVar("_T")
MONITORING = tables.key("reports.monitoring")
_ONLY_WARN = ("_inputs_are_stable", "_is_right_in_every_part")
_KEPT = "no_champion_was_removed"
_IS_SOUND, _FOR_ALL, _ASKED = "_is_sound", "_learnt_from_all_kinds", "champions_answered"


def check_names() -> dict[str, tuple[str, dg.AssetKey]]:
    """Description and asset of every monitoring check, by name."""
    holds = {
        f"{spec.name}_holds": (
            "The champion's predictions are right on average, and still in the right order. Red starts a retraining.",
            MONITORING,
        )
        for spec in SPECS
    }
    stable = {
        f"{spec.name}_inputs_are_stable": (
            "No input has become unknown, and none has moved so that the champion's answers did. Only warns.",
            tables.key("reports.drift"),
        )
        for spec in SPECS
    }
    right = {
        f"{spec.name}_is_right_in_every_part": (
            "In no repository and no month are the champion's answers, or the share that intervals hold, surely off. "
            "Only warns.",
            tables.key("reports.live_reliability"),
        )
        for spec in SPECS
    }
    sound = {
        f"{spec.name}{_IS_SOUND}": (
            "The champion's files are what its training logged. Red: an earlier champion stands in, or nobody answers.",
            MONITORING,
        )
        for spec in SPECS
    }
    for_all = {
        f"{spec.name}{_FOR_ALL}": (
            "What had to be left out of the training, as a fact of the opening is lost, does not pass much more or "
            "less often than the rest. Red: nobody is paid by it.",
            MONITORING,
        )
        for spec in SPECS
        if spec.left_out
    }
    return (
        holds
        | sound
        | for_all
        | stable
        | right
        | {_KEPT: ("Nobody removed a champion in MLflow: where none is left, nobody answers.", MONITORING)}
    )


def monitoring_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """ml_predictions, ml_waits, and reports_monitoring with the other reports of champions."""
    models = [f"models.{spec.name}" for spec in SPECS]
    features = sorted({spec.table for spec in SPECS})

    @dg.multi_asset(
        name="ml_predictions",
        specs=[
            tables.spec(
                "ml.predictions",
                "What champions and challengers say of every open item, and what the API answered.",
                group="monitoring",
                deps=[
                    *models,
                    *features,
                    "ops.journal_imports",
                    *(report for spec in SPECS for report in bias_reports.bias_reports_of(spec)),
                ],
            ),
            tables.spec(
                "ml.waits",
                "How much longer open items take that have waited already, as the champions say.",
                group="monitoring",
                deps=[*models, *features],
            ),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                _ASKED,
                asset=tables.key("ml.predictions"),
                description="Every champion and challenger was asked. Red names those that could not be loaded, and "
                "which earlier champion stood in: its predictions have the role stand_in.",
            )
        ],
    )
    def predictions(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, registry: RegistryResource
    ) -> Iterator[dg.MaterializeResult]:
        from qc_assets.monitoring import scoring
        from qc_assets.registry.mirror import sync_mirror

        store, models = warehouse.open(), registry.open()
        made_up = reads_made_up(store, settings)

        def score(spec: ModelSpec) -> scoring.Scored:
            sync_mirror(store, models, spec.name)
            return scoring.score_waiting_items(store, models, spec, is_synthetic=made_up)

        scored, troubles = _each_model(context, score)
        unasked = [f"{name}: {text}" for name, text in troubles.items()]
        unasked += [text for each in scored.values() for text in each.troubles]
        total = store.query("SELECT count(*) FROM ml.predictions").item()
        rows = [
            {"model": name} | {role: each.counts.get(role) for role in scoring.ROLES} for name, each in scored.items()
        ]
        key = tables.key("ml.predictions")
        detail = "; ".join(unasked) or "every champion and challenger was asked"
        yield dg.MaterializeResult(
            asset_key=key,
            metadata=tables.row_count(total) | {"items scored": tables.preview(rows), **troubles},
            check_results=[_result(key, _ASKED, not unasked, detail)],
        )
        waits = store.query("SELECT model, count(*) AS items FROM ml.waits GROUP BY model ORDER BY model")
        yield dg.MaterializeResult(
            asset_key=tables.key("ml.waits"),
            metadata=tables.row_count(int(waits["items"].sum()))
            | {"items that wait": tables.preview(waits.to_dicts())},
        )

    @dg.multi_asset(
        name="report_monitoring",
        specs=[
            tables.spec(f"reports.{name}", text, group="monitoring", deps=["ml.predictions", *models, *features])
            for name, text in _REPORTS.items()
        ],
        check_specs=[
            dg.AssetCheckSpec(name, asset=asset, description=text) for name, (text, asset) in check_names().items()
        ],
    )
    def watched(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, registry: RegistryResource
    ) -> Iterator[dg.MaterializeResult]:
        from qc_assets.monitoring import examination, expectations, measures
        from qc_assets.registry.mirror import sync_mirror

        store, models = warehouse.open(), registry.open()

        def examine(spec: ModelSpec) -> examination.Examined | None:
            sync_mirror(store, models, spec.name)
            return examination.examine_champion(settings, store, models, spec)

        by_model, troubles = _each_model(context, examine)
        examinations = [examined for examined in by_model.values() if examined is not None]
        page = examination.monitoring_page(examinations, is_synthetic=reads_made_up(store, settings))
        experiment, run = models.publish("monitoring", "monitoring", page, {"dagster_run_id": context.run_id})
        link = f"{registry.run_url(experiment, run)}/artifacts/monitoring.html"
        verdicts = {f"{examined.model}_holds": (examined.holds, examined.sentence) for examined in examinations}
        verdicts |= {f"{name}_holds": (False, f"it cannot be examined: {text}") for name, text in troubles.items()}
        for examined in examinations:
            verdicts[f"{examined.model}_inputs_are_stable"] = measures.what_to_do(examined.drift)
            parts = expectations.right_in_every_part(examined.live_reliability)
            verdicts[f"{examined.model}_is_right_in_every_part"] = parts
            trouble, whole = examined.who.champions_trouble, f"version {examined.version} is what its training logged"
            verdicts[f"{examined.model}{_IS_SOUND}"] = (not trouble, trouble or whole)
        verdicts |= {
            f"{spec.name}{_FOR_ALL}": stands_for_all(store, spec)
            for spec in SPECS
            if spec.left_out and by_model.get(spec.name) is not None
        }
        removals = [removal for spec in SPECS if (removal := models.standing(spec.name).removal)]
        verdicts[_KEPT] = (not removals, "; ".join(removals) or "none was")
        versions = {examined.model: examined.version for examined in examinations}
        versions |= {name: each.version for name in troubles if (each := models.standing(name).champion)}
        _keep(store, verdicts, versions, {examined.model: examined.who.champion for examined in examinations})
        for name in _REPORTS:
            asset = tables.key(f"reports.{name}")
            frames = [frame for examined in examinations if len(frame := getattr(examined, name))]
            frame = pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()
            rows = store.replace(f"reports/{name}", frame)
            yield dg.MaterializeResult(
                asset_key=asset,
                metadata=tables.row_count(rows)
                | (_numbers(frame) if name == "expected_quality" and len(frame) else {})
                | {"report": dg.MetadataValue.url(link), "rows": tables.preview(frame.tail(20).to_dicts())},
                check_results=[
                    _result(asset, check, *verdicts.get(check, (True, "there is no champion yet")))
                    for check, (_, guarded) in check_names().items()
                    if guarded == asset
                ],
            )

    return [predictions, watched]


def _keep(
    store: Warehouse,
    verdicts: dict[str, tuple[bool, str]],
    versions: dict[str, int],
    champions: dict[str, int | None],
) -> None:
    """Write the checks of each model down: nobody is paid by a version whose check is red.

    A champion that is broken on the disk may serve still, from the memory of a server that loaded it before.
    """
    rows = [
        {"model": model, "promise": name, "passed": passed, "detail": detail}
        | {"version": (champions.get(model) or version) if name.endswith(_IS_SOUND) else version}
        | {"blocks": not name.endswith(_ONLY_WARN), "checked_at": now_utc()}
        for model, version in versions.items()
        for name, (passed, detail) in verdicts.items()
        if name.startswith(f"{model}_")
    ]
    if rows:
        with store.write() as connection:
            put(connection, "ml.checks", pl.DataFrame(rows))


def _numbers(quality: pl.DataFrame) -> dict[str, float]:
    """What is expected of items that wait, as numbers that Dagster plots from run to run."""
    waiting = quality.filter(pl.col("expected").is_not_null() & (pl.col("part") == "waiting"))
    return {f"{row['model']} {row['metric']} expected": row["expected"] for row in waiting.to_dicts()}


def _each_model(
    context: dg.AssetExecutionContext, action: Callable[[ModelSpec], _T]
) -> tuple[dict[str, _T], dict[str, str]]:
    """What an action returns for each model, and what went wrong with the others, by name."""
    attempts = {spec.name: attempted(context, partial(action, spec)) for spec in SPECS}
    results = {name: result for name, (result, trouble) in attempts.items() if not trouble}
    return results, {name: trouble for name, (_, trouble) in attempts.items() if trouble}  # type: ignore[return-value]


def _result(asset: dg.AssetKey, name: str, passed: bool, detail: str) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.WARN if name.endswith(_ONLY_WARN) else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        asset_key=asset, check_name=name, passed=passed, severity=severity, metadata={"detail": detail}
    )
