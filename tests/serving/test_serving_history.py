"""The history that a server looks up is that of the training rows, bit for bit."""

from typing import Any

import polars as pl
import pytest

from qc_assets.features.contract import contract_of
from qc_assets.serving.champions import SPECS
from qc_assets.serving.knowledge import Knowledge, Reading, Tasks
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse

ITEMS = [spec for spec in SPECS.values() if spec.task != "category"]


def historical(settings: Settings, table: str) -> pl.DataFrame:
    """Items of people whose opening was seen, newest first, with names."""
    return Warehouse.from_settings(settings).query(
        f"SELECT f.*, r.name AS repo, u.login AS author FROM features.{table} AS f "
        "JOIN raw.repositories AS r USING (repo_id) JOIN raw.users AS u ON f.author_id = u.user_id "
        "WHERE NOT u.is_bot AND f.exclusion IS NULL ORDER BY f.opened_at DESC"
    )


@pytest.mark.parametrize(("table", "prior"), [
    ("pull_requests", "author_prior_prs_in_repo"), ("issues", "author_prior_issues_in_repo"),
])  # fmt: skip
def test_an_opening_knows_what_the_training_row_of_the_same_instant_knew(main_run: Any, table: str, prior: str) -> None:
    settings, _ = main_run
    store = Warehouse.from_settings(settings)
    rows = historical(settings, table)
    seen = {"pair": 0, "stranger": 0}
    strangers = pl.col(prior) == 0
    items = [spec for spec in ITEMS if spec.table == f"features.{table}"]
    for row in [*rows.filter(strangers)[:200:100].to_dicts(), *rows.filter(~strangers)[:200:100].to_dicts()]:
        knowledge = Knowledge.of(Reading.of(store, settings, items, row["opened_at"]))
        known = knowledge.history(table, row["repo"].upper(), row["author"], origin=row.get("origin"))
        for name in contract_of(table).history:
            assert known[name] == row[name], (name, row["repo"], row["author"])
        seen["stranger" if row[prior] == 0 else "pair"] += 1
    assert min(seen.values()) > 0, "both kinds were looked at"


def test_strangers_have_no_history_and_repositories_keep_theirs(main_run: Any) -> None:
    settings, _ = main_run
    row = historical(settings, "pull_requests").row(0, named=True)
    knowledge = Knowledge.of(Reading.of(Warehouse.from_settings(settings), settings, ITEMS, row["opened_at"]))
    nobody = knowledge.history("pull_requests", row["repo"], "nobody-knows-me")
    assert nobody["repo_pass_rate"] == row["repo_pass_rate"]
    assert nobody["author_prior_prs"] == 0 and nobody["author_is_newcomer"]
    assert nobody["author_pass_rate"] == nobody["repo_pass_rate"], "shrunk all the way"
    nowhere = knowledge.history("pull_requests", "no/where", row["author"])
    assert nowhere["author_prior_prs"] == row["author_prior_prs"] and nowhere["repo_pass_rate"] == 0.5
    assert knowledge.history("pull_requests", None, None)["author_prior_prs"] == 0


def test_nobody_has_a_history_after_the_end_of_the_data(main_run: Any) -> None:
    settings, _ = main_run
    store = Warehouse.from_settings(settings)
    knowledge = Knowledge.of(Reading.of(store, settings, ITEMS))
    assert knowledge.as_of == store.query("SELECT max(covered_until) FROM ops.coverage").item()
    assert knowledge.history("pull_requests", "acme/atlas", None)["repo_decided_recently"] > 0


def test_items_are_found_by_repository_and_number() -> None:
    tasks = Tasks.of(pl.DataFrame({"repo_id": [-3, 5, 5, 9], "number": [7, 1, 4, 4], "x": [1, 2, 3, 4]}))
    assert [tasks.row(*key)["x"] for key in ((-3, 7), (5, 1), (5, 4), (9, 4))] == [1, 2, 3, 4]  # type: ignore[index]
    assert [tasks.row(*key) for key in ((5, 2), (5, 9), (9, 1), (4, 4), (-3, 8))] == [None] * 5
    assert Tasks.of(tasks.rows.head(0)).row(5, 1) is None
