"""What a run's summary says where there was too little to learn from."""

from typing import Any

from rich.text import Text

from qc_assets.assets.model_versions import NOTHING_TRAINED
from qc_assets.cli.overview import _on_test_window, after_run
from qc_assets.cli.runs import JobResult
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
    sentences = [str(line) for line in shown if isinstance(line, str | Text)]
    assert [line for line in sentences if "check failed" in line] == [
        "check failed p0_model: enough_labelled_rows: 17 labelled rows, at least 50 needed"
    ]
    assert "1 of 3 checks passed" in sentences
    assert document["synthetic"] and any("Synthetic data" in line for line in sentences)
    reason = "14 rows with a label, at least 30 needed"
    metrics: list[dict[str, Any]] = [{"metric": name, "value": None, "reason": reason} for name in ("brier", "ece")]
    assert _on_test_window("p0", metrics) == f"p0 cannot be judged on its test window: {reason}"
    assert not isinstance(_on_test_window("p0", [*metrics, {"metric": "x", "value": 0.5, "reason": None}]), str)
