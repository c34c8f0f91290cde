"""DataSlicer, BiasAnalyzer, BiasMitigator and BiasReport, as people call them in a notebook."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc_assets.errors import FairnessError
from qc_assets.fairness import BiasAnalyzer, BiasReport, DataSlicer, Seniority
from qc_assets.fairness.expected import Rows, promised_by_others
from qc_assets.fairness.findings import FLAGGED, SHOWN, TOO_SMALL

BOTH = pytest.mark.parametrize("kind", ["polars", "pandas"])


def items(n: int = 2_000, seed: int = 0, harsh: float = 0.0) -> pl.DataFrame:
    """Sound probabilities over four repositories; in ``c/c`` fewer come true, by `harsh` log-odds."""
    rng = np.random.default_rng(seed)
    p = rng.beta(4, 2, n)
    repo = rng.choice(["a/a", "b/b", "c/c", "d/d"], n, p=[0.5, 0.3, 0.19, 0.01])
    chance = 1 / (1 + np.exp(-(np.log(p / (1 - p)) - harsh * (repo == "c/c"))))
    return pl.DataFrame({"repo": repo, "y_true": (rng.random(n) < chance).astype(int), "y_pred": p})


def as_kind(frame: pl.DataFrame, kind: str) -> Any:
    return frame if kind == "polars" else frame.to_pandas()


@BOTH
def test_the_published_way_of_calling_it(kind: str, tmp_path: Path) -> None:
    data = as_kind(items(harsh=1.2), kind)
    slices = DataSlicer(data).slice_by_repo()
    assert list(slices) == ["a/a", "b/b", "c/c", "d/d"], "largest first"
    assert all(type(part) is type(data) for part in slices.values())
    analysis = BiasAnalyzer(threshold=0.1).compare_slices(slices, "y_true", "y_pred")
    assert set(analysis.flags["group"]) == {"c/c"}
    assert analysis.too_small == ["d/d"]
    text = BiasReport.generate_text_report(analysis)
    assert "Flagged: 1 of 4 groups." in text and "Too small to say (fewer than 30 rows): d/d." in text
    page = BiasReport.save_report(analysis, tmp_path / "bias.html").read_text()
    assert "c/c" in page and 'src="data:image/png;base64,' in page and "http" not in page.split("<body>")[1]
    for name in ("bias.txt", "bias.md", "bias.csv"):
        assert "c/c" in BiasReport.save_report(analysis, tmp_path / name).read_text()
    assert not list(tmp_path.glob(".*")), "no draft is left"


@BOTH
def test_every_attribute_makes_its_groups(kind: str) -> None:
    data = as_kind(
        pl.DataFrame(
            {
                "repo": ["a/a", "a/a", "b/b", None],
                "language": ["Go", "Go", None, "Rust"],
                "is_newcomer": [True, False, False, None],
                "completion_hours": [1.0, 12.0, 48.0, None],
                "labels": [["bug", "ui"], [], ["bug"], None],
                "title": ["Slow SQL query", "Fix typo", "Flaky tests on CI", None],
                "author_prior_merged_in_repo": [0, 6, 30, None],
                "author_tenure_in_repo_days": [0.0, 40.0, 400.0, None],
                "author_association": ["NONE", "CONTRIBUTOR", "MEMBER", None],
                "is_bot": [False, False, False, None],
                "origin": ["person", "agent", "assisted", None],
            }
        ),
        kind,
    )
    slicer = DataSlicer(data)
    sizes = lambda slices: {name: len(part) for name, part in slices.items()}  # noqa: E731
    assert sizes(slicer.slice_by_repo()) == {"a/a": 2, "b/b": 1, "unknown": 1}
    assert sizes(slicer.slice_by_language()) == {"Go": 2, "Rust": 1, "unknown": 1}
    assert sizes(slicer.slice_by_newcomer()) == {"not a newcomer": 2, "newcomer": 1, "unknown": 1}
    assert sizes(slicer.slice_by_completion_time()) == {"fast": 1, "medium": 1, "slow": 1, "unknown": 1}
    assert sizes(slicer.slice_by_labels()) == {"(no label)": 2, "bug": 2, "ui": 1}
    words = sizes(slicer.slice_by_keywords())
    assert (words["performance"], words["database"], words["testing"], words["build"]) == (1, 1, 1, 1)
    assert words["(no keyword)"] == 2
    assert sizes(slicer.slice_by_seniority()) == {"mid": 1, "newcomer": 1, "senior": 1, "unknown": 1}
    assert sizes(slicer.slice_by_origin()) == {"agent": 1, "assisted": 1, "person": 1, "unknown": 1}
    assert sizes(slicer.slice_by("title"))["Fix typo"] == 1
    assert sizes(slicer.slice_by_intersection("repo", "newcomer"))["a/a & newcomer"] == 1


@BOTH
def test_bots_are_left_out_unless_asked_for(kind: str) -> None:
    data = as_kind(pl.DataFrame({"repo": ["a/a"] * 3, "is_bot": [True, False, False]}), kind)
    assert len(DataSlicer(data).slice_by_repo()["a/a"]) == 2
    assert len(DataSlicer(data, include_bots=True).slice_by_repo()["a/a"]) == 3


def test_the_edges_of_completion_times_are_as_stated() -> None:
    data = pl.DataFrame({"hours": [4.999, 5.0, 24.0, 24.001, float("nan")]})
    groups = DataSlicer(data).members("completion_time")
    assert {name: rows.tolist() for name, rows in groups.items()} == {
        "fast": [0], "medium": [1, 2], "slow": [3], "unknown": [4]
    }  # fmt: skip


def test_seniority_needs_both_work_and_time_and_believes_the_platform() -> None:
    merged = pl.Series([0, 1, 50, 5, 20, 0, 0, None])
    days = pl.Series([900.0, 0.0, 1.0, 30.0, 180.0, 0.0, 0.0, None])
    said = pl.Series(["NONE", "NONE", "NONE", "NONE", "NONE", "CONTRIBUTOR", "OWNER", None])
    levels = ["newcomer", "junior", "junior", "mid", "senior", "junior", "mid", "unknown"]
    assert Seniority().of(merged, days, said).to_list() == levels
    nobody, used = pl.Series([0] * 8), pl.Series([0, 0, 0, 0, 0, 0, 0, 1])
    assert Seniority().of(merged, days, said, nobody, used).to_list() == levels, "of nobody, nothing is known"
    assert Seniority().of(merged, days, None, nobody + 1, nobody).to_list()[0] == "junior"
    assert Seniority().of(merged, days, None, nobody, nobody + 1).to_list()[0] == "mid"


def test_what_cannot_be_sliced_says_which_column_is_missing() -> None:
    with pytest.raises(FairnessError, match=r"slicing by repo needs the column repo or repository .*the data has x"):
        DataSlicer(pl.DataFrame({"x": [1]})).slice_by_repo()
    with pytest.raises(FairnessError, match="slicing by colour needs the column colour"):
        DataSlicer(pl.DataFrame({"x": [1]})).slice_by("colour")
    with pytest.raises(FairnessError, match="give a polars or a pandas frame"):
        DataSlicer([1, 2])
    with pytest.raises(FairnessError, match="labels are lists, or text with commas"):
        DataSlicer(pl.DataFrame({"labels": [1]})).slice_by_labels()


def test_bad_input_is_an_error_or_too_small_to_say() -> None:
    analyzer, data = BiasAnalyzer(resamples=50), items(400)
    slices = DataSlicer(data).slice_by_repo()
    with pytest.raises(FairnessError, match="group a/a lacks the column p; it has repo, y_true, y_pred"):
        analyzer.compare_slices(slices, "y_true", "p")
    hole = data.with_columns(y_pred=pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise("y_pred"))
    with pytest.raises(FairnessError, match=r"1 of \d+ rows of group ./. have no finite y_pred"):
        analyzer.compare_slices(DataSlicer(hole).slice_by_repo(), "y_true", "y_pred")
    with pytest.raises(FairnessError, match="it must hold numbers"):
        analyzer.compare_slices(slices, "y_true", "repo")
    with pytest.raises(FairnessError, match="no rows in any group"):
        analyzer.compare_slices({"a": data.head(0)}, "y_true", "y_pred")
    with pytest.raises(FairnessError, match="must be 0 or 1"):
        analyzer.compare_slices({"a": data.with_columns(y_true=pl.lit(2))}, "y_true", "y_pred", kind="probability")
    with pytest.raises(FairnessError, match="threshold is 10"):
        BiasAnalyzer(threshold=10)
    empty = analyzer.compare_slices(slices | {"nobody": data.head(0)}, "y_true", "y_pred")
    assert "nobody" in empty.too_small
    alone = analyzer.compare_slices({"all": data}, "y_true", "y_pred")
    assert alone.flags.is_empty() and "one group only" in alone.note
    one_class = data.with_columns(y_true=pl.when(pl.col("repo") == "b/b").then(1).otherwise("y_true"))
    found = analyzer.compare_slices(DataSlicer(one_class).slice_by_repo(), "y_true", "y_pred").findings
    auc = found.filter((pl.col("group") == "b/b") & (pl.col("metric") == "roc_auc")).row(0, named=True)
    assert auc["status"] == TOO_SMALL and auc["value"] is None, "one class cannot be ranked"
    all_alike = analyzer.compare_slices(
        DataSlicer(data.with_columns(y_true=pl.lit(1))).slice_by_repo(), "y_true", "y_pred"
    )
    assert all_alike.flags.is_empty()


def test_metrics_of_groups_agree_with_a_direct_computation() -> None:
    from sklearn.metrics import brier_score_loss, roc_auc_score

    data = items(3_000, harsh=0.5)
    analysis = BiasAnalyzer(resamples=50).compare_slices(DataSlicer(data).slice_by_repo(), "y_true", "y_pred")
    for repo in ("a/a", "b/b", "c/c"):
        part = data.filter(pl.col("repo") == repo)
        y, p = part["y_true"].to_numpy(), part["y_pred"].to_numpy()
        value = {row["metric"]: row["value"] for row in analysis.findings.filter(pl.col("group") == repo).to_dicts()}
        assert value["observed_rate"] == pytest.approx(y.mean())
        assert value["brier"] == pytest.approx(brier_score_loss(y, p))
        assert value["roc_auc"] == pytest.approx(roc_auc_score(y, p))
        assert value["mean_prediction"] == pytest.approx(p.mean())
        for at in (0.5, 0.7, 0.9):
            assert value[f"selection_rate_{at}"] == pytest.approx((p >= at).mean())
            assert value[f"false_positive_rate_{at}"] == pytest.approx((p[y == 0] >= at).mean())
            assert value[f"false_negative_rate_{at}"] == pytest.approx((p[y == 1] < at).mean())
    numbers = data.with_columns(y_true=pl.col("y_pred") * 10 + pl.col("y_true"), y_pred=pl.col("y_pred") * 11)
    found = BiasAnalyzer(resamples=50).compare_slices(DataSlicer(numbers).slice_by_repo(), "y_true", "y_pred")
    for repo in ("a/a", "c/c"):
        part = numbers.filter(pl.col("repo") == repo)
        error = (part["y_pred"] - part["y_true"]).to_numpy()
        value = {row["metric"]: row["value"] for row in found.findings.filter(pl.col("group") == repo).to_dicts()}
        assert value["mae"] == pytest.approx(np.abs(error).mean())
        assert value["mean_error"] == pytest.approx(error.mean())
        assert value["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
        assert value["r2"] == pytest.approx(1 - (error**2).mean() / part["y_true"].to_numpy().var())


def test_selection_rates_are_those_of_fairlearn() -> None:
    from fairlearn.metrics import MetricFrame, selection_rate

    data = items(1_000)
    chosen = (data["y_pred"] >= 0.7).to_numpy().astype(int)
    theirs = MetricFrame(
        metrics=selection_rate,
        y_true=data["y_true"].to_numpy(),
        y_pred=chosen,
        sensitive_features=data["repo"].to_numpy(),
    ).by_group
    analysis = BiasAnalyzer(resamples=50).compare_slices(DataSlicer(data).slice_by_repo(), "y_true", "y_pred")
    ours = analysis.findings.filter(pl.col("metric") == "selection_rate_0.7")
    assert dict(zip(ours["group"], ours["value"], strict=True)) == pytest.approx(theirs.to_dict())


def test_larger_errors_of_a_group_are_flagged_and_outcome_groups_are_not() -> None:
    rng = np.random.default_rng(4)
    n = 1_200
    group = rng.choice(["x", "y", "z"], n)
    truth = rng.lognormal(3, 0.5, n)
    said = truth + rng.normal(0, 1, n) * np.where(group == "z", 3, 1)
    data = pl.DataFrame({"g": group, "y": truth, "p": said})
    slices = DataSlicer(data).slice_by("g")
    analysis = BiasAnalyzer().compare_slices(slices, "y", "p")
    assert analysis.kind.name == "number"
    assert "z" in set(analysis.flags.filter(pl.col("metric") == "mae")["group"])
    assert not set(analysis.flags.filter(pl.col("metric") == "mean_error")["group"])
    only_shown = BiasAnalyzer().compare_slices(slices, "y", "p", judge=False, note="made by the outcome")
    assert only_shown.flags.is_empty() and set(only_shown.findings["status"]) == {SHOWN}


def test_rankings_are_compared_by_ndcg_and_reciprocal_rank() -> None:
    rng = np.random.default_rng(5)
    queries, size = 300, 8
    query = np.repeat(np.arange(queries), size)
    group = np.where(query % 3 == 0, "blind", "seen")
    relevant = rng.random(queries * size) < 0.3
    score = rng.normal(size=queries * size) + np.where(group == "seen", 3.0, 0.0) * relevant
    data = pl.DataFrame({"g": group, "q": query, "y": relevant.astype(float), "p": score})
    analysis = BiasAnalyzer(top=5).compare_slices(DataSlicer(data).slice_by("g"), "y", "p", query="q")
    assert set(analysis.findings["metric"]) == {"ndcg_5", "mrr"}
    blind = analysis.flags.filter(pl.col("group") == "blind")
    assert set(blind["metric"]) == {"ndcg_5", "mrr"} and (blind["gap"] < 0).all()
    with pytest.raises(FairnessError, match="a ranking needs `query`"):
        BiasAnalyzer().compare_slices(DataSlicer(data).slice_by("g"), "y", "p", kind="ranking")


def test_a_reciprocal_rank_is_its_definition() -> None:
    relevance = {"a": [0.0, 1.0, 0.0, 1.0], "b": [1.0, 0.0, 0.0, 0.0]}
    scores = {"a": [4.0, 3.0, 2.0, 1.0], "b": [1.0, 2.0, 3.0, 4.0]}
    slices = {name: pl.DataFrame({"q": [name] * 4, "y": relevance[name], "p": scores[name]}) for name in relevance}
    findings = BiasAnalyzer(resamples=50, min_support=2).compare_slices(slices, "y", "p", query="q").findings
    found = findings.filter(pl.col("metric") == "mrr")
    assert dict(zip(found["group"], found["value"], strict=True)) == {"a": 0.5, "b": 0.25}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.3, 2))
def test_expected_values_do_not_depend_on_the_scale_of_sound_predictions(seed: int, scale: float) -> None:
    data = items(600, seed)
    p = data["y_pred"].to_numpy()
    stretched = 1 / (1 + (1 / p - 1) ** scale)
    sizes, order = np.unique(data["repo"], return_counts=True)[1], np.argsort(data["repo"].to_numpy(), kind="stable")
    y = data["y_true"].to_numpy().astype(float)[order]
    names = ("a", "b", "c", "d")[: len(sizes)]
    first, second = (
        promised_by_others(Rows(names, sizes, y, one[order], np.ones(len(y))))[0] for one in (p, stretched)
    )
    np.testing.assert_allclose(first, second, atol=2e-2)


def test_the_same_seed_gives_the_same_findings() -> None:
    slices = DataSlicer(items(500)).slice_by_repo()
    one, other = (BiasAnalyzer(resamples=60, seed=3).compare_slices(slices, "y_true", "y_pred") for _ in range(2))
    assert one.findings.equals(other.findings)
    assert FLAGGED not in set(one.findings["status"])
