"""How far a search is, in sentences."""

import re
from typing import Any

import pytest

from qc_assets.learning import pace
from qc_assets.learning.pace import Pace, in_words
from qc_assets.learning.task.terms import Metric
from qc_assets.progress import Milestone, logged


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that pass when a test says so."""
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


def test_a_search_says_which_trial_how_good_and_how_long(clock: list[float]) -> None:
    told: list[tuple[str, float, float]] = []
    search = Pace(2, 3, Metric("log loss", higher_is_better=False), lambda *said: told.append(said))
    search.begins("forest")
    assert told[-1] == ("candidate 1 of 2 (forest), trial 1 of 3", 0, 6), "nothing is known of its time"
    for number, value in enumerate((0.5, 0.41, 0.6)):
        clock[0] += 60
        search.tried(number, value)
    # Ten minutes in all if the next one is as slow: three are over.
    assert told[-2] == ("candidate 1 of 2 (forest), trial 3 of 3, best log loss 0.41, about 4 min left", 2, 6)
    search.chosen(0.44)
    assert told[-1] == ("forest: validation log loss 0.440", 3, 6) and isinstance(told[-1][0], Milestone)
    search.begins("linear")
    assert told[-1][0] == "candidate 2 of 2 (linear), trial 1 of 3, best log loss 0.41, about 3 min left"
    clock[0] += 1
    search.tried(0, 0.3)
    assert told[-1][0] == "candidate 2 of 2 (linear), trial 2 of 3, best log loss 0.3, about a minute left"


def test_more_may_be_better_and_a_quick_training_has_no_trials(clock: list[float]) -> None:
    told: list[str] = []
    search = Pace(2, 1, Metric("macro F1", higher_is_better=True), lambda what, done, total: told.append(what))
    for kind, value in (("forest", 0.7), ("linear", 0.6)):
        search.begins(kind)
        clock[0] += 600
        search.chosen(value)
    assert told[2] == "candidate 2 of 2 (linear), best macro F1 0.7, about 10 min left"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "a minute"), (60, "a minute"), (61, "2 min"), (5_340, "89 min"), (5_400, "1.5 h")]
)
def test_a_duration_is_never_said_shorter_than_it_is(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_the_log_has_every_milestone_and_not_every_trial() -> None:
    lines: list[str] = []
    tell: Any = logged(lines.append, every_s=1_000)
    for what in ("trial 1", Milestone("forest: 0.7"), "trial 2", Milestone("linear: 0.6")):
        tell(what, 0, 0)
    assert [line for line in lines if re.match("trial", line)] == []
    assert lines == ["forest: 0.7", "linear: 0.6"]
