"""Raw facts, a day at a time, and for which time they are whole."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl
from pydantic import Field

from qc_assets import progress
from qc_assets.assets import tables
from qc_assets.assets.partitions import NOT_WHOLE, daily_partitions, in_ranges
from qc_assets.assets.resources import WarehouseResource
from qc_assets.assets.rule_checks import KEYS_ARE_UNIQUE, examine_rules, rule_checks
from qc_assets.forges import qualified
from qc_assets.settings import Settings
from qc_assets.store.forge_records import reads_made_up
from qc_assets.store.schema import RAW_TABLES, declared
from qc_assets.store.warehouse import Warehouse

if TYPE_CHECKING:
    from qc_assets.sources.loading import LoadReport

POOL = "warehouse"
# Metadata of a load, which `qc backfill` reads.
ROWS_OF_ALL_DAYS = "rows of all days"
NOTHING_CAME = "days of which nothing came"
TOO_MANY_BAD_LINES = "days with too many bad lines"
_REASONS, _REASON_CHARACTERS = 5, 1000
_CHECKED = tables.key("raw.pull_requests")


class IngestConfig(dg.Config):
    """How to load the selected days."""

    skip_done: bool = Field(False, description="Leave days alone that are done, as `qc backfill` does.")
    refresh: bool = Field(
        False, description="Ask the source anew for days that are done, even if their input is what it was."
    )


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
                description=f"At most {settings.max_bad_line_share:.0%} of each day's lines of input are unreadable, "
                "of all days that were ever loaded.",
            ),
            dg.AssetCheckSpec(
                "no_known_gaps",
                asset=_CHECKED,
                description="No part of any day that was ever loaded is known to be missing. Only warns.",
            ),
            *rule_checks(settings),
        ],
        partitions_def=daily_partitions(settings),
        backfill_policy=dg.BackfillPolicy.multi_run(settings.max_partitions_per_run),
        can_subset=True,
        pool=POOL,
    )
    def raw_tables(
        context: dg.AssetExecutionContext, config: IngestConfig, warehouse: WarehouseResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        # Imported here: what they need takes long to import, and is not needed to show the graph.
        from qc_assets.assets.event_log import add_rows_of_partitions
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
            # A source of states tells nothing of what has changed since; any other is asked by `days_done`.
            refresh=config.refresh or (settings.traits.states and not config.skip_done),
            progress=progress.logged(context.log.info),
        )
        for problem in report.problems:
            context.log.warning(problem)
        told = _what_was_done(report, config)
        context.log.info(told)
        cost = _cost(report) if settings.traits.states else {}
        if cost:
            context.log.info(", ".join(f"{name}: {value}" for name, value in cost.items()))
        named = [qualified(settings.forge, name) for name in (*repos, *("*" if repos else ""))]
        about = {"source": settings.source, "repos": named}
        with store.at_one_time() as loaded:
            counts = loaded.query("SELECT " + ", ".join(f"(SELECT count(*) FROM raw.{t}) AS {t}" for t in chosen))
            log = loaded.sql_file("ops/ingest_log", about | {"days": days}, section="days")
            every_day = loaded.sql_file("ops/ingest_log", about | {"days": None}, section="days")
            of_day = _rows_of_days(loaded, chosen, settings.source, days)
            source_shown = settings.source + (" (synthetic)" if reads_made_up(loaded, settings) else "")
        checks = context.selected_asset_check_keys
        yield from examine_rules(store, [check.asset_key for check in checks if check.name == KEYS_ARE_UNIQUE])
        for check in checks:
            if check.name == "few_bad_lines":
                yield _few_bad_lines(every_day, settings)
            elif check.name == "no_known_gaps":
                yield _no_known_gaps(every_day)
        nothing = _nothing_came(log, days)
        if len(nothing) == len(days):
            reasons = "; ".join(filter(None, log["error"].to_list())) or "ops.ingest_log has nothing of these days"
            raise dg.Failure(f"nothing was loaded: {reasons[:_REASON_CHARACTERS]}", allow_retries=False)
        gaps = _gaps(log, days)
        add_rows_of_partitions(
            context,
            {
                tables.key(f"raw.{table}"): {day.isoformat(): by_day.get(day, 0) for day in days}
                for table, by_day in of_day.items()
            },
        )
        for table in chosen:
            yield dg.MaterializeResult(
                asset_key=tables.key(f"raw.{table}"),
                metadata={
                    "what was done": told,
                    ROWS_OF_ALL_DAYS: counts[table].item(),
                    "observations loaded": report.rows.get(table, 0),
                    "days loaded": len(report.loaded),
                    "days done before": len(report.skipped),
                    "dead letters": report.dead_letters,
                    **({NOTHING_CAME: len(nothing)} if nothing else {}),
                    **({TOO_MANY_BAD_LINES: over} if (over := _over_limit(log, settings)) else {}),
                    **cost,
                    **gaps,
                    "source": source_shown,
                },
            )

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
    gaps = [day.isoformat() for day in sorted(set(days) - done)]
    return {NOT_WHOLE: dg.MetadataValue.json(gaps)} if gaps else {}


def _nothing_came(log: pl.DataFrame, days: Sequence[date]) -> set[date]:
    return set(days) - set(log.filter(pl.col("status") != "failed")["partition_date"])


def _rows_of_days(
    store: Warehouse, names: Sequence[str], source: str, days: Sequence[date]
) -> dict[str, dict[date, int]]:
    """How many items of each raw table the source showed on each day; the row of one is that of its latest day."""
    query = "SELECT partition_date, count(*) FROM observed.{} WHERE source = $source AND partition_date = ANY($days) "
    parameters: dict[str, Any] = {"source": source, "days": list(days)}
    return {name: dict(store.query(query.format(name) + "GROUP BY ALL", parameters).iter_rows()) for name in names}


def _what_was_done(report: "LoadReport", config: IngestConfig) -> str:
    told = [f"days loaded: {len(report.loaded)}"]
    if report.skipped and config.skip_done:
        told.append(f"done before, and left alone: {len(report.skipped)}")
    elif report.skipped:
        told.append(
            f"made again without reading: {len(report.skipped)}, as far as is known here their input is what it was "
            "(refresh: true asks the source anew)"
        )
    return "; ".join(told)


def _cost(report: "LoadReport") -> dict[str, int | float | str]:
    """What a load by repository cost, and how much of it succeeded."""
    repositories = len(report.repos | report.failed_repos)
    return {
        "repositories read": f"{len(report.repos - report.failed_repos)} of {repositories}",
        "API requests": report.requests,
        "API points": report.points,
        "seconds waiting for limits": round(report.waited_s),
    }


def _over_limit(log: pl.DataFrame, settings: Settings) -> str:
    """Days of which too many lines could not be read, in words; empty if there is none."""
    bad, lines = pl.col("bad_lines"), pl.col("lines")
    if settings.traits.snapshot:  # its lines are shared between its days, so that only their sums say anything
        bad, lines = bad.sum(), lines.sum()
    many = bad / lines > settings.max_bad_line_share
    return in_ranges(log.filter(pl.col("lines") > 0).filter(many)["partition_date"].to_list())


def _few_bad_lines(log: pl.DataFrame, settings: Settings) -> dg.AssetCheckResult:
    over = _over_limit(log, settings)
    return dg.AssetCheckResult(
        check_name="few_bad_lines",
        asset_key=_CHECKED,
        passed=not over,
        metadata={
            "lines": int(log["lines"].sum()),
            "bad lines": int(log["bad_lines"].sum()),
            "days over the limit": over or "none",
            "look at": "SELECT * FROM ops.dead_letters",
        },
    )


def _no_known_gaps(log: pl.DataFrame) -> dg.AssetCheckResult:
    """Of all days, not those of the last run: one good day does not mend another."""
    gaps = log.filter(pl.col("status") != "done")
    days = gaps["partition_date"].unique().to_list()
    reasons = [row["error"] or f"{row['partition_date']} failed" for row in gaps.to_dicts()]
    return dg.AssetCheckResult(
        check_name="no_known_gaps",
        asset_key=_CHECKED,
        passed=not days,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "days with gaps": len(days),
            "of days that were loaded": log["partition_date"].n_unique(),
            "which": in_ranges(days) or "none",
            "gaps": "; ".join(reasons[:_REASONS]) or "none",
            "look at": "SELECT * FROM ops.ingest_log WHERE status <> 'done'",
        },
    )
