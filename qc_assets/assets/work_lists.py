"""Tables for people, with names: what waits, and for whom."""

from collections.abc import Iterator

import dagster as dg

from qc_assets.assets import tables
from qc_assets.assets.resources import WarehouseResource

_SHOWN = 20
_READ = ("raw.pull_requests", "raw.reviews", "raw.review_comments", "raw.issue_comments", "raw.repositories")
_COLUMNS = ("author", "waited_hours", "expected_hours", "ratio", "expectation", "next_to_act", "because")


def work_list_assets() -> list[dg.AssetsDefinition]:
    """analysis_open_pull_requests."""
    key = tables.key("analysis.open_pull_requests")

    @dg.multi_asset(
        name="analysis_open_pull_requests",
        specs=[
            tables.spec(
                "analysis.open_pull_requests",
                "Open pull requests, first those that have waited longest against expectation, and who acts next.",
                group="monitoring",
                deps=[*_READ, "ml.waits", "features.pull_requests", "ops.machine_accounts"],
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "waits_are_possible",
                asset=key,
                description="Every open pull request of a person is listed once, and none waits less than nothing.",
            )
        ],
    )
    def compute(warehouse: WarehouseResource) -> Iterator[dg.MaterializeResult]:
        store = warehouse.open()
        rows = store.rebuild("analysis/open_pull_requests")
        counts = store.sql_file("analysis/open_pull_requests", section="checks").row(0, named=True)
        first = store.query("FROM analysis.open_pull_requests WHERE position <= ? ORDER BY position", [_SHOWN])
        yield dg.MaterializeResult(
            asset_key=key,
            metadata=tables.row_count(rows)
            | {"waits longest": tables.preview(first.select("repository", "number", *_COLUMNS).to_dicts())},
            check_results=[
                dg.AssetCheckResult(
                    check_name="waits_are_possible",
                    passed=counts["impossible"] == 0 and counts["rows"] == counts["open_rows"],
                    metadata={name: int(value) for name, value in counts.items()},
                )
            ],
        )

    return [compute]
