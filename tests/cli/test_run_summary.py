"""What a run's summary says where there was too little to learn from."""

from typing import Any

from rich.text import Text

from qc_assets.assets.model_versions import NOTHING_TRAINED
from qc_assets.cli.run_summary import _all_metrics, after_run, against_baseline
from qc_assets.cli.runs import JobResult
from qc_assets.learning.task import task_of
from qc_assets.models.p0 import SPEC as P0
from qc_assets.models.resolution_time import SPEC as RESOLUTION_TIME
from qc_assets.monitoring.state_report import _metrics
from qc_assets.settings import load_settings
from qc_assets.store.warehouse import Warehouse
from tests import histories


def test_what_cannot_be_trained_or_judged_says_why_once(warehouse: Warehouse) -> None:
    with warehouse.write() as connection:
        histories.cover(connection)
        histories.put(connection, {"pull_requests": [histories.pull_request(1, 0, merged=5)]})
    warehouse.rebuild("features/pull_requests", load_settings().feature_parameters("pull_requests"))
    warehouse.rebuild("reports/funnel")
    checks = {
        "p0_model: enough_labelled_rows": (False, {"detail": "17 labelled rows, at least 50 needed"}),
        "p0_model: beats_base_rate": (False, {"detail": NOTHING_TRAINED}),
        "raw_pull_requests: no_known_gaps": (True, {}),
    }
    run = JobResult("r", {}, checks, {"raw_pull_requests": {"source": "demo (synthetic)"}})
    document, shown = after_run(warehouse, run)
    assert len(after_run(warehouse, run, with_details=True)[1]) > len(shown)
    sentences = [str(line) for line in shown if isinstance(line, str | Text)]
    assert [line for line in sentences if "check failed" in line] == [
        "check failed p0_model: enough_labelled_rows: 17 labelled rows, at least 50 needed"
    ]
    assert "1 of 3 checks passed" in sentences
    assert document["synthetic"] and any("Synthetic data" in line for line in sentences)
    reason = "14 rows with a label, at least 30 needed"
    metrics: list[dict[str, Any]] = [{"metric": name, "value": None, "reason": reason} for name in ("brier", "ece")]
    assert _all_metrics(P0, metrics) == f"p0 cannot be judged on its test window: {reason}"
    assert not isinstance(_all_metrics(P0, [*metrics, {"metric": "x", "value": 0.5, "reason": None}]), str)


def _evaluation(metric: str, value: float | None, lower: float, upper: float, baseline: float) -> dict[str, Any]:
    interval = {"lower": lower, "upper": upper} if value is not None else {"lower": None, "upper": None}
    return {"metric": metric, "value": value, "baseline": baseline, "reason": "9 rows", **interval}


def test_no_model_is_called_better_than_its_baseline_where_it_is_not() -> None:
    sure = _evaluation("log_loss", 0.4, 0.3, 0.5, 0.6)
    assert against_baseline(P0, [sure]) == "log loss 0.4 (0.3 to 0.5), baseline 0.6: better"
    assert against_baseline(P0, [_evaluation("log_loss", 0.4, 0.3, 0.7, 0.6)]).endswith("better, not surely")
    assert against_baseline(P0, [_evaluation("log_loss", 0.8, 0.5, 0.9, 0.6)]).endswith("worse, not surely")
    assert against_baseline(P0, [_evaluation("log_loss", 0.8, 0.7, 0.9, 0.6)]).endswith(": worse")
    assert against_baseline(P0, [_evaluation("log_loss", None, 0, 0, 0.6)]) == "cannot be judged: 9 rows"
    assert against_baseline(P0, []) == "nothing was trained"
    # Of answers that are right in every bin, one in five has an error surely above that of the base rate, by chance.
    chance = _evaluation("ece", 0.0847, 0.0823, 0.1642, 0.0748)
    assert against_baseline(P0, [sure, chance]).endswith(": better")
    assert task_of(P0).metrics["ece"].beside(0.0847, 0.0823, 0.1642, 0.0748) == (None, False)
    worse = _evaluation("roc_auc", 0.45, 0.4, 0.6, 0.5)
    assert against_baseline(P0, [sure, worse]).endswith("better; worse than it in ROC AUC 0.45 (baseline 0.5)")


def test_a_share_that_has_an_aim_is_worse_when_it_is_farther_from_it() -> None:
    error = _evaluation("log_mae", 1.0, 0.9, 1.1, 1.2)
    nearer = _evaluation("coverage", 0.79, 0.7, 0.9, 0.86)
    farther = _evaluation("coverage", 0.95, 0.9, 0.99, 0.81)
    assert "worse" not in against_baseline(RESOLUTION_TIME, [error, nearer])
    assert "worse than it in share within the 80 % interval 0.95" in against_baseline(RESOLUTION_TIME, [error, farther])
    for row in (nearer, farther):
        (told,) = _metrics(RESOLUTION_TIME, [row | {"version": 1}], {"version": 1})
        assert told["is_better"] is (row is nearer), "the report says what the terminal says"
        assert told["is_sure"] is (row is farther), "the baseline of the other lies within its interval"
