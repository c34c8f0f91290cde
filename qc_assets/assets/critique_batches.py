"""From review comments to critiques: batches of repositories, what is kept of their comments, and two branches."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from qc_assets.assets import tables
from qc_assets.assets.resources import WarehouseResource
from qc_assets.settings import Settings

if TYPE_CHECKING:
    from qc_assets.critique.batches import Result

GROUP = "critiques"
BATCHES = dg.DynamicPartitionsDefinition(name="critique_batches")
# The steps of a batch, each a table of the schema critique, with the check that guards it and what that promises.
STEPS = {
    "filtered": ("something_is_kept", "The filter does not reject everything."),
    "summaries": ("all_summarized", "No discussion is left without a summary (see ops.dead_letters)."),
    "diffs": ("all_changes_read", "The last change of every pull request could be read, if the source has it."),
}
# The branches on the same comments: one waits for a network, the other computes.
BRANCHES = ("critique_summaries", "critique_diffs")
CHANGED = dg.AutomationCondition.any_deps_updated() & ~dg.AutomationCondition.any_deps_in_progress()


class StepConfig(dg.Config):
    """How to do a step."""

    again: bool = Field(False, description="Do it although nothing has changed since it was done.")


def critique_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """critique_batches, critique_filtered, critique_summaries and critique_diffs."""

    @dg.multi_asset(
        name="assign_batches",
        specs=[
            tables.spec(
                "critique.batches",
                f"Repositories with review comments, {settings.batch_size} to a batch; a batch is a partition.",
                group=GROUP,
                deps=["raw.review_comments"],
            ).replace_attributes(automation_condition=CHANGED & ~dg.AutomationCondition.in_progress())
        ],
    )
    def batches(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
        from qc_assets.critique.batches import assign

        store = warehouse.open()
        names = assign(store, settings.batch_size)
        context.instance.add_dynamic_partitions(str(BATCHES.name), names)
        steps = store.sql_file("critique/log", section="steps")
        open_steps = steps.filter(steps["status"] != "done")
        return dg.MaterializeResult(
            metadata=tables.row_count(store.query("SELECT count(*) FROM critique.batches").item())
            | {
                "batches": len(names),
                "steps not done": len(open_steps),
                "the first of them": tables.preview(open_steps.head(20).to_dicts()),
            }
        )

    @_step("filtered", "Every review comment, and why it is kept or not.", "critique.batches", "ops.machine_accounts")
    def filtered(
        context: dg.AssetExecutionContext, config: StepConfig, warehouse: WarehouseResource
    ) -> Iterator[dg.MaterializeResult]:
        from qc_assets.critique.filter import REASONS, CommentFilter
        from qc_assets.critique.steps import filter_batch

        judge = CommentFilter.from_settings(settings)
        done = filter_batch(warehouse.open(), context.partition_key, judge, settings, again=config.again)
        funnel = [
            {"reason": reason, "comments": count, "meaning": REASONS.get(reason, "it may teach something")}
            for reason, count in sorted(done.counts.items(), key=lambda reason_and_count: -reason_and_count[1])
        ]
        kept_comments = done.counts.get("kept", 0)
        passed = kept_comments > 0 or not funnel
        yield _result("filtered", done, {"funnel": tables.preview(funnel)}, passed, f"{kept_comments} kept")

    @_step("summaries", "One summary of each discussion in which a comment is kept.", "critique.filtered")
    def summarized(
        context: dg.AssetExecutionContext, config: StepConfig, warehouse: WarehouseResource
    ) -> Iterator[dg.MaterializeResult]:
        from qc_assets.critique.steps import summarize_batch
        from qc_assets.critique.summarize import method

        summarizer = method(settings)
        store = warehouse.open()
        done = summarize_batch(store, context.partition_key, summarizer, settings, again=config.again)
        examples = store.sql_file("critique/summaries", {"batch": context.partition_key}, section="some")
        metadata = {"method": summarizer.version, "some of them": tables.preview(examples.to_dicts())}
        yield _result("summaries", done, metadata, *_no_failures(done))

    @_step(
        "diffs",
        "The code of each comment that is kept, and whether it was changed afterwards.",
        "critique.filtered",
    )
    def diffs(
        context: dg.AssetExecutionContext, config: StepConfig, warehouse: WarehouseResource
    ) -> Iterator[dg.MaterializeResult]:
        from qc_assets.critique.final_diffs import final_diffs
        from qc_assets.critique.steps import diffs_batch

        with final_diffs(settings) as final:
            done = diffs_batch(warehouse.open(), context.partition_key, final, settings, again=config.again)
        yield _result("diffs", done, {}, *_no_failures(done))

    return [batches, filtered, summarized, diffs]


def _step(table: str, description: str, *deps: str) -> Any:
    """A step of a batch as an asset with one check, which only warns."""
    spec = tables.spec(f"critique.{table}", description, group=GROUP, deps=deps)
    check, promise = STEPS[table]
    return dg.multi_asset(
        name=f"critique_{table}",
        specs=[spec.replace_attributes(automation_condition=CHANGED | dg.AutomationCondition.newly_missing())],
        check_specs=[dg.AssetCheckSpec(check, asset=spec.key, description=f"{promise} Only warns.")],
        partitions_def=BATCHES,
        backfill_policy=dg.BackfillPolicy.multi_run(1),
    )


def _no_failures(done: "Result") -> tuple[bool, str]:
    return not done.failures, done.error or "nothing failed"


def _result(table: str, done: "Result", metadata: Mapping[str, Any], passed: bool, detail: str) -> dg.MaterializeResult:
    check, _ = STEPS[table]
    counts = [{"what": name, "count": count} for name, count in done.counts.items()]
    return dg.MaterializeResult(
        metadata={
            "done before": done.was_done,
            **({} if "funnel" in metadata else {"counts": tables.preview(counts)}),
            **tables.row_count(done.rows),
            **{name: float(value) for name, value in done.figures.items()},
            **metadata,
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=check, passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata={"detail": detail}
            )
        ],
    )
