"""Two answers of one issue cannot contradict each other, and agree at the least cost."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc_assets.learning.agreement import agreed, contradicting
from qc_assets.learning.bundle import Bundle
from qc_assets.learning.calibration import ProbabilityCalibrator
from qc_assets.learning.conformal import Intervals
from qc_assets.learning.spec import Bound
from qc_assets.learning.task.combined import Rate
from qc_assets.models.close_in_7_days import SPEC as CLOSING
from qc_assets.models.resolution_time import SPEC as RESOLUTION
from qc_assets.monitoring.examination import _live
from qc_assets.monitoring.scoring import score_rows

BOUND = Bound("close_in_7_days", hours=168)
_HOURS = st.floats(0, 3_000)


@given(st.lists(st.tuples(_HOURS, _HOURS, _HOURS, st.floats(0, 1)), min_size=1, max_size=20), st.integers(1, 100))
def test_no_two_answers_contradict_each_other(rows: list[tuple[float, ...]], days: int) -> None:
    context = {"horizon_hours": 24.0 * days}
    answers = np.minimum(np.sort([row[:3] for row in rows], axis=1), context["horizon_hours"])
    p = np.array([row[3] for row in rows])
    together = agreed(answers, context, p, BOUND)
    least = min(BOUND.hours, context["horizon_hours"])
    open_ended = together[:, 2] >= context["horizon_hours"]
    for end, level in ((0, np.where(open_ended, 0.2, 0.1)), (1, np.full(len(p), 0.5)), (2, np.full(len(p), 0.9))):
        assert (together[p < level - 1e-9, end] >= least).all(), "more would be resolved by then than closed"
    assert not contradicting(together, context, p, BOUND).any()
    assert (np.diff(together, axis=1) >= 0).all() and (together <= context["horizon_hours"]).all()
    moved = together != answers
    assert (together[moved] == least).all() and (answers[moved] < least).all(), "raised, and no further than needed"
    assert np.array_equal(agreed(together, context, p, BOUND), together)
    assert np.array_equal(agreed(answers, context, np.ones(len(p)), BOUND), answers)


class Telling:
    """An estimator whose score is its first column."""

    def score(self, x: np.ndarray) -> np.ndarray:
        return x[:, 0]

    def save(self, folder: Any) -> None:
        pytest.fail("it is asked here, and never saved")


def test_what_is_scored_agrees_where_both_have_a_champion_and_is_their_own_where_not() -> None:
    about: dict[str, Any] = {"trivial": (), "is_synthetic": True}
    hours = Intervals(720.0, (1.0,), ((-1.0,), (0.0,), (1.0,)))
    closing = replace(CLOSING, features=("chance",))
    resolving = replace(RESOLUTION, features=("log_hours",))
    duration = Bundle.of(resolving, Telling(), hours, context={"horizon_hours": 720.0}, **about)
    unsure = ProbabilityCalibrator.fit(np.tile([0.2, 0.8], 200), np.tile([0, 0, 1, 1, 0, 0, 0, 1], 50), np.ones(400))
    probability = Bundle.of(closing, Telling(), unsure, context={}, **about)
    rows = pl.DataFrame(
        {"repo_id": [1, 1], "number": [1, 2], "log_hours": np.log1p([20.0, 20.0]), "chance": [0.2, 0.8]}
    )
    p = probability.predict(rows)
    assert 0.1 < p[0] < 0.5 < p[1] < 0.9
    alone = score_rows(resolving, duration, rows)
    both = score_rows(resolving, duration, rows, probability)
    assert alone["prediction"].to_list() == [20.0, 20.0] or np.allclose(alone["prediction"], 20)
    assert both["prediction"][0] == 168 and np.isclose(both["prediction"][1], 20)
    assert (both["upper"] == 168).all() and both["lower"].equals(alone["lower"])
    assert score_rows(closing, probability, rows, None)["prediction"].to_list() == p.tolist()


def test_in_the_test_window_the_other_model_answers_as_it_was_judged() -> None:
    about: dict[str, Any] = {"trivial": (), "is_synthetic": True}
    resolving = replace(RESOLUTION, features=("log_hours",))
    hours = Intervals(720.0, (1.0,), ((-1.0,), (0.0,), (1.0,)))
    duration = Bundle.of(resolving, Telling(), hours, context={"horizon_hours": 720.0}, **about)
    # What is served has learnt that both are closed; what was judged had not.
    closing = Bundle.of(
        replace(CLOSING, features=("log_hours",)), Rate(0.99), ProbabilityCalibrator.none(), context={},
        judged=Rate(0.01), **about,
    )  # fmt: skip
    rows = pl.DataFrame(
        {
            "repo_id": [1, 1],
            "number": [1, 2],
            "opened_at": [datetime(2024, 1, 1), datetime(2024, 2, 1)],
            "observed_until": [datetime(2024, 6, 1)] * 2,
            "resolution_hours": [20.0, 20.0],
            "log_hours": np.log1p([20.0, 20.0]),
        }
    )
    live = _live(resolving, duration, rows, datetime(2024, 1, 1), datetime(2024, 1, 15), closing)
    assert live.frame["is_test"].to_list() == [True, False]
    assert np.allclose(live.frame["prediction"], [168, 20])
