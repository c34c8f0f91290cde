"""What is behind a prediction."""

from dataclasses import replace
from datetime import UTC

import polars as pl

from qc_assets.learning.explain import explain
from qc_assets.learning.task import task_of
from qc_assets.learning.task.combined import HeadsEstimator
from qc_assets.learning.what_if import usual_changes
from qc_assets.serving.predictions import Predictions, ask_champion
from qc_assets.serving.rows import feature_frame
from qc_assets.serving.schemas import Details, Difference, Reason
from qc_assets.serving.service import Serving

_REASONS = 3
_BACKGROUND = 200


def details_of(serving: Serving, predictions: Predictions) -> Details:
    """Answer, confidence, what nobody knows, the three features that moved the first prediction most, and what if.

    Reasons are Shapley values against rows of the warehouse; see `qc_assets.learning.explain`.
    """
    spec, bundle = predictions.spec, predictions.champion.bundle
    knowledge = serving.ready()
    row = predictions.rows[0]
    known = bundle.with_unknown(knowledge.tasks[spec.table.removeprefix("features.")].rows)
    background = known.sample(min(_BACKGROUND, len(known)), seed=0)
    item = feature_frame([row], spec, bundle)
    if background.is_empty():  # nothing to compare with but the item itself
        background = item
    reasons = explain(bundle, item, background, top=_REASONS, changes=spec.changes)
    prediction, lower, upper, answer = predictions.table.row(0)
    heads = None
    if spec.heads is not None and isinstance(bundle.estimator, HeadsEstimator):
        p = bundle.estimator.all_scores(bundle.matrix(item))[0]
        heads = {name: round(float(value), 6) for name, value in zip(spec.heads.names, p, strict=True)}
    return Details(
        answer=answer,
        raised=predictions.raised[0] or None,
        confidence=task_of(spec).confidence(prediction),
        heads=heads,
        lower=lower,
        upper=upper,
        is_known_task=row.opened_at is not None,
        worker_known_by=row.author_known_by,
        history_as_of=(row.as_of or knowledge.as_of).replace(tzinfo=UTC),
        unknown_features=[name for name in bundle.features if row.features.get(name) is None],
        reasons=[Reason(**reason) for reason in reasons.with_columns(pl.col("contribution").round(6)).to_dicts()],
        differences=_differences(serving, predictions, known),
    )


def _differences(serving: Serving, predictions: Predictions, known: pl.DataFrame) -> list[Difference]:
    """The champion is really asked about the item as it would be."""
    spec, champion, row = predictions.spec, predictions.champion, predictions.rows[0]
    changes = {name: change for name, change in spec.changes.items() if name in champion.bundle.features}
    usual = usual_changes(changes, row.features, known)
    if not usual:
        return []
    rows = [replace(row, features=row.features | {each.feature: each.value}) for each in usual]
    after = ask_champion(champion, rows, serving.champions.bounding(champion)).table["prediction"].to_list()
    before = predictions.table["prediction"][0]
    order = sorted(zip(usual, after, strict=True), key=lambda change: -abs(change[1] - before))
    told = [(each, value, task_of(spec).difference(before, value)) for each, value in order]
    return [
        Difference(change=each.words, prediction=value, words=f"{each.words}: {difference}")
        for each, value, difference in told
        if difference
    ][:_REASONS]
