"""Feedback against what GitHub says is kept apart, shows, and makes no champion by itself."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from qc_assets.features.model_rows import model_rows
from qc_assets.learning.corrections import CONTESTED, CORRECTED, CORRECTED_BY, feedback_gates
from qc_assets.models.p0 import SPEC as P0
from qc_assets.models.resolution_time import SPEC as RESOLUTION_TIME
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse
from tests import histories


def give(warehouse: Warehouse, *words: tuple[str, int, str | None, str], model: str = "p0") -> None:
    """Feedback: what, about which item, by which key, received when."""
    rows = [
        {"feedback_id": f"f{place}", "model": model, "kind": "outcome", "repo_id": 1, "number": number, "comment_id": 0,
         "label": label, "given_by": f"invented-{place}", "given_at": f"2026-01-{place + 1:02} 00:00:00",
         "received_key": key, "received_at": f"{at} 00:00:00"}
        for place, (label, number, key, at) in enumerate(words)
    ]  # fmt: skip
    frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(
        pl.col("given_at", "received_at").str.to_datetime()
    )
    with warehouse.write() as connection:
        connection.register("given", frame.to_arrow())
        connection.execute("INSERT INTO ml.feedback BY NAME FROM given")
        connection.unregister("given")


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    """1 and 2 were merged, 3 is open; 12 is an issue that was closed after nine hours, 13 one that is not planned."""

    def opened(number: int, **changes: Any) -> dict[str, Any]:
        row = {"repo_id": 1, "number": number, "author_id": 5, "created_at": histories.hour(number)}
        return row | {"opened_title": "t", "opened_body": "", "opened_additions": 50, "opened_deletions": 0} | changes

    landed = {"closed_at": histories.hour(30), "merged_at": histories.hour(30)}
    closed = {"closed_at": histories.hour(21), "closed_by_id": 7}
    issues = [opened(12, **closed), opened(13, **closed, state_reason="not_planned"), opened(14)]
    issues = [{name: row[name] for name in row if "tions" not in name and name != "opened_body"} for row in issues]
    with warehouse.write() as connection:
        rows = [opened(1, **landed), opened(2, **landed), opened(3)]
        histories.put(connection, {"pull_requests": rows, "issues": issues})
        histories.cover(connection)
    return warehouse


def labels(warehouse: Warehouse, spec: Any = P0) -> dict[int, tuple[Any, bool, bool]]:
    table = spec.table.replace(".", "/")
    warehouse.rebuild(table, Settings(_env_file=None).feature_parameters(table.removeprefix("features/")))
    rows = model_rows(warehouse, spec, is_synthetic=False).select("number", spec.target, CORRECTED, CONTESTED)
    return {number: tuple(rest) for number, *rest in rows.iter_rows()}  # type: ignore[misc]


def test_one_key_does_not_overrule_github(filled: Warehouse) -> None:
    give(
        filled, ("failed", 1, "eve", "2026-02-01"), ("failed", 1, "eve", "2026-02-02"),
        ("failed", 2, None, "2026-02-01"),
        ("passed", 3, "eve", "2026-02-01"),
    )  # fmt: skip
    assert labels(filled) == {1: (True, False, True), 2: (True, False, True), 3: (True, True, False)}
    assert filled.query("SELECT number, passed_by FROM features.pull_requests ORDER BY number").rows() == [
        (1, "contested"), (2, "contested"), (3, "feedback"),
    ]  # fmt: skip


def test_a_second_key_confirms_and_the_first_of_two_words_counts_until_then(filled: Warehouse) -> None:
    give(
        filled, ("failed", 1, "amy", "2026-02-01"), ("failed", 1, "bob", "2026-02-02"),
        ("passed", 1, "eve", "2026-02-03"),
        ("failed", 3, "amy", "2026-02-01"), ("passed", 3, "eve", "2026-02-02"),
    )  # fmt: skip
    assert labels(filled) == {1: (False, True, True), 2: (True, False, False), 3: (False, True, True)}
    rows = model_rows(filled, P0, is_synthetic=False)
    assert rows.filter(pl.col("number") == 2)[CORRECTED_BY].item() is None


def test_a_key_that_dates_back_is_not_the_first(filled: Warehouse) -> None:
    give(filled, ("passed", 3, "eve", "2026-02-05"), ("failed", 3, "amy", "2026-02-01"))
    assert labels(filled)[3][0] is False


def test_what_ended_otherwise_is_githubs_word_too(filled: Warehouse) -> None:
    give(
        filled, ("2.5", 12, "eve", "2026-02-01"), ("2.5", 13, "eve", "2026-02-01"), ("2.5", 14, "eve", "2026-02-01"),
        model="resolution_time",
    )  # fmt: skip
    hours = labels(filled, RESOLUTION_TIME)
    assert hours[12] == (9.0, False, True) and hours[13] == (None, False, True) and hours[14] == (2.5, True, False)


def trained(corrected: list[int], contested: list[int], key: str = "eve") -> Any:
    """What gates look at: 100 rows, of which the last 40 were tested on."""
    marks = {CORRECTED: [row in corrected for row in range(100)], CONTESTED: [row in contested for row in range(100)]}
    frame = pl.DataFrame(marks | {CORRECTED_BY: [key if row in corrected else None for row in range(100)]})
    windows = {"train": np.arange(60), "test": np.arange(60, 100)}
    split = SimpleNamespace(windows=windows, test=windows["test"], calibration=np.arange(0))
    return SimpleNamespace(spec=P0, data=SimpleNamespace(frame=frame), split=split)


def gates(*arguments: Any, evaluate: Any = None) -> dict[str, Any]:
    return {gate.name: gate for gate in feedback_gates(trained(*arguments), 0.05, evaluate)}


def test_few_labels_of_a_window_may_rest_on_feedback_or_be_contradicted() -> None:
    assert all(gate.passed for gate in gates([0, 1, 2], [3, 4, 5]).values())
    many = gates([0, 1, 2, 3], [])["feedback_is_a_small_share"]
    assert many.forbids and "4 of 60 in the train window (6.7%, by eve 4)" in many.detail
    inverted = gates([], list(range(100)))
    assert inverted["feedback_is_not_disputed"].forbids and not inverted["feedback_is_a_small_share"].forbids
    told = "40 of 40 in the test window (100.0%)"
    assert told in inverted["feedback_is_not_disputed"].detail


def test_gates_look_at_what_nobody_corrected() -> None:
    seen = []

    def evaluate(mask: np.ndarray) -> Any:
        seen.append(int(mask.sum()))
        raise LookupError

    with pytest.raises(LookupError):
        gates([60], [], evaluate=evaluate)
    assert seen == [39]
    few = gates(list(range(61, 100)), [])["holds_without_feedback"]
    assert few.forbids and "1 rows of the test window are left" in few.detail
