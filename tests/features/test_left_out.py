"""What a model could not learn from is other than the rest: it is said, and nobody is paid."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from qc_assets.assets.champion_reports import _REPORTS
from qc_assets.cli.runs import run_job
from qc_assets.features.left_out import left_out, stands_for_all
from qc_assets.models.p0 import SPEC
from qc_assets.settings import Settings
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse
from tests.conftest import copy_of

_NUMBERS = (
    "repo_pass_rate", "repo_decided_recently", "repo_open_prs", "repo_verdict_share", "repo_changes_rate", "hour",
    "weekday", "review_cycles",
)  # fmt: skip


def rows(kept: list[bool], unknown: list[bool]) -> pl.DataFrame:
    """Pull requests fit for p0, and some that are but for their size."""
    count = len(kept) + len(unknown)
    reasons: list[list[str]] = [[]] * len(kept) + [["size_unknown"]] * len(unknown)
    return pl.DataFrame(
        {
            "repo_id": [1] * count,
            "number": range(count),
            "opened_at": [None] * count,
            "source": ["demo"] * count,
            "passed": kept + unknown,
            "lines_changed": [10] * len(kept) + [None] * len(unknown),
            "exclusions": reasons,
            "exclusion": [reason[0] if reason else None for reason in reasons],
        },
        schema_overrides={"opened_at": pl.Datetime("us"), "exclusions": pl.List(pl.String)},
    ).with_columns(
        *(pl.lit(0).alias(name) for name in _NUMBERS),
        opened_at=pl.datetime(2024, 1, 1),
        author_seniority=pl.lit("unknown"),
        origin_rules=pl.lit("none"),
        is_weekend=pl.lit(False),
    )


@pytest.mark.parametrize(("kept", "unknown", "stands", "words"), [
    ((70, 30), (0, 0), True, "no size is unknown"),
    ((70, 30), (7, 3), True, "10 pull requests of unknown size were left out, of which 70.0% passed, against 70.0%"),
    ((70, 30), (10, 40), False, "the share would be 16.7% lower, at most 5% is borne"),
    ((30, 70), (40, 10), False, "the share would be 16.7% higher"),
    ((17, 7), (2, 4), True, "the share would be 7.5% lower, at most 5% is borne; of so few that may be chance"),
])  # fmt: skip
def test_a_share_that_would_be_another_is_said(
    warehouse: Warehouse, kept: tuple[int, int], unknown: tuple[int, int], stands: bool, words: str
) -> None:
    passed = [[True] * yes + [False] * no for yes, no in (kept, unknown)]
    warehouse.replace("features/pull_requests", rows(*passed))
    assert left_out(warehouse, SPEC.table, SPEC.left_out)["left_out"] == sum(unknown)
    answer, sentence = stands_for_all(warehouse, SPEC)
    assert answer is stands
    assert words in sentence


@pytest.mark.slow
def test_nobody_is_paid_by_a_p0_that_learnt_from_other_pull_requests(small_home: Settings, tmp_path: Path) -> None:
    settings = copy_of(small_home, tmp_path)
    store = Warehouse.from_settings(settings)
    reports = [f"reports.{name}" for name in _REPORTS]

    def red() -> list[tuple[Any, ...]]:
        run_job(settings, "scoring", selection=reports)
        with store.read() as connection:
            query = "SELECT version FROM ml.checks WHERE promise = 'p0_learnt_from_all_kinds' AND blocks"
            (version,) = connection.execute(query).fetchall()[0]
            return connection.execute(sql_sections("ml/payouts")["red"], {"version": version}).fetchall()

    assert not [promise for promise, _ in red() if promise == "p0_learnt_from_all_kinds"]
    with store.write() as connection:  # as if the sizes of a third of those that failed had been lost
        connection.execute(
            "UPDATE features.pull_requests SET exclusion = 'size_unknown', exclusions = ['size_unknown'] "
            "WHERE exclusion IS NULL AND (NOT passed OR number % 9 = 0)"
        )
    (detail,) = [detail for promise, detail in red() if promise == "p0_learnt_from_all_kinds"]
    assert "pull requests of unknown size were left out" in detail and "lower" in detail
