"""What is behind a prediction."""

from datetime import UTC

import polars as pl

from qc_assets.learning.explain import explain
from qc_assets.learning.task import task_of
from qc_assets.serving.predictions import Predictions
from qc_assets.serving.rows import feature_frame
from qc_assets.serving.schemas import Details, Reason
from qc_assets.serving.service import Serving

_REASONS = 3
_BACKGROUND = 200


def details_of(serving: Serving, predictions: Predictions, index: int) -> Details:
    """Answer, confidence, what nobody knows, and the three features that moved a prediction most.

    Reasons are Shapley values against rows of the warehouse; see `qc_assets.learning.explain`.
    """
    spec, bundle = predictions.spec, predictions.champion.bundle
    knowledge = serving.ready()
    row = predictions.rows[index]
    known = bundle.with_unknown(knowledge.tasks[spec.table.removeprefix("features.")].rows)
    background = known.sample(min(_BACKGROUND, len(known)), seed=0)
    item = feature_frame([row], spec, bundle)
    if background.is_empty():  # nothing to compare with but the item itself
        background = item
    reasons = explain(bundle, item, background, top=_REASONS)
    prediction, _, _, answer = predictions.table.row(index)
    return Details(
        answer=answer,
        raised=predictions.raised[index] or None,
        confidence=task_of(spec).confidence(prediction),
        is_known_task=row.opened_at is not None,
        history_as_of=(row.as_of or knowledge.as_of).replace(tzinfo=UTC),
        unknown_features=[name for name in bundle.features if row.features.get(name) is None],
        reasons=[Reason(**reason) for reason in reasons.with_columns(pl.col("contribution").round(6)).to_dicts()],
    )
