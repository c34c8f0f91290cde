"""ModelSpec: everything that makes one model different from another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

Parameters = dict[str, Any]

# From stranger to owner: an order that trees can split, and that an unseen value falls out of as NaN.
ASSOCIATIONS = (
    "NONE", "MANNEQUIN", "FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "CONTRIBUTOR", "COLLABORATOR", "MEMBER", "OWNER",
)  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """One kind of estimator that competes for a model.

    Attributes:
        kind: ``random_forest``, ``lightgbm`` or ``xgboost`` (`estimators.fit`).
        defaults: parameters without a search.
        space: draws parameters from an Optuna trial.
    """

    kind: str
    defaults: Parameters
    space: "Callable[[optuna.Trial], Parameters]"


@dataclass(frozen=True)
class ModelSpec:
    """What a model predicts, from what, and how good it must be.

    Attributes:
        name: name in Dagster, MLflow and SQL.
        question: the question that it answers, in words.
        table: feature table, one row an item.
        target: Boolean label column.
        known_at: column with the instant at which the label became known.
        opened_at: column with the instant that features are computed for.
        features: feature columns, in the order of the matrix.
        categories: ordered levels of the text features.
        maturity: how long a label needs; windows are this far apart.
        candidates: estimators that compete.
        min_rows: fewer labelled rows fail the gate.
        min_auc: a lower ROC AUC on the test window fails the gate.
        outcome: what a positive label means, in a word or two.
        limits: sentences for the model card that say what the model does not know.
    """

    name: str
    question: str
    table: str
    target: str
    known_at: str
    opened_at: str
    features: tuple[str, ...]
    maturity: timedelta
    candidates: tuple[Candidate, ...]
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    min_rows: int = 50
    min_auc: float = 0.55
    outcome: str = "positive"
    limits: tuple[str, ...] = ()
