"""What champions say of items, and how the journal has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from qc_assets.clock import now_utc
from qc_assets.forges import id_beside
from qc_assets.learning.agreement import agreed
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.serving.champions import SPECS, Champion
from qc_assets.serving.rows import Row, feature_frame


@dataclass(frozen=True)
class Predictions:
    """What a champion says of items.

    Attributes:
        champion: who says it.
        rows: of what.
        answers: as its bundle gives them, a row an item.
        table: prediction, lower, upper and answer, a row an item; the answer of a probability is a word or UNCERTAIN.
        raised: why answers are not the champion's own, empty where they are; a sentence an item.
    """

    champion: Champion
    rows: Sequence[Row]
    answers: np.ndarray
    table: pl.DataFrame
    raised: Sequence[str]

    @property
    def spec(self) -> ModelSpec:
        """Of the champion's model."""
        return SPECS[self.champion.model]


def ask_champion(champion: Champion, rows: Sequence[Row], bounding: Champion | None = None) -> Predictions:
    """What a champion says of rows, and does not contradict the champion of its spec's `bound`."""
    spec = SPECS[champion.model]
    bundle = champion.bundle
    answers = _answers(champion, rows)
    raised = [""] * len(rows)
    if spec.bound is not None and bounding is not None:
        probability = _answers(bounding, rows)
        own, answers = answers, agreed(answers, bundle.context, probability, spec.bound)
        by = f"{bounding.model} version {bounding.version} says {{:.3f}} for the end of {spec.bound.hours:.0f} hours"
        raised = [by.format(p) if ends.any() else "" for p, ends in zip(probability, answers != own, strict=True)]
    table = task_of(spec).worded(spec, bundle.table(answers))
    return Predictions(champion, rows, answers, table, raised)


def _answers(champion: Champion, rows: Sequence[Row]) -> np.ndarray:
    if not champion.knows_numbers_only:
        return champion.bundle.predict(feature_frame(rows, SPECS[champion.model], champion.bundle))
    repositories = np.array([row.repo_id for row in rows], np.int64)
    return champion.bundle.predict_rows([row.features for row in rows], repositories)


def journal_documents(predictions: Predictions, requests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Journal entries of predictions: what was asked, what the model was given, what it said."""
    champion = predictions.champion
    features = champion.bundle.features
    return [
        {
            "model": champion.model,
            "version": champion.version,
            "task_id": request.get("task_id"),
            "worker_id": request.get("worker_id"),
            "repo_id": row.repo_id,
            "number": row.number,
            "comment_id": id_beside(row.repo_id, request.get("comment_id", 0)),
            "opened_at": row.opened_at and row.opened_at.isoformat(),
            "as_of": row.as_of and row.as_of.isoformat(),
            "prediction": prediction,
            "lower": lower,
            "upper": upper,
            "answer": answer,
            "request": request,
            "features": {name: row.features.get(name) for name in features},
        }
        for row, request, (prediction, lower, upper, answer) in zip(
            predictions.rows, requests, predictions.table.iter_rows(), strict=True
        )
    ]


def instant() -> str:
    """Now (UTC), as the journal writes it."""
    return now_utc().isoformat()
