"""The lifecycle of every model: train, gate, register, decide, conclude. No Dagster and no SQL."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from qc_assets.clock import now_utc
from qc_assets.errors import TrainingError
from qc_assets.learning.bundle import Bundle
from qc_assets.learning.promotion import Decision, check_gates, decide_promotion
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import dataset_of, labelled
from qc_assets.learning.task.interface import Gate
from qc_assets.learning.trained import Options, Trained
from qc_assets.learning.training import train
from qc_assets.registry.card import model_card
from qc_assets.registry.model_registry import Logged, Registry


@dataclass(frozen=True)
class TrainingOutcome:
    """What a training led to.

    Attributes:
        gates: every promise that was checked.
        decision: whether the new version is champion, and why.
        trained, logged: None if there was too little data to train at all.
        replaced: version of the champion that it was compared with.
    """

    gates: list[Gate]
    decision: Decision
    trained: Trained | None = None
    logged: Logged | None = None
    replaced: int | None = None
    card: str = ""
    finished_at: datetime | None = None


def bundle_of_training(spec: ModelSpec, trained: Trained, *, is_synthetic: bool) -> Bundle:
    """The best candidate of a training as a version holds it; `spec` is without the numbers made of its texts."""
    trivial = trained.trivial[0] if trained.trivial.ndim > 1 else trained.trivial
    return Bundle.of(
        spec,
        trained.best.estimator,
        trained.best.calibrator,
        trivial=tuple(trivial.tolist()),
        context=trained.context,
        is_synthetic=is_synthetic,
        texts=trained.texts,
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
    progress: Callable[[str], None] = lambda message: None,
) -> TrainingOutcome:
    """Take a spec from rows to a registered, judged version.

    Too little data is an outcome, not an error: the gate fails and the champion stays.

    Args:
        spec: the model.
        rows: labelled rows of its feature table.
        registry: where to.
        options: how to train.
        is_synthetic: whether the rows are made up.
        origin: where the rows come from (snapshot, Dagster run, commit); tags of run and version.
        run_name: name of the MLflow run; default: model and winning candidate.
        progress: called with a sentence now and then.
    """
    rows = labelled(spec, rows)
    enough = Gate(
        "enough_labelled_rows",
        len(rows) >= spec.min_rows,
        f"{len(rows)} labelled rows, at least {spec.min_rows} needed",
    )
    if not enough.passed:
        return TrainingOutcome([enough], Decision(False, enough.detail))
    try:
        trained = train(spec, dataset_of(spec, rows), options, progress)
    except TrainingError as error:
        return TrainingOutcome([replace(enough, passed=False, detail=str(error))], Decision(False, str(error)))
    bundle = bundle_of_training(spec, trained, is_synthetic=is_synthetic)
    checked = check_gates(trained)
    champion = registry.champion(spec.name)
    decision = decide_promotion(
        trained, checked, champion[1] if champion else None, is_synthetic=is_synthetic, options=options
    )
    progress(f"registering with MLflow at {registry.tracking_uri}")
    tags = {**origin, "synthetic": str(is_synthetic).lower()}
    logged = registry.log(trained, bundle, tags, run_name)
    card = model_card(trained, checked, decision, {**tags, "mlflow_run_id": logged.run_id, "version": logged.version})
    registry.conclude(spec.name, logged, promote=decision.promote, reason=decision.reason, card=card)
    return TrainingOutcome(
        checked,
        decision,
        trained,
        logged,
        champion[0] if champion else None,
        card,
        now_utc(),
    )
