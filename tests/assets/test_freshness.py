"""What is late, and where nothing can be."""

from datetime import date
from typing import Any

from qc_assets.assets import tables
from qc_assets.definitions import build_definitions


def test_what_days_still_come_for_is_late_after_a_while_and_nothing_else(make_settings: Any) -> None:
    live = make_settings(source="github", retrain_after_days=10)
    graph = build_definitions(live).resolve_asset_graph()

    def days(name: str) -> int:
        return graph.get(tables.key(name)).freshness_policy.fail_window.to_timedelta().days

    assert [days(name) for name in ("raw.issues", "features.issues", "ml.predictions")] == [3, 3, 3]
    assert [days(name) for name in ("models.p0", "models.p0.bias_by_repo")] == [20, 20], "twice the age of a retraining"
    for ended in (make_settings(), make_settings(source="github", end_date=date(2024, 5, 1))):
        graph = build_definitions(ended).resolve_asset_graph()
        assert {graph.get(key).freshness_policy for key in graph.get_all_asset_keys()} == {None}
