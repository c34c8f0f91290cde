"""Feature tables: one row an item, each feature as of the instant it was opened."""

from collections.abc import Iterator

import dagster as dg

from qc_assets.assets import tables
from qc_assets.assets.resources import WarehouseResource
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse

_RAW = ("raw.pull_requests", "raw.reviews", "raw.label_events", "raw.issues", "ops.coverage", "ml.feedback")


def feature_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """features/pull_requests, features/issues and features/comments."""
    return [
        _feature_asset(
            "pull_requests",
            "What was known about each pull request when it was opened, and how its first review ended.",
            list(_RAW),
            settings.feature_parameters("pull_requests"),
        ),
        _feature_asset(
            "issues",
            "What was known about each issue when it was opened, and when it was closed.",
            [name for name in _RAW if name != "raw.reviews"],
            settings.feature_parameters("issues"),
        ),
        _feature_asset(
            "comments",
            "Every review comment, with its category where a person gave one.",
            ["raw.review_comments", "ml.imported_labels", "ml.feedback"],
            {},
        ),
    ]


def _promises(name: str) -> dict[str, str]:
    raw = "review_comments" if name == "comments" else name
    always = {f"same_rows_as_raw_{raw}": "Every item of the raw table has exactly one row."}
    if name == "comments":
        return always | {"labels_have_an_origin": "Every category was given by a person, and it is known where."}
    return always | {"nothing_before_its_opening": "No outcome is older than the opening, and no history is negative."}


def _feature_asset(name: str, description: str, deps: list[str], parameters: dict[str, object]) -> dg.AssetsDefinition:
    table = f"features.{name}"

    @dg.multi_asset(
        name=f"features_{name}",
        specs=[tables.spec(table, description, group="features", deps=deps)],
        check_specs=[
            dg.AssetCheckSpec(check, asset=tables.key(table), description=text)
            for check, text in _promises(name).items()
        ],
    )
    def compute(warehouse: WarehouseResource) -> Iterator[dg.MaterializeResult]:
        store = warehouse.open()
        rows = store.rebuild(f"features/{name}", parameters)
        exclusions = store.sql_file(f"features/{name}", section="exclusions")
        yield dg.MaterializeResult(
            asset_key=tables.key(table),
            metadata=tables.row_count(rows) | {"left out, and why": tables.preview(exclusions.to_dicts())},
            check_results=_checks(store, name),
        )

    return compute


def _checks(store: Warehouse, name: str) -> list[dg.AssetCheckResult]:
    counts = store.sql_file(f"features/{name}", section="checks").row(0, named=True)
    same_rows, possible = _promises(name)
    return [
        dg.AssetCheckResult(
            check_name=same_rows,
            passed=counts["rows"] == counts["raw_rows"],
            metadata={"rows": counts["rows"], "rows of the raw table": counts["raw_rows"]},
        ),
        dg.AssetCheckResult(
            check_name=possible,
            passed=counts["impossible"] == 0,
            metadata={"impossible rows": counts["impossible"]},
        ),
    ]
