"""What can be done about a gap, and that it does what it says."""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from qc_assets.errors import FairnessError, TrainingError
from qc_assets.fairness import BiasMitigator
from qc_assets.learning.spec import Candidate
from qc_assets.learning.task import dataset_of
from qc_assets.learning.trained import Options
from qc_assets.learning.training import train
from qc_assets.sources.demo import world as demo_world
from qc_assets.sources.demo.knobs import Bias
from qc_assets.sources.demo.population import populate
from tests.learning.test_models import SMALL, rows

FIRST = date(2024, 1, 1)


def test_weights_reproduce_the_published_example() -> None:
    sizes = {"a": 33_286, "b": 21_611, "c": 6_374}
    data = pl.DataFrame({"repo": [name for name, size in sizes.items() for _ in range(size)]})
    weights = BiasMitigator.compute_sample_weights(data, "repo")
    by_repo = data.with_columns(weight=weights).group_by("repo").agg(pl.col("weight").first()).sort("repo")
    assert [round(weight, 4) for weight in by_repo["weight"]] == [0.6136, 0.9451, 3.2042]
    assert weights.mean() == pytest.approx(1)
    assert np.array_equal(weights, BiasMitigator.compute_sample_weights(data.to_pandas(), "repo"))


@pytest.mark.parametrize("kind", ["polars", "pandas"])
def test_resampling_brings_small_groups_up_and_keeps_every_row(kind: str) -> None:
    data = pl.DataFrame({"repo": ["a"] * 50 + ["b"] * 20 + ["c"] * 2, "n": range(72)})
    found = BiasMitigator.resample_underrepresented(data if kind == "polars" else data.to_pandas(), "repo")
    assert type(found).__module__.startswith(kind)
    found = found if kind == "polars" else pl.from_pandas(found)
    assert found.head(72)["n"].to_list() == list(range(72))
    sizes = dict(found.group_by("repo").len().iter_rows())
    assert sizes == {"a": 50, "b": 50, "c": 20}, "c grows tenfold at most"


def planted(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, pl.DataFrame]:
    """Features, true probabilities and labels of a world that judges newcomers more harshly."""
    rng = np.random.default_rng(seed)
    people, repos = populate(rng, 6_000, 240, FIRST)
    prs = demo_world.pull_requests(rng, people, repos, 6_000, 240, FIRST, Bias("newcomers", -1.0))
    groups = prs.select(group=pl.when(pl.col("prior") == 0).then(pl.lit("new")).otherwise(pl.lit("known")))
    x = np.column_stack(
        [
            groups["group"] == "new",
            np.log1p((prs["additions"] + prs["deletions"]).to_numpy()),
            prs["files"],
            prs["kind"],
            np.log1p(prs["prior"].to_numpy()),
        ]
    ).astype(float)
    return x, prs["p0"].to_numpy(), prs["passed"].to_numpy().astype(float), groups


def test_weights_and_resampling_halve_a_planted_gap() -> None:
    """A regularised model takes the few for the many; balanced groups make it listen to both."""
    gaps: dict[str, list[float]] = {"plain": [], "weights": [], "resampling": []}
    for seed in range(6):
        x, p0, y, groups = planted(seed)
        is_new = (groups["group"] == "new").to_numpy()
        train, test = np.arange(3_600), np.arange(3_600, 6_000)
        more = BiasMitigator.resample_underrepresented(groups[:3_600].with_row_index("row"), "group", most=20)
        weights = BiasMitigator.compute_sample_weights(groups[:3_600], "group")
        for name, chosen, weight in (
            ("plain", train, None),
            ("weights", train, weights),
            ("resampling", more["row"].to_numpy(), None),
        ):
            model = LogisticRegression(C=0.03).fit(x[chosen], y[chosen], sample_weight=weight)
            excess = model.predict_proba(x[test])[:, 1] - p0[test]
            gaps[name].append(excess[is_new[test]].mean() - excess[~is_new[test]].mean())
    before = np.mean(gaps["plain"])
    assert before > 0.03, "newcomers are thought to pass more often than they do"
    assert abs(np.mean(gaps["weights"])) < before / 2
    assert abs(np.mean(gaps["resampling"])) < before / 2


def test_means_variances_and_recalibration_do_what_they_say() -> None:
    rng = np.random.default_rng(1)
    group = np.repeat(["a", "b", "few"], [400, 200, 5])
    said = np.clip(rng.beta(3, 2, 605) + 0.1 * (group == "b"), 0.01, 0.99)
    truth = (rng.random(605) < said * np.where(group == "b", 0.6, 1.0)).astype(float)
    mean = lambda values, name: values[group == name].mean()  # noqa: E731
    equal = BiasMitigator.equalize_means(said, group)(said, group)
    assert mean(equal, "a") == pytest.approx(mean(equal, "b")) == pytest.approx(said.mean())
    observed = BiasMitigator.equalize_means(said, group, truth)(said, group)
    assert mean(observed, "b") == pytest.approx(mean(truth, "b"))
    assert np.array_equal(observed[group == "few"], said[group == "few"]), "five rows teach nothing"
    spread = BiasMitigator.scale_variances(said, group)(said, group)
    assert spread[group == "b"].std() == pytest.approx(said.std())
    assert mean(spread, "b") == pytest.approx(mean(said, "b"))
    bounded = BiasMitigator.equalize_means(said, group, truth * 0, bounds=(0, 1))(said, group)
    assert bounded.min() == 0
    right = BiasMitigator.recalibrate(said, group, truth)(said, [*group[:-1], "never seen"])
    assert mean(right, "b") == pytest.approx(mean(truth, "b"), abs=0.02)
    with pytest.raises(FairnessError, match="the same label"):
        BiasMitigator.recalibrate(said, group, np.ones(605))
    with pytest.raises(FairnessError, match="605 predictions but 1 groups"):
        BiasMitigator.equalize_means(said, ["a"])


@pytest.mark.parametrize("constraint", ["demographic_parity", "equalized_odds"])
def test_a_constraint_narrows_the_gap_between_decisions(constraint: str) -> None:
    rng = np.random.default_rng(2)
    n = 2_000
    group = rng.choice(["a", "b"], n)
    quality = rng.normal(size=n)
    y = (quality - 1.2 * (group == "b") + rng.normal(size=n) > 0).astype(int)
    x = np.column_stack([quality, group == "b"])
    model = BiasMitigator.exponentiated_gradient(x, y, group, constraint=constraint)
    free = LogisticRegression().fit(x, y).predict_proba(x)[:, 1]

    def gap(score: np.ndarray) -> float:
        return float(abs((score >= 0.5)[group == "a"].mean() - (score >= 0.5)[group == "b"].mean()))

    assert gap(model.score(x)) < 0.6 * gap(free)
    assert sum(weight for weight, _ in model.parts) == pytest.approx(1, abs=1e-6)


def test_constraints_that_cannot_be_are_refused() -> None:
    x, y = np.zeros((4, 1)), np.array([0, 1, 0, 1])
    with pytest.raises(FairnessError, match="no constraint niceness; there is demographic_parity"):
        BiasMitigator.exponentiated_gradient(x, y, ["a", "a", "b", "b"], constraint="niceness")
    with pytest.raises(FairnessError, match="two groups"):
        BiasMitigator.exponentiated_gradient(x, y, ["a"] * 4)
    with pytest.raises(FairnessError, match="no column team; the data has repo"):
        BiasMitigator.compute_sample_weights(pl.DataFrame({"repo": ["a"]}), "team")
    with pytest.raises(FairnessError, match="no rows"):
        BiasMitigator.resample_underrepresented(pl.DataFrame({"repo": []}), "repo")


def test_a_spec_can_balance_its_groups_and_candidates_that_cannot_say_so() -> None:
    frame = rows(900).with_columns(repo_id=pl.when(pl.int_range(pl.len()) % 10 == 0).then(2).otherwise(1))
    data = dataset_of(SMALL, frame)
    stubborn: Any = Candidate("xgboost", {"n_estimators": 5}, None, takes_weights=False)
    spec = replace(SMALL, balance="repo_id", candidates=(*SMALL.candidates[-1:], stubborn))
    options = Options(quick=True, resamples=50)
    balanced = train(spec, data, options)
    assert balanced.skipped["xgboost"] == "cannot give the groups of repo_id equal weight"
    weights = balanced.known["train"].weights
    repo = balanced.data.frame["repo_id"].to_numpy()[balanced.split.train]
    assert weights[repo == 1].sum() == pytest.approx(weights[repo == 2].sum())
    plain = train(replace(spec, balance=""), data, replace(options, candidates=(spec.candidates[0].kind,)))
    assert not np.array_equal(plain.best.predictions, balanced.best.predictions), "the weights reach the fit"
    with pytest.raises(TrainingError, match=r"balanced by team, which .* does not have"):
        train(replace(spec, balance="team"), data, options)
