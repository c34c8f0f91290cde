"""An audit of a table finds the look-ahead, the telling gaps and the repositories that were planted in it."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from qc_assets.errors import TrainingError
from qc_assets.learning.table_audit import AuditLine, audit_table


def planted(n: int = 2_000) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    repository = rng.integers(0, 4, n)
    honest = rng.normal(size=n)
    passed = rng.random(n) < 1 / (1 + np.exp(-(honest + (repository - 1.5))))
    opened = rng.poisson(3, n)
    # What failed is worked on: the final number of commits tells; and it is looked up for what passed only.
    commits = opened + np.where(passed, 0, rng.poisson(3, n))
    looked_up = np.where(passed | (rng.random(n) < 0.3), rng.normal(size=n), np.nan)
    return pl.DataFrame(
        {
            "at": [datetime(2024, 1, 1) + timedelta(hours=hour) for hour in range(n)],
            "passed": passed, "honest": honest, "commits": commits, "opened_commits": opened,
            "looked_up": looked_up, "repo": [f"r{place}" for place in repository],
        }
    ).with_columns(pl.col("looked_up").fill_nan(None))  # fmt: skip


def audit(table: pl.DataFrame, *features: str, cut_back: dict[str, str] | None = None) -> dict[str, AuditLine]:
    lines = audit_table(table, label="passed", time="at", features=features, cut_back=cut_back or {}, repository="repo")
    return {line.what: line for line in lines}


def test_look_ahead_is_what_is_lost_when_a_feature_is_cut_back() -> None:
    lines = audit(planted(), "honest", "commits", cut_back={"commits": "opened_commits"})
    assert lines["commits alone"].lower > 0.7
    assert lines["commits as of the beginning"].upper < lines["all features"].lower
    honest = lines["without commits"]
    assert honest.lower < lines["commits as of the beginning"].auc < honest.upper + 0.02


def test_what_is_missing_tells_only_where_it_does() -> None:
    lines = audit(planted(), "honest", "looked_up")
    assert lines["nothing but which values are missing"].lower > 0.7
    fair = planted().with_columns(pl.when(pl.int_range(pl.len()) % 3 > 0).then("honest").alias("honest"))
    gaps = audit(fair, "honest")["nothing but which values are missing"]
    assert gaps.lower <= 0.5 <= gaps.upper
    zeros = planted().with_columns(pl.col("looked_up").fill_null(0))
    assert audit(zeros, "looked_up")["nothing but which values are missing or 0"].lower > 0.7


def test_telling_repositories_apart_is_nothing_within_one() -> None:
    table = planted().with_columns(pl.col("repo").str.slice(1).cast(pl.Int64).alias("place"))
    line = audit(table, "place")["all features"]
    assert line.lower > 0.6 and line.within == 0.5
    assert audit(table, "place")["nothing but the repository's earlier rate"].within == 0.5


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"label": "shoe"}, "no column shoe"), ({"features": []}, "no features"), ({"label": "commits"}, "needs two")],
)
def test_a_table_that_cannot_be_audited_is_refused(changed: dict[str, object], words: str) -> None:
    arguments = {"label": "passed", "time": "at", "features": ["honest"], "cut_back": {}} | changed
    with pytest.raises(TrainingError, match=words):
        audit_table(planted(), **arguments)  # type: ignore[arg-type]


def test_what_the_beginning_does_not_know_is_said_and_texts_in_no_order_of_time_are_refused() -> None:
    table = planted().with_columns(pl.when(pl.int_range(pl.len()) % 4 == 0).then("opened_commits").alias("opened"))
    assert "commits as of the beginning (known of 25%)" in audit(
        table, "honest", "commits", cut_back={"commits": "opened"}
    )
    with pytest.raises(TrainingError, match="commits is cut back and no feature"):
        audit(table, "honest", cut_back={"commits": "opened"})
    assert audit(table.with_columns(pl.col("at").cast(str)), "honest")
    with pytest.raises(TrainingError, match="whose order is not time's"):
        audit(table.with_columns(pl.col("at").dt.strftime("%d/%m/%Y")), "honest")
