"""The API's loop as assets: its journal comes in, payouts are computed again, champions and predictions go out."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from qc_assets.assets import tables
from qc_assets.assets.bias_reports import bias_reports_of
from qc_assets.assets.partitions import NOTHING_MADE
from qc_assets.assets.resources import RegistryResource, WarehouseResource
from qc_assets.models.specs import SPECS
from qc_assets.settings import Settings

if TYPE_CHECKING:
    import polars as pl

_JOURNAL = {
    "ml.feedback": "What people said the right answer is, by `POST /feedback`: the only human ground truth.",
    "ml.outcomes": "What GitHub's webhook said of pull requests that were predicted.",
    "ml.closings": "What GitHub's webhook said of issues when they were closed.",
    "ml.deliveries": "What GitHub's webhook showed of pull requests: each opening as it was when it happened.",
    "ml.payouts": "Every payout that was asked for, with all that it was computed from.",
    "ml.appeals": "Appeals against payouts, and how people settled them.",
    "ops.journal_imports": "How far the API's journals are in the warehouse; what they predicted is in ml.predictions.",
}
PAYOUTS, PATTERNS = tables.key("reports.payouts"), tables.key("reports.payout_patterns")
_REPORTS = {
    "reports.payouts": (
        "Payouts and refusals, each computed once more in SQL, with what became of the pull request.",
        ["ml.payouts", "ml.appeals", "ml.outcomes", "features.pull_requests"],
    ),
    "reports.appeals": ("Appeals against payouts, and what came of them.", ["ml.appeals", "ml.payouts"]),
    "reports.payout_patterns": (
        "What gaming of payouts would look like: many small tasks, probing, claims that flip buckets, split changes.",
        ["ml.payouts", "ml.predictions", "features.pull_requests"],
    ),
}
# What the page about everything shows that runs compute; promises it asks itself, as it is wanted most when one broke.
_IN_THE_PAGE = (
    "funnel", "weekly_activity", "calibration", "monitoring", "live_reliability", "drift", "payouts", "payout_patterns"
)  # fmt: skip
PAYOUT_REPORTS = [tables.key(name) for name in _REPORTS]


def journal_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """What the API wrote down: ml_feedback, ml_payouts and the other tables of its journal."""

    @dg.multi_asset(
        name="journal",
        specs=[
            tables.spec(table, text, group="features", kinds={"duckdb"}, deps=["raw.repositories"])
            for table, text in _JOURNAL.items()
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "nothing_was_lost",
                asset=tables.key("ops.journal_imports"),
                description="No crash of the API lost predictions before they were written. Only warns.",
            ),
            dg.AssetCheckSpec(
                "all_feedback_counts",
                asset=tables.key("ml.feedback"),
                description="No key gave more labels in a day than QC_FEEDBACK_PER_DAY, and none whose feedback is "
                "here is distrusted (`qc keys`). Red says what is kept and counts for nothing. Only warns.",
            ),
        ],
    )
    def journal(warehouse: WarehouseResource) -> Iterator[dg.MaterializeResult]:
        from qc_assets.serving.importing import bring_in_all

        store = warehouse.open()
        new = bring_in_all(
            store,
            settings.journals,
            keep_days=settings.journal_days,
            forge=settings.forge,
            feedback_per_day=settings.feedback_per_day,
            beside=settings.journal_file,
        )
        givers = store.sql_file("ml/feedback", section="givers")
        aside = givers.filter((givers["over_daily_limit"] > 0) | (givers["distrusted"] > 0))
        totals = store.sql_file("ops/journal_imports", section="totals").row(0, named=True)
        for table in _JOURNAL:
            if table != "ops.journal_imports":
                name = table.removeprefix("ml.")
                counts: dict[str, Any] = tables.row_count(totals[name]) | {"new": getattr(new, name)}
                checks = []
                if table == "ml.feedback":
                    counts |= {"by key": tables.preview(givers.head(50).to_dicts())}
                    checks = [_all_counts(aside)]
                yield dg.MaterializeResult(asset_key=tables.key(table), metadata=counts, check_results=checks)
        key = tables.key("ops.journal_imports")
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={"new predictions": new.predictions, "served predictions": totals["served"], "lost": new.lost},
            check_results=[
                dg.AssetCheckResult(
                    asset_key=key,
                    check_name="nothing_was_lost",
                    passed=new.lost == 0 and not new.doubts,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"detail": "; ".join([f"{new.lost} predictions were lost by crashes", *new.doubts])},
                )
            ],
        )

    return [journal]


def _all_counts(aside: "pl.DataFrame") -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=tables.key("ml.feedback"),
        check_name="all_feedback_counts",
        passed=aside.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"kept, and counts for nothing": tables.preview(aside.head(50).to_dicts())},
    )


def serving_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Reports of payouts and appeals, and exports_champions with exports_predictions and exports_report."""
    champions, predictions, report = (tables.key(f"exports.{name}") for name in ("champions", "predictions", "report"))
    models = [tables.key(f"models.{spec.name}") for spec in SPECS]

    @dg.multi_asset(
        name="report_payouts",
        specs=[tables.spec(name, text, group="reports", deps=deps) for name, (text, deps) in _REPORTS.items()],
        check_specs=[
            dg.AssetCheckSpec(
                "payouts_add_up", asset=PAYOUTS, description="beta × p0 × V by SQL is what was paid, to the cent."
            ),
            dg.AssetCheckSpec(
                "no_payout_patterns",
                asset=PATTERNS,
                description="Nothing looks as gaming would: see pattern. A person should look. Only warns.",
            ),
        ],
    )
    def payouts(warehouse: WarehouseResource) -> Iterator[dg.MaterializeResult]:
        store = warehouse.open()
        rows = {name: store.rebuild(name.replace(".", "/")) for name in _REPORTS}
        frame = store.query("FROM reports.payouts ORDER BY asked_at, entry")
        wrong = frame.filter(~frame["adds_up"])
        appeals = store.query("FROM reports.appeals ORDER BY told_at DESC LIMIT 20")
        patterns = store.query("FROM reports.payout_patterns ORDER BY pattern, worker_id, subject")
        yield dg.MaterializeResult(
            asset_key=PAYOUTS,
            metadata=tables.row_count(rows["reports.payouts"]) | {"rows": tables.preview(frame.tail(20).to_dicts())},
            check_results=[
                dg.AssetCheckResult(
                    asset_key=PAYOUTS,
                    check_name="payouts_add_up",
                    passed=wrong.is_empty(),
                    metadata={"wrong": tables.preview(wrong.head(20).to_dicts())},
                )
            ],
        )
        yield dg.MaterializeResult(
            asset_key=tables.key("reports.appeals"),
            metadata=tables.row_count(rows["reports.appeals"]) | {"rows": tables.preview(appeals.to_dicts())},
        )
        yield dg.MaterializeResult(
            asset_key=PATTERNS,
            metadata=tables.row_count(rows["reports.payout_patterns"]),
            check_results=[
                dg.AssetCheckResult(
                    asset_key=PATTERNS,
                    check_name="no_payout_patterns",
                    passed=patterns.is_empty(),
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"patterns": tables.preview(patterns.head(20).to_dicts())},
                )
            ],
        )

    @dg.multi_asset(
        name="exports",
        specs=[
            dg.AssetSpec(
                champions,
                description="Every champion as verifiable files in QC_EXPORT_URL: MODEL/latest_model.json and history.",
                group_name=tables.group_name("exports"),
                owners=tables.OWNERS,
                kinds={"file"},
                deps=models,
            ),
            dg.AssetSpec(
                predictions,
                description="ml.predictions as Parquet, a file a model, in the same place.",
                group_name=tables.group_name("exports"),
                owners=tables.OWNERS,
                kinds={"parquet"},
                deps=[tables.key("ml.predictions")],
            ),
        ],
    )
    def exports(warehouse: WarehouseResource, registry: RegistryResource) -> Iterator[dg.MaterializeResult]:
        from qc_assets.registry.export_place import Place
        from qc_assets.serving import publish

        place = Place.from_settings(settings)
        counts = publish.predictions(place, warehouse.open())
        yield dg.MaterializeResult(asset_key=predictions, metadata={"place": place.url, "rows": tables.preview(counts)})
        exported = publish.champions(place, warehouse.open(), registry.open())
        yield dg.MaterializeResult(
            asset_key=champions,
            metadata={
                "place": place.url,
                "champions": tables.preview(exported),
                **({} if exported else {NOTHING_MADE: "no model has a champion"}),
            },
        )

    @dg.multi_asset(
        name="export_report",
        specs=[
            dg.AssetSpec(
                report,
                description="The state of everything as one page, report.html in QC_EXPORT_URL: `qc report`, /report.",
                group_name=tables.group_name("exports"),
                owners=tables.OWNERS,
                kinds={"html"},
                deps=[
                    *(tables.key(f"reports.{name}") for name in _IN_THE_PAGE),
                    *(tables.key(name) for spec in SPECS for name in bias_reports_of(spec)),
                ],
            )
        ],
    )
    def page(warehouse: WarehouseResource) -> Iterator[dg.MaterializeResult]:
        from qc_assets.monitoring.state_report import state_report
        from qc_assets.registry.export_place import Place

        place = Place.from_settings(settings)
        written = state_report(warehouse.open()).encode()
        place.write("report.html", written)
        yield dg.MaterializeResult(
            asset_key=report,
            metadata={
                "file": f"{place.url}/report.html",
                "bytes": len(written),
                "page": tables.link("report", "/report"),  # behind the gate that this page is behind
            },
        )

    return [payouts, exports, page]
