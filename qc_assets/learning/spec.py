"""ModelSpec: everything that makes one model different from another."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import optuna

Parameters = dict[str, Any]

# From stranger to owner: an order that trees can split, and that an unseen value falls out of as NaN.
ASSOCIATIONS = (
    "NONE", "MANNEQUIN", "FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "CONTRIBUTOR", "COLLABORATOR", "MEMBER", "OWNER",
)  # fmt: skip

# What makes an item useless for any model: its opening was not seen, it lies outside of what is covered without gaps,
# or no person opened it.
UNUSABLE = ("opening_not_observed", "outside_coverage", "bot")


@dataclass(frozen=True)
class Candidate:
    """One kind of estimator that competes for a model.

    Attributes:
        kind: one that the model's task can fit, such as ``lightgbm``.
        defaults: parameters without a search.
        space: draws parameters from an Optuna trial; None if there is nothing to search.
        is_slow: left out of quick trainings.
        takes_weights: whether its fit minds the weights of rows.
    """

    kind: str
    defaults: Parameters
    space: "Callable[[optuna.Trial], Parameters] | None" = None
    is_slow: bool = False
    takes_weights: bool = True


@dataclass(frozen=True)
class Heads:
    """Two ways in which an item may be decided, asked about one by one; see `qc_assets.learning.task.combined`.

    Attributes:
        column: Boolean label column that says which way it was.
        way, on_way, off_way: names of the three probabilities: of the way, and of a positive label on it and off it.
    """

    column: str
    way: str
    on_way: str
    off_way: str

    @property
    def names(self) -> tuple[str, str, str]:
        return self.way, self.on_way, self.off_way


@dataclass(frozen=True)
class Bound:
    """Another model's probability that the same item has ended, in whatever way, after so many hours.

    Attributes:
        model: a probability over the same rows, with no other features.
        hours: the moment that it speaks of, from the opening.
    """

    model: str
    hours: float


@dataclass(frozen=True)
class Change:
    """A feature of an item that its author decides on.

    Attributes:
        words: the item with another value, which stands for {}: ``a description of {} characters``.
        gaming: how the value is had without a better item, for the card.
        is_log: the feature is ln(1 + value).
    """

    words: str
    gaming: str
    is_log: bool = False

    def of(self, value: float) -> str:
        """The words with a value of the feature."""
        return self.words.format(f"{round(math.expm1(value) if self.is_log else value):,}")


@dataclass(frozen=True)
class ModelSpec:
    """What a model predicts, from what, and how good it must be.

    Attributes:
        name: name in Dagster, MLflow and SQL.
        question: the question that it answers, in words.
        task: ``probability`` (of a Boolean target), ``duration`` (target in hours, NULL while it lasts) or
            ``category`` (target is one of `classes`).
        asks_about: what an item is, which decides what a request must say: ``pull_request``, ``issue`` or ``comment``.
        endpoint: path of its own endpoint of the API; empty: only ``/predict/NAME``, which every model has.
        words: what a probability above and below one half means, in a word each, as answers and feedback say it.
        feedback_kind: how feedback calls the truth about an item: ``outcome``, or ``category`` of a text.
        actions: what may be done about an answer, best first; a person who did another says so as an ``override``.
        table: feature table, one row an item.
        excluded: reasons in the table's column ``exclusions`` that keep an item out of this model.
        rows: further condition on the items of this model, in SQL over the table's columns.
        columns: columns that only this model has, as SQL over the table's columns, such as its target.
        target: label column; NULL while the label is not known.
        known_at: column with the instant at which the label became known.
        opened_at: column with the instant that features are computed for.
        features: feature columns, in the order of the matrix; texts for a category, numbers otherwise.
        categories: ordered levels of features that are levels.
        maturity: how long a label needs; windows are this far apart.
        candidates: estimators that compete.
        key: columns that identify an item.
        texts: text columns of section ``texts`` of the table's SQL, tried beside the features, which are numbers.
        classes: the categories.
        max_horizon: durations are counted up to here at most.
        bound: what no answer may contradict (duration), see `qc_assets.learning.agreement`.
        left_at: column with the instant at which an item left without its end, so that nobody waits for that any
            longer and it was not watched further (duration); with it, answers say how much longer an item takes that
            has waited already, see `qc_assets.learning.remaining`.
        min_rows: fewer labelled rows fail the gate.
        min_auc: a lower ROC AUC on the test window fails the gate (probability).
        alerts: whether a run fails, at its end, if its training breaks a gate.
        margins: by metric, how much worse than the champion a challenger may be at most; these metrics are judged.
        outcome: what a positive label means, in a word or two.
        heads: the ways in which an item may be decided, where they are worth a question each (probability).
        sensitive: attributes whose groups the bias report compares, see `qc_assets.fairness.DataSlicer`.
        balance: column of the feature table whose groups get equal weight in training (inverse frequency), such as
            ``repo_id`` or ``author_seniority``; empty: every row counts alike.
        changes: features that the author of an item decides on, see `qc_assets.learning.what_if`.
        monotone: features that an answer may only rise with (1), or only fall with (-1), all else equal, such as a
            longer record of passes (probability); see `qc_assets.learning.monotony`.
        learns_from_others: whether a project of few rows learns from what other projects know, where that is there.
        missing_is_a_fact: features whose being unknown was a fact at the opening, such as no history; that of any
            other is a matter of our watching, and must not tell the answer.
        left_out: section of the table's SQL that tells of items which are left out of the training, though the model is
            asked about them, because a fact is lost: nobody is paid by it where they are other items.
        refresh_after: a challenger that is no better than the champion replaces it when its data are so much newer.
        limits: sentences for the model card that say what the model does not know.
        order: place among the models where all are shown; equal ones by name.
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
    margins: Mapping[str, float]
    asks_about: Literal["pull_request", "issue", "comment"]
    endpoint: str = ""
    words: tuple[str, str] = ("yes", "no")
    feedback_kind: Literal["outcome", "category"] = "outcome"
    actions: tuple[str, ...] = ()
    excluded: tuple[str, ...] = UNUSABLE
    rows: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    order: int = 100
    task: Literal["probability", "duration", "category"] = "probability"
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    key: tuple[str, ...] = ("repo_id", "number")
    texts: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    max_horizon: timedelta = timedelta(days=90)
    bound: Bound | None = None
    left_at: str = ""
    min_rows: int = 50
    min_auc: float = 0.55
    alerts: bool = False
    outcome: str = "positive"
    heads: Heads | None = None
    sensitive: tuple[str, ...] = ("repo", "seniority")
    balance: str = ""
    changes: Mapping[str, Change] = field(default_factory=dict)
    monotone: Mapping[str, Literal[1, -1]] = field(default_factory=dict)
    learns_from_others: bool = False
    missing_is_a_fact: tuple[str, ...] = ()
    left_out: str = ""
    refresh_after: timedelta = timedelta(days=90)
    limits: tuple[str, ...] = ()

    @property
    def signs(self) -> tuple[int, ...]:
        """Of each feature 1 or -1 if it is `monotone`, else 0; empty if none is."""
        return tuple(self.monotone.get(name, 0) for name in self.features) if self.monotone else ()
