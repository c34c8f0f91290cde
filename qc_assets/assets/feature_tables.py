"""Feature tables: one row an item, each feature as of the instant it was opened."""

from collections.abc import Iterator, Mapping

import dagster as dg

from qc_assets import pages
from qc_assets.assets import tables
from qc_assets.assets.resources import WarehouseResource
from qc_assets.clock import now_utc
from qc_assets.features.left_out import MOST_MOVED, left_out
from qc_assets.features.rebuilding import rebuild_features
from qc_assets.settings import Settings
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse

_RAW = (
    "raw.pull_requests", "raw.reviews", "raw.label_events", "raw.issues", "raw.issue_comments", "ops.coverage",
    "ops.machine_accounts", "ml.feedback",
)  # fmt: skip


def record_origin_rules(store: Warehouse, parameters: Mapping[str, object]) -> None:
    """Keep the rules of origin that features were computed by, each version once."""
    told = {name: parameters[name] for name in ("origin_version", "origin_rules")}
    with store.write() as connection:
        connection.execute(sql_sections("ops/origin_rules")["record"], told | {"now": now_utc()})


def feature_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """features_pull_requests, features_issues and features_comments."""
    return [
        _feature_asset(
            "pull_requests",
            "What was known about each pull request when it was opened, and how its first review ended.",
            [*_RAW, "raw.files", "raw.review_comments", "raw.review_requests", "ml.deliveries"],
            settings,
        ),
        _feature_asset(
            "issues",
            "What was known about each issue when it was opened, and when it was closed.",
            [*_RAW, "ml.closings"],
            settings,
        ),
        _feature_asset(
            "comments",
            "Every review comment, with its category where a person gave one.",
            ["raw.review_comments", "ops.machine_accounts", "ml.imported_labels", "ml.feedback"],
            settings,
        ),
    ]


def _promises(name: str) -> dict[str, str]:
    raw = "review_comments" if name == "comments" else name
    always = {f"same_rows_as_raw_{raw}": "Every item of the raw table has exactly one row."}
    if name == "comments":
        return always | {"labels_have_an_origin": "Every category was given by a person, and it is known where."}
    always |= {
        "nothing_before_its_opening": "No outcome is older than the opening, and no history is negative.",
        "open_ones_are_there": "Most items are not of repositories with a hundred or more of which none is open, as in "
        "a history of closed ones only: such a history does not know what takes longest, or never ends. Only warns.",
    }
    if name == "issues":
        return always
    return always | {
        "approvals_land": "In no repository do many approved pull requests end as closed without having landed.",
        "unknown_sizes_are_few": "Leaving out unknown sizes moves the share that passed by at most "
        f"{MOST_MOVED:.0%}; yellow if it is more.",
    }


def _feature_asset(name: str, description: str, deps: list[str], settings: Settings) -> dg.AssetsDefinition:
    parameters = settings.feature_parameters(name)
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
        rows = rebuild_features(store, f"features/{name}", parameters, settings)
        if "origin_version" in parameters:
            record_origin_rules(store, parameters)
        exclusions = store.sql_file(f"features/{name}", section="exclusions")
        yield dg.MaterializeResult(
            asset_key=tables.key(table),
            metadata=tables.row_count(rows)
            | {"left out, and why": tables.preview(exclusions.to_dicts())}
            | _came_from(name),
            check_results=_checks(store, name),
        )

    return compute


def _came_from(name: str) -> dict[str, dg.TableColumnLineage | dg.MarkdownMetadataValue | str]:
    """Where the columns come from: for Dagster+, which draws it, and in words, as Dagster itself does not."""
    from qc_assets.features.lineage import column_lineage, sources_in_words
    from qc_assets.features.sql_names import LineageError

    try:
        lineage = column_lineage(f"features/{name}")
    except LineageError as error:  # a table is as good without
        return {"where columns come from": f"unknown: {error}"}
    dependencies = {
        column: [dg.TableColumnDep(tables.key(table), source) for table, source in sorted(sources)]
        for column, sources in lineage.items()
    }
    told = ((column, sources_in_words(sources)) for column, sources in lineage.items())
    return {
        "dagster/column_lineage": dg.TableColumnLineage(dependencies),
        "where columns come from": dg.MetadataValue.md(pages.markdown_table(("column", "from"), told)),
    }


def _checks(store: Warehouse, name: str) -> list[dg.AssetCheckResult]:
    counts = store.sql_file(f"features/{name}", section="checks").row(0, named=True)
    same_rows, possible = list(_promises(name))[:2]
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
        *([] if name == "comments" else [_open_ones_are_there(store, name)]),
        *([_approvals_land(store), _unknown_sizes_are_few(store)] if name == "pull_requests" else []),
    ]


def _open_ones_are_there(store: Warehouse, name: str) -> dg.AssetCheckResult:
    judged = store.sql_file(f"features/{name}", section="open_by_repository")
    closed_only = judged.filter(judged["still_open"] == 0)
    named = [f"{row['repo']}: {row['items']:,}" for row in closed_only.head(10).to_dicts()]
    more = len(closed_only) - len(named)
    return dg.AssetCheckResult(
        check_name="open_ones_are_there",
        passed=2 * closed_only["items"].sum() <= judged["items"].sum(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "none of these is open": "; ".join(named) + (f"; and {more} more" if more else "") or "in no repository",
        },
    )


def _approvals_land(store: Warehouse) -> dg.AssetCheckResult:
    striking = store.sql_file("features/pull_requests", section="approvals_that_close").to_dicts()
    named = [f"{row['repo']}: {row['not_landed']} of {row['approved_and_closed']}" for row in striking]
    return dg.AssetCheckResult(
        check_name="approvals_land",
        passed=not striking,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"approved, and closed without having landed": "; ".join(named) or "no more than usual"},
    )


def _unknown_sizes_are_few(store: Warehouse) -> dg.AssetCheckResult:
    unknown = left_out(store, "features.pull_requests", "unknown_sizes")
    return dg.AssetCheckResult(
        check_name="unknown_sizes_are_few",
        passed=abs(unknown["moved"]) <= MOST_MOVED,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "left out, size unknown": unknown["left_out"],
            "share of these that passed": unknown["left_out_passed"],
            "share of those trained on that passed": unknown["kept_passed"],
            "moves the share by": unknown["moved"],
            "repositories where size decides nothing": unknown["undecided_repositories"],
        },
    )
