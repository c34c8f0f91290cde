"""A repository whose own share of passes says more than the model is named."""

import numpy as np
import polars as pl

from qc_assets.learning.reliability import losing_repositories
from qc_assets.learning.task.terms import Known

RATES = {1: 0.9, 2: 0.5, 3: 0.2}


def rows(seed: int, count: int) -> tuple[pl.DataFrame, Known]:
    """As many rows of each repository, whose labels are drawn at its rate; and ten of one that is small."""
    rng = np.random.default_rng(seed)
    ids = np.concatenate([np.repeat(list(RATES), count), np.repeat(4, 10)])
    rates = np.array([RATES.get(repo_id, 0.5) for repo_id in ids])
    names = [f"acme/{repo_id}" for repo_id in ids]
    y = (rng.random(len(ids)) < rates).astype(float)
    return pl.DataFrame({"repo_id": ids, "repo": names}), Known(y, np.ones(len(ids)))


def test_only_the_repository_in_which_the_model_is_surely_worse_is_named() -> None:
    before, tested = rows(0, 300), rows(1, 300)
    ids = tested[0]["repo_id"].to_numpy()
    right = np.array([RATES.get(repo_id, 0.5) for repo_id in ids])
    losing = losing_repositories(before, tested, right)
    assert losing.judged == 3 and losing.names == ()
    wrong = np.where(ids == 1, 0.5, right)
    (name,) = losing_repositories(before, tested, wrong).names
    assert name.startswith("acme/1 (by 0.")


def test_without_repositories_nothing_is_judged() -> None:
    frame, known = rows(0, 60)
    empty = frame.drop("repo_id")
    assert losing_repositories((empty, known), (empty, known), np.full(len(frame), 0.5)).judged == 0
