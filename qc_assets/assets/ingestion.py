"""Raw facts, a day at a time, and for which time they are whole."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl
from pydantic import Field

from qc_assets import progress
from qc_assets.assets import tables
from qc_assets.assets.partitions import NOT_WHOLE, daily_partitions
from qc_assets.assets.resources import WarehouseResource
from qc_assets.forges import qualified
from qc_assets.settings import Settings
from qc_assets.store.forge_records import reads_made_up
from qc_assets.store.schema import RAW_TABLES, declared

if TYPE_CHECKING:
    from qc_assets.sources.loading import LoadReport

POOL = "warehouse"
_CHECKED = tables.key("raw.pull_requests")


class IngestConfig(dg.Config):
    """How to load the selected days."""

    refresh: bool = Field(False, description="Fetch days again that the checkpoint says are done.")


def ingest_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The raw tables as one multi-asset that can be subset, then coverage, and which accounts are programs."""

    @dg.multi_asset(
        name="raw_tables",
        specs=[
            tables.spec(
                f"raw.{table}", declared(f"raw.{table}").comment, group="ingest", kinds={"duckdb", settings.source}
            )
            for table in RAW_TABLES
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "few_bad_lines",
                asset=_CHECKED,
                description=f"At most {settings.max_bad_line_share:.0%} of each day's lines of input are unreadable.",
            ),
            dg.AssetCheckSpec(
                "no_known_gaps", asset=_CHECKED, description="No part of the days is known to be missing."
            ),
        ],
        partitions_def=daily_partitions(settings),
        backfill_policy=dg.BackfillPolicy.multi_run(settings.max_partitions_per_run),
        can_subset=True,
        pool=POOL,
    )
    def raw_tables(
        context: dg.AssetExecutionContext, config: IngestConfig, warehouse: WarehouseResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        # Imported here: the sources' libraries are not needed to show the graph.
        from qc_assets.sources.loading import load
        from qc_assets.sources.registry import open_source
        from qc_assets.sources.source import KeptUp

        days = [date.fromisoformat(day) for day in context.partition_keys]
        chosen = [table for table in RAW_TABLES if tables.key(f"raw.{table}") in context.selected_asset_keys]
        store = warehouse.open()
        source = open_source(settings)
        repos = settings.repos
        if isinstance(source, KeptUp) and not repos:
            repos = source.selected(store)
        report = load(
            store,
            source,
            days,
            repos=repos,
            tables=chosen,
            refresh=config.refresh,
            progress=progress.logged(context.log.info),
        )
        for problem in report.problems:
            context.log.warning(problem)
        context.log.info(f"{len(report.loaded)} days loaded, {len(report.skipped)} were done before")
        cost = _cost(report) if settings.traits.states else {}
        if cost:
            context.log.info(", ".join(f"{name}: {value}" for name, value in cost.items()))
        counts = store.query("SELECT " + ", ".join(f"(SELECT count(*) FROM raw.{t}) AS {t}" for t in chosen))
        named = [qualified(settings.forge, name) for name in (*repos, *("*" if repos else ""))]
        log = store.sql_file(
            "ops/ingest_log", {"source": settings.source, "days": days, "repos": named}, section="days"
        )
        gaps = _gaps(log, days)
        for table in chosen:
            yield dg.MaterializeResult(
                asset_key=tables.key(f"raw.{table}"),
                metadata=tables.row_count(counts[table].item())
                | {
                    "observations loaded": report.rows.get(table, 0),
                    "days loaded": len(report.loaded),
                    "days done before": len(report.skipped),
                    "dead letters": report.dead_letters,
                    **cost,
                    **gaps,
                    "source": settings.source + (" (synthetic)" if reads_made_up(store, settings) else ""),
                },
            )
        for check in context.selected_asset_check_keys:
            yield _few_bad_lines(log, settings) if check.name == "few_bad_lines" else _no_known_gaps(log)

    @dg.asset(
        key=tables.key("ops.coverage"),
        group_name=tables.group_name("ingest"),
        owners=tables.OWNERS,
        kinds={"duckdb", "sql"},
        deps=[tables.key(f"raw.{table}") for table in RAW_TABLES],
        description="For which time each repository's history is whole. Models train on nothing else.",
        metadata={
            "dagster/column_schema": tables.column_schema("ops.coverage"),
            "dagster/table_name": "ops.coverage",
        },
        check_specs=[
            dg.AssetCheckSpec(
                "some_repository_is_covered",
                asset=tables.key("ops.coverage"),
                description="There is at least one repository that models may train on.",
            )
        ],
    )
    def coverage(warehouse: WarehouseResource) -> Iterator[dg.MaterializeResult]:
        store = warehouse.open()
        rows = store.rebuild("ops/coverage", {"min_archive_completeness": settings.min_archive_completeness})
        summary = store.sql_file("ops/coverage", section="summary")
        covered = int(summary["covered"].sum())
        yield dg.MaterializeResult(
            metadata=tables.row_count(rows) | {"by source": tables.preview(summary.to_dicts())},
            check_results=[
                dg.AssetCheckResult(
                    check_name="some_repository_is_covered",
                    passed=covered > 0,
                    metadata={"covered repositories": covered, "repositories": rows},
                )
            ],
        )

    @dg.asset(
        key=tables.key("ops.machine_accounts"),
        group_name=tables.group_name("ingest"),
        owners=tables.OWNERS,
        kinds={"duckdb", "sql"},
        deps=[tables.key(f"raw.{table}") for table in ("users", "reviews", "review_comments", "issue_comments")],
        description="Accounts of type User that are programs all the same: their reviews and comments decide nothing.",
        metadata={
            "dagster/column_schema": tables.column_schema("ops.machine_accounts"),
            "dagster/table_name": "ops.machine_accounts",
        },
    )
    def machine_accounts(warehouse: WarehouseResource) -> dg.MaterializeResult:
        store = warehouse.open()
        rows = store.rebuild("ops/machine_accounts", settings.machine_parameters)
        accounts = store.query("SELECT login, evidence, texts, share FROM ops.machine_accounts ORDER BY texts DESC")
        return dg.MaterializeResult(metadata=tables.row_count(rows) | {"accounts": tables.preview(accounts.to_dicts())})

    return [raw_tables, coverage, machine_accounts]


def _gaps(log: pl.DataFrame, days: Sequence[date]) -> dict[str, Any]:
    """Days that are not whole: what is yielded with this does not materialize their partitions (event_log.py)."""
    done = set(log.filter(status="done")["partition_date"]) - set(
        log.filter(pl.col("status") != "done")["partition_date"]
    )
    nothing = set(days) - set(log.filter(pl.col("status") != "failed")["partition_date"])
    gaps = [day.isoformat() for day in sorted(set(days) - done)]
    return {NOT_WHOLE: dg.MetadataValue.json(gaps), "days of which nothing came": len(nothing)} if gaps else {}


def _cost(report: "LoadReport") -> dict[str, int | float | str]:
    """What a load by repository cost, and how much of it succeeded."""
    repositories = len(report.repos | report.failed_repos)
    return {
        "repositories read": f"{len(report.repos - report.failed_repos)} of {repositories}",
        "API requests": report.requests,
        "API points": report.points,
        "seconds waiting for limits": round(report.waited_s),
    }


def _few_bad_lines(log: pl.DataFrame, settings: Settings) -> dg.AssetCheckResult:
    over = [
        row for row in log.to_dicts() if row["lines"] and row["bad_lines"] / row["lines"] > settings.max_bad_line_share
    ]
    return dg.AssetCheckResult(
        check_name="few_bad_lines",
        asset_key=_CHECKED,
        passed=not over,
        metadata={
            "lines": int(log["lines"].sum()),
            "bad lines": int(log["bad_lines"].sum()),
            "days over the limit": ", ".join(str(row["partition_date"]) for row in over) or "none",
            "look at": "SELECT * FROM ops.dead_letters",
        },
    )


def _no_known_gaps(log: pl.DataFrame) -> dg.AssetCheckResult:
    gaps = [row["error"] or f"{row['partition_date']} failed" for row in log.to_dicts() if row["status"] != "done"]
    return dg.AssetCheckResult(
        check_name="no_known_gaps",
        asset_key=_CHECKED,
        passed=not gaps,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"gaps": "; ".join(gaps[:5]) or "none", "days with gaps": len(gaps)},
    )
