"""A search gives up trials that are worse than most after the same folds, and never takes one of them."""

from dataclasses import replace

import numpy as np
import pytest

from qc_assets.learning import training
from qc_assets.learning.trained import Trial
from qc_assets.models.p0 import SPEC as P0
from tests.learning.test_models import OPTIONS, SMALL, dataset

TRIALS = 14
SEARCHED = replace(SMALL, candidates=tuple(candidate for candidate in P0.candidates if candidate.kind == "lightgbm"))


def trials_of(**options: bool) -> tuple[training.Trained, tuple[Trial, ...]]:
    searched = replace(OPTIONS, quick=False, n_trials=TRIALS, n_folds=3, **options)
    trained = training.train(SEARCHED, dataset(n=900), searched)
    return trained, trained.best.trials


@pytest.mark.slow
def test_what_is_given_up_has_seen_fewer_folds_and_is_not_chosen() -> None:
    trained, trials = trials_of()
    assert len(trials) == TRIALS
    given_up = [trial for trial in trials if trial.stopped_after]
    assert {trial.stopped_after for trial in given_up} <= {1, 2}
    assert len(given_up) >= 3
    assert not any(trial.stopped_after for trial in trials[:5]), "until then there is nothing to compare with"
    whole = [trial for trial in trials if trial.stopped_after is None]
    assert trained.best.parameters == min(whole, key=lambda trial: trial.validation).parameters


@pytest.mark.slow
def test_the_first_trials_are_those_of_a_search_that_gives_nothing_up() -> None:
    _, patient = trials_of(prune=False)
    _, pruning = trials_of()
    assert [trial.stopped_after for trial in patient] == [None] * TRIALS
    assert np.allclose([t.validation for t in patient[:5]], [t.validation for t in pruning[:5]])


def test_a_mean_over_fewer_folds_has_another_name() -> None:
    assert Trial({}, 0.4).named("search/log_loss") == "search/log_loss"
    assert Trial({}, 0.4, 2).named("search/log_loss") == "search/log_loss_of_2_folds"
