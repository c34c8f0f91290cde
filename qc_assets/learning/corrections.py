"""Labels that people corrected: few, undisputed, and not what a model is judged by alone."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from qc_assets.learning.knobs import LearningKnobs
from qc_assets.learning.metrics.bootstrap import MIN_ROWS, Estimate
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.learning.task.terms import Gate
from qc_assets.learning.trained import Trained

# Columns of a model's rows: whether the label rests on feedback against or without the platform's own word, by which
# key, and whether feedback contradicts the label, or other feedback.
CORRECTED, CORRECTED_BY, CONTESTED = "label_is_corrected", "label_corrected_by", "label_is_contested"
# Whether a row has no label as it rests on feedback of a key that has given more than its share.
SET_ASIDE = "label_is_set_aside"
GIVER_SHARE: float = LearningKnobs.model_fields["feedback_giver_share"].default
_ANY_SHARE = 10  # rows of one key that are harmless, however few there are
WITHIN_SHARES = "givers_are_within_their_share"
GATES = {
    "feedback_is_a_small_share": "No window's labels rest on feedback by more than QC_FEEDBACK_SHARE.",
    "feedback_is_not_disputed": "Feedback that contradicts the platform, or what other keys said, is kept apart, and "
    "is no more than QC_FEEDBACK_SHARE of a window.",
    WITHIN_SHARES: "Nobody's feedback is the label of more than QC_FEEDBACK_GIVER_SHARE of the rows; what is more is "
    "kept and not trained on. Only warns.",
    "holds_without_feedback": "What is promised of the metrics holds on the rows whose labels nobody corrected, too.",
}


@dataclass(frozen=True)
class _MarkedRows:
    """How much of a window something is; `who` are the keys behind it, those with most rows first."""

    window: str
    rows: int
    of: int
    who: str = ""

    @property
    def share(self) -> float:
        return self.rows / self.of if self.of else 0.0

    def __str__(self) -> str:
        return f"{self.rows} of {self.of} in the {self.window} window ({self.share:.1%}{self.who})"


def beyond_their_share(rows: pl.DataFrame, spec: ModelSpec, share: float) -> pl.DataFrame:
    """The rows without the labels that one key gave beyond its share of all labels; the first that came stay.

    What only people know (a category) has no such bound: there a few givers are all that there is.

    Args:
        rows: with `CORRECTED`, `CORRECTED_BY` and `arrival`, the order in which feedback came.
        spec: the model.
        share: of the labelled rows, 0 to 1; ten rows are anybody's.

    Returns:
        The rows with the column `SET_ASIDE`, and no label where that is true.
    """
    target = pl.col(spec.target)
    if spec.feedback_kind != "outcome":
        return rows.with_columns(pl.lit(False).alias(SET_ASIDE))
    most = max(_ANY_SHARE, int(share * rows[spec.target].count()))
    place = pl.struct(pl.col("arrival").fill_null(0), *spec.key).rank("ordinal").over(CORRECTED_BY)
    is_over = (pl.col(CORRECTED) & (place > most)).fill_null(False)
    return rows.with_columns(
        pl.when(~is_over).then(target).alias(spec.target),
        (pl.col(CORRECTED) & ~is_over).alias(CORRECTED),
        is_over.alias(SET_ASIDE),
    )


def within_shares(rows: pl.DataFrame) -> Gate:
    """Whether nobody gave more than their share, and whose labels are set aside."""
    over = rows.filter(pl.col(SET_ASIDE))[CORRECTED_BY].value_counts(sort=True)
    named = ", ".join(f"{key or 'without a key'}: {count}" for key, count in over.head(20).iter_rows())
    detail = f"labels that are not trained on, by key: {named}" if named else "nobody gave more than their share"
    return Gate(WITHIN_SHARES, not named, detail, blocks=False)


def untouched(trained: Trained) -> np.ndarray:
    """Mask of the test window's rows whose labels nobody corrected, (rows,)."""
    return ~_marked(trained.data.frame, CORRECTED)[trained.split.test]


def feedback_gates(trained: Trained, share: float, evaluate: Callable[[np.ndarray], dict[str, Estimate]]) -> list[Gate]:
    """What is asked about labels that people corrected, or wanted to.

    Args:
        trained: the model.
        share: of a window's labels that may rest on feedback, or be contradicted by it, 0 to 1.
        evaluate: the metrics of the test window on some of its rows only.
    """
    frame, windows = trained.data.frame, trained.split.windows
    task = task_of(trained.spec)
    corrected, contested = _marked(frame, CORRECTED), _marked(frame, CONTESTED)
    # Where only people say what is right, their word is no correction.
    counted = corrected if trained.spec.feedback_kind == "outcome" else np.zeros_like(corrected)
    few = _within("rest on feedback", counted, frame, windows, share)
    undisputed = _within("are contradicted by feedback", contested, frame, windows, share)
    clean = untouched(trained)
    name = "holds_without_feedback"
    if clean.all():
        holds = Gate(name, True, "no label of the test window rests on feedback")
    elif np.count_nonzero(clean) < MIN_ROWS:
        holds = Gate(name, False, f"{np.count_nonzero(clean)} rows of the test window are left without feedback")
    else:
        judged = task.check(trained.spec, evaluate(clean), len(trained.split.calibration))
        broken = [gate for gate in judged if gate.forbids]
        told = "; ".join(f"{gate.name}: {gate.detail}" for gate in broken or judged)
        holds = Gate(name, not broken, f"on {np.count_nonzero(clean)} rows: {told}")
    return [
        Gate("feedback_is_a_small_share", *few),
        Gate("feedback_is_not_disputed", *undisputed),
        holds,
    ]


def _within(
    what: str, marked: np.ndarray, frame: pl.DataFrame, windows: dict[str, np.ndarray], share: float
) -> tuple[bool, str]:
    parts = [
        _MarkedRows(window, int(np.count_nonzero(marked[rows])), len(rows), _keys(frame, rows[marked[rows]]))
        for window, rows in windows.items()
    ]
    beyond = [part for part in parts if part.share > share]
    listed = "; ".join(map(str, beyond or parts))
    return not beyond, f"labels that {what}: {listed}; at most {share:.0%} may be"


def _keys(frame: pl.DataFrame, rows: np.ndarray) -> str:
    if CORRECTED_BY not in frame.columns or not len(rows):
        return ""
    keys = frame[CORRECTED_BY][rows].drop_nulls().value_counts(sort=True).head(3)
    named = ", ".join(f"{key or 'without a key'} {count}" for key, count in keys.iter_rows())
    return f", by {named}" if named else ""


def _marked(frame: pl.DataFrame, column: str) -> np.ndarray:
    return frame[column].to_numpy().astype(bool) if column in frame.columns else np.zeros(len(frame), dtype=bool)
