"""The lifecycle of every model: train, gate, register, decide, conclude. No Dagster and no SQL."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import polars as pl

from qc_assets.clock import now_utc
from qc_assets.errors import TrainingError, masked_urls
from qc_assets.learning.bundle import Bundle
from qc_assets.learning.promotion import (
    Decision,
    answers_alike,
    check_gates,
    decide_promotion,
    falls_behind,
    is_no_better,
)
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import dataset_of, labelled
from qc_assets.learning.task.terms import Gate
from qc_assets.learning.trained import Options, Trained
from qc_assets.learning.training import train
from qc_assets.learning.training_figures import training_figures
from qc_assets.learning.version_comparison import VersionComparison
from qc_assets.progress import Milestone, Reporter, unheard
from qc_assets.registry.bundle_store import is_out_of_reach
from qc_assets.registry.card import model_card
from qc_assets.registry.comparison_page import COMPARISON, comparison_page
from qc_assets.registry.model_registry import Logged, Registry
from qc_assets.registry.standing import RecordedDecision, Standing, VersionReference
from qc_assets.registry.version_record import record_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingOutcome:
    """What a training led to.

    Attributes:
        gates: every promise that was checked.
        decision: whether the new version is champion, and why.
        trained: None if there was too little data to train at all.
        logged: None if no version was made of it.
        figures: plots of the training as PNG, by name.
    """

    gates: list[Gate]
    decision: Decision
    trained: Trained | None = None
    logged: Logged | None = None
    card: str = ""
    figures: Mapping[str, bytes] = field(default_factory=dict)


def bundle_of_training(spec: ModelSpec, trained: Trained, *, is_synthetic: bool) -> Bundle:
    """The best candidate of a training as a version holds it; `spec` is without the numbers made of its texts."""
    trivial = trained.trivial[0] if trained.trivial.ndim > 1 else trained.trivial
    return Bundle.of(
        spec,
        trained.served or trained.best.estimator,
        trained.best.calibrator,
        judged=trained.best.estimator if trained.served else None,
        trivial=tuple(trivial.tolist()),
        context=trained.context,
        is_synthetic=is_synthetic,
        texts=trained.texts,
        bounds=trained.bounds,
        remaining=trained.remaining,
        fitted={
            "kind": trained.best.kind.removesuffix("_with_texts"),
            "parameters": trained.best.parameters,
            "as_of": {name: str(instant) for name, instant in trained.split.as_of.items()},
        },
    )


def train_and_register(
    spec: ModelSpec,
    rows: pl.DataFrame,
    registry: Registry,
    options: Options,
    *,
    is_synthetic: bool,
    origin: dict[str, str],
    run_name: str | None = None,
    numbered_after: int = 0,
    progress: Reporter = unheard,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> TrainingOutcome:
    """Take a spec from rows to a registered, judged version.

    Too little data is an outcome, not an error: the gate fails and the champion stays. So is a version that there is
    already, to the last digit: nothing is registered.

    Args:
        spec: the model.
        rows: labelled rows of its feature table.
        registry: where to.
        options: how to train.
        is_synthetic: whether the rows are made up.
        origin: where the rows come from (snapshot, Dagster run, commit); tags of run and version.
        run_name: name of the MLflow run; default: model and winning candidate.
        numbered_after: a version number that is taken elsewhere, such as in the warehouse.
        progress: told how far it is.
        settings: those that are not as they are by default, and no secrets: parameters of the run.
    """
    rows = labelled(spec, rows)
    enough = Gate(
        "enough_labelled_rows",
        len(rows) >= spec.min_rows,
        f"{len(rows)} labelled rows, at least {spec.min_rows} needed",
    )
    if not enough.passed:
        return TrainingOutcome([enough], Decision(False, enough.detail))
    tags = {**origin, "synthetic": str(is_synthetic).lower()}
    parameters = _asked(spec, rows, options) | {"snapshot": origin.get("snapshot", "")} | dict(settings)
    try:
        with registry.training(spec, tags, parameters, run_name) as run:
            trained = train(spec, dataset_of(spec, rows), options, progress, run)
            bundle = bundle_of_training(spec, trained, is_synthetic=is_synthetic)
            checked = check_gates(trained, options)
            same = _same_version(registry, bundle, trained.data.frame)
            progress(Milestone(f"registering with MLflow at {masked_urls(registry.tracking_uri)}"), 0, 0)
            figures = training_figures(trained)
            run.complete(trained, figures, run_name)
            if same is not None:
                decision = Decision(False, f"to the last digit the same as version {same.version}")
                run.remark(decision.reason)
                return TrainingOutcome(checked, decision, trained, figures=figures)
            record = record_of(trained, checked, origin, now_utc(), is_synthetic=is_synthetic)
            logged = registry.register(run, trained, bundle, record, tags, numbered_after)
            decision, card = _judge(registry, logged, trained, checked, bundle, tags, options)
    except TrainingError as error:
        return TrainingOutcome([replace(enough, passed=False, detail=str(error))], Decision(False, str(error)))
    return TrainingOutcome(checked, decision, trained, logged, card, figures)


def _asked(spec: ModelSpec, rows: pl.DataFrame, options: Options) -> dict[str, Any]:
    """What is asked of a training, and of which data, as parameters of its run."""
    first, last = rows.select(pl.col(spec.opened_at).min().alias("first"), pl.col(spec.opened_at).max()).row(0)
    kinds = options.candidates or [candidate.kind for candidate in spec.candidates]
    return {
        "quick": options.quick,
        "trials": 0 if options.quick else options.n_trials,
        "candidates": ", ".join(kinds),
        "seed": options.seed,
        "folds": options.n_folds,
        "resamples": options.resamples,
        "rows": len(rows),
        "data_from": f"{first:%Y-%m-%d %H:%M}",
        "data_until": f"{last:%Y-%m-%d %H:%M}",
        "features": len(spec.features),
    }


def _judge(
    registry: Registry,
    logged: Logged,
    trained: Trained,
    checked: list[Gate],
    bundle: Bundle,
    tags: Mapping[str, str],
    options: Options,
) -> tuple[Decision, str]:
    """Decide on a version and note it; returns the decision and the version's card."""
    # Compared with who is champion now: another training may have ended while this one was at work.
    with registry.deciding(trained.spec.name) as standing:
        compared_with = _last_loadable(registry, standing)
        decision = _decide(registry, standing, trained, checked, compared_with, bundle.is_synthetic, options)
        noted = RecordedDecision(
            logged.reference,
            standing.next_instant(now_utc()),
            "training",
            decision.promote,
            standing.champion or (compared_with.reference if compared_with else None),
            decision.reason,
            [vars(comparison) for comparison in decision.comparisons],
        )
        card = model_card(
            trained, checked, decision, {**tags, "mlflow_run_id": logged.run_id, "version": logged.version}
        )
        registry.conclude(trained.spec.name, logged, noted, card)
    if compared_with is not None:
        both = VersionComparison(trained, bundle, compared_with.bundle, options)
        try:
            page = comparison_page(both, logged.version, compared_with.reference.version, decision)
        except Exception:  # a champion may be of another time: all is decided, and a page less is no reason to fail
            log.exception("version %s cannot be shown beside the champion", logged.version)
        else:
            registry.attach(logged.run_id, {COMPARISON: page})
    return decision, card


@dataclass(frozen=True)
class _Loaded:
    reference: VersionReference
    bundle: Bundle


def _same_version(registry: Registry, bundle: Bundle, rows: pl.DataFrame) -> VersionReference | None:
    """The champion, or a version that was taken down, that a challenger is to the last digit."""
    standing = registry.standing(bundle.model)
    for reference in (*filter(None, [standing.champion]), *standing.taken_down):
        version = _load(registry, standing, reference)
        if version is not None and answers_alike(bundle, version.bundle, rows):
            return reference
    return None


def _last_loadable(registry: Registry, standing: Standing) -> _Loaded | None:
    """The champion, or if there is none that can be read, the last one before it that can."""
    for reference in (*filter(None, [standing.champion]), *standing.earlier_champions):
        version = _load(registry, standing, reference)
        if version is not None:
            return version
    return None


def _load(registry: Registry, standing: Standing, reference: VersionReference) -> _Loaded | None:
    try:
        return _Loaded(reference, registry.load_reference(standing, reference))
    except Exception as error:  # files of any kind may be gone or broken: no reason not to train
        if is_out_of_reach(error):
            raise
        log.warning("version %s of %s cannot be loaded: %s", reference.version, standing.model, error)
        return None


def _decide(
    registry: Registry,
    standing: Standing,
    trained: Trained,
    gates: list[Gate],
    compared_with: _Loaded | None,
    is_synthetic: bool,
    options: Options,
) -> Decision:
    champion = compared_with.bundle if compared_with else None
    is_vacant = standing.champion is None and standing.decided is not None
    decision = decide_promotion(
        trained, gates, champion, is_synthetic=is_synthetic, options=options, is_vacant=is_vacant
    )
    if not decision.promote:
        return decision
    for reference in standing.taken_down:
        down = _load(registry, standing, reference)
        if (
            down is not None
            and down.bundle.is_synthetic == is_synthetic
            and is_no_better(trained, down.bundle, options)
        ):
            reason = f"no gain over version {reference.version}, which was rolled back: `qc rollback` can promote it"
            return replace(decision, promote=False, reason=reason)
    if is_vacant:
        record = registry.record_of_run(compared_with.reference.run_id) if compared_with else None
        fallen = falls_behind(trained, record.tables["evaluations"]) if record else None
        if fallen and compared_with:
            reason = f"the champion was removed, and against version {compared_with.reference.version} {fallen}"
            return replace(decision, promote=False, reason=reason)
        against = f"version {compared_with.reference.version}" if compared_with else "nothing, as none can be loaded"
        return replace(decision, reason=f"{decision.reason} (the champion was removed; compared with {against})")
    return decision
