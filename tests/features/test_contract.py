"""What a column belongs to is declared once; whatever a model trains on can be asked about."""

from typing import Any

import pytest

from qc_assets.errors import QcError
from qc_assets.features import contract
from qc_assets.features.contract import FEATURE_OWNERS, Owner, contract_of
from qc_assets.learning.spec import ModelSpec
from qc_assets.models.specs import SPECS
from qc_assets.store.schema import columns, sql_sections
from qc_assets.store.warehouse import Warehouse

FEATURES = [(spec, name) for spec in SPECS for name in spec.features]


@pytest.mark.parametrize("table", ["pull_requests", "issues", "comments"])
def test_every_column_says_what_it_belongs_to(table: str) -> None:
    known = contract_of(table)
    assert list(known.columns) == [name for name, _, _ in columns(f"features.{table}")]
    assert all(column.comment for column in known.columns.values())
    assert known.names(Owner.TIME) == ("opened_at",) and "exclusion" in known.names(Owner.LABEL)


@pytest.mark.parametrize(("spec", "name"), FEATURES, ids=[f"{spec.name}-{name}" for spec, name in FEATURES])
def test_what_a_model_trains_on_can_be_asked_about(spec: ModelSpec, name: str) -> None:
    """It is looked up by author and repository, or a caller may say it, or it follows from what a caller may say."""
    known = contract_of(spec.table.removeprefix("features."))
    column = known.columns[name]
    assert column.owner in FEATURE_OWNERS
    assert name in known.history or {*(column.formula.inputs if column.formula else [name])} <= {*known.askable}


def test_formulas_are_those_of_the_macros() -> None:
    known = contract_of("pull_requests")
    row: dict[str, Any] = {"lines_changed": 120, "weekday": 5}
    known.complete(row, Owner.ITEM)
    assert row == {
        "lines_changed": 120,
        "weekday": 5,
        "log_lines": pytest.approx(4.795790545596741),
        "is_weekend": True,
    }
    unknown: dict[str, Any] = {"lines_changed": None, "log_lines": 3.0}
    known.complete(unknown, Owner.ITEM)
    assert unknown["log_lines"] == 3.0, "what is known stays if nobody says what it follows from"
    shrunk = known.columns["author_pass_rate"].formula
    assert shrunk is not None
    assert shrunk({"author_prior_passed": 4, "author_prior_decided": 4, "repo_pass_rate": 0.5}) == 0.75


@pytest.mark.parametrize("table", ["pull_requests", "issues"])
def test_formulas_give_what_the_rows_have_to_the_last_bit(main_run: Any, table: str) -> None:
    rows = Warehouse.from_settings(main_run[0]).query(f"FROM features.{table}")
    formulas = {name: column.formula for name, column in contract_of(table).columns.items() if column.formula}
    assert "is_weekend" in formulas
    for name, formula in formulas.items():
        assert [formula(row) for row in rows.iter_rows(named=True)] == rows[name].to_list(), name


@pytest.mark.parametrize(("line", "error"), [
    ("commits BIGINT,", "does not say what commits belongs to"),
    ("commits BIGINT, -- of: somebody", "does not say what commits belongs to"),
    ("commits BIGINT, -- of: item = log_sizes(lines_changed)", "no macro log_sizes of 1 parameters"),
    ("commits BIGINT, -- of: item = log_size(lines)", "cannot read lines"),
    ("commits BIGINT, -- of: item = log_size(passed)", "cannot read passed"),
    ("commits BIGINT, -- of: author = log_size(lines_changed)", "of author, cannot read lines_changed"),
    ("commits BIGINT, -- of: item = commit_prefix(lines_changed)", "serving computes"),
])  # fmt: skip
def test_a_column_that_cannot_be_served_is_refused(monkeypatch: pytest.MonkeyPatch, line: str, error: str) -> None:
    sections = dict(sql_sections("features/pull_requests"))
    assert "commits BIGINT, -- of: item" in sections["table"]
    changed = sections | {"table": sections["table"].replace("commits BIGINT, -- of: item", line)}
    real = sql_sections
    monkeypatch.setattr(contract, "sql_sections", lambda name: changed if name.startswith("features") else real(name))
    with pytest.raises(QcError, match=error):
        contract_of.__wrapped__("pull_requests")
