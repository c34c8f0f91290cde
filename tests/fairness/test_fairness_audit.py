"""Bias reports of registered models: rows, pages, checks and the command line."""

import functools
import json
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from qc_assets.assets import tables
from qc_assets.assets.bias_reports import CHECK, bias_reports_of
from qc_assets.assets.model_versions import SPECS
from qc_assets.assets.partitions import days_between
from qc_assets.assets.resources import RegistryResource
from qc_assets.cli.runs import RunFailedError, open_instance, run_job
from qc_assets.definitions import build_definitions
from qc_assets.errors import FairnessError
from qc_assets.fairness import LEVELS, BiasReport, Seniority
from qc_assets.fairness.audit import audit_groups, record_audits
from qc_assets.fairness.report import audit_summary
from qc_assets.fairness.subject import Subject, load_subject, sensitive_attributes
from qc_assets.features.model_rows import model_rows
from qc_assets.learning.task import dataset_of, labelled
from qc_assets.learning.trained import Options
from qc_assets.learning.training import train
from qc_assets.models.close_in_7_days import SPEC as CLOSE_IN_7_DAYS
from qc_assets.models.p0 import SPEC as P0
from qc_assets.models.resolution_time import SPEC as RESOLUTION_TIME
from qc_assets.registry.lifecycle import bundle_of_training
from qc_assets.settings import Settings, load_settings
from qc_assets.sources.demo.source import DemoSource
from qc_assets.sources.loading import load
from qc_assets.store.warehouse import Warehouse
from tests.command_line import run_qc
from tests.conftest import SHARED


def test_every_training_leaves_a_report_for_every_model_and_attribute(main_run: Any) -> None:
    settings, result = main_run
    store = Warehouse.from_settings(settings)
    reported = set(store.query("SELECT DISTINCT model, attribute FROM reports.bias").rows())
    assert reported == {(spec.name, attribute) for spec in SPECS for attribute in spec.sensitive}
    drawn: set[str] = set()
    for spec in SPECS:
        for key in map(tables.key, bias_reports_of(spec)):
            name = key.to_user_string()
            assert f"{name}: {CHECK}" in result.checks
            assert result.metadata[name]["report"].endswith("/artifacts/bias.html)")
            if str(result.metadata[name].get("gaps")).startswith("![plot](data:image/png;base64,"):
                drawn.add(name)
    assert tables.key("models.close_in_7_days.bias_by_keywords").to_user_string() in drawn
    outcome_groups = store.query("SELECT DISTINCT status FROM reports.bias WHERE attribute = 'completion_time'")
    assert "flagged" not in set(outcome_groups["status"])
    weights = store.query(
        'SELECT sum("rows" * weight) / sum("rows") AS mean FROM reports.bias '
        "WHERE metric = 'observed_rate' AND question = 'predictions' AND model = 'p0' AND attribute = 'repo'"
    )
    assert weights.item() == pytest.approx(1)


def test_the_page_is_attached_to_the_training_and_needs_nothing_else(main_run: Any) -> None:
    import mlflow

    settings, _ = main_run
    run = (
        Warehouse.from_settings(settings).query("SELECT mlflow_run_id FROM ml.model_versions WHERE model = 'p0'").item()
    )
    client = mlflow.MlflowClient(settings.tracking_uri)
    page = Path(client.download_artifacts(run, "bias.html")).read_text(encoding="utf-8")
    assert "Bias report: p0 version 1" in page and "Synthetic data" in page
    assert "What would help, seniority" in page and "Are like changes treated alike?" in page
    assert "http" not in page.split("<body>")[1]


def opened(settings: Settings) -> tuple[Warehouse, Any]:
    return Warehouse.from_settings(settings), RegistryResource.from_settings(settings).open()


def test_a_version_is_audited_on_the_rows_that_it_was_tested_on(main_run: Any) -> None:
    settings, _ = main_run
    store, registry = opened(settings)
    found = load_subject(store, registry, P0, is_synthetic=True)
    assert found is not None
    said = store.query("SELECT repo_id, number, prediction, label FROM ml.test_predictions WHERE model = 'p0'")
    joined = found.tested().join(said, on=["repo_id", "number"])
    assert len(joined) == len(said)
    assert joined["y_pred"].to_numpy() == pytest.approx(joined["prediction"].to_numpy())
    assert (joined["y_true"] == joined["label"]).all()
    many = settings.model_copy(update={"bias_min_support": 200})
    assert audit_groups(found, "seniority", many).without_mitigation == "fewer than two groups have 200 rows"
    closing = load_subject(store, registry, CLOSE_IN_7_DAYS, is_synthetic=True)
    assert closing is not None
    by_seniority = audit_groups(closing, "seniority", settings)
    assert by_seniority.mitigations is not None and len(by_seniority.mitigations) == 7
    assert by_seniority.mitigations["accuracy_after"].is_not_null().all()
    text = BiasReport.generate_audit_report(by_seniority)
    assert "Like changes" in text and "exponentiated gradient: largest gap" in text
    again = audit_groups(closing, "seniority", settings)
    assert by_seniority.analysis.findings.equals(again.analysis.findings)
    assert by_seniority.mitigations.equals(again.mitigations), "the same seed gives the same report"
    durations = load_subject(store, registry, RESOLUTION_TIME, is_synthetic=True)
    assert durations is not None
    timed = audit_groups(durations, "seniority", settings)
    assert timed.analysis.kind.name == "number"
    assert set(timed.analysis.findings["metric"]) == {"mae", "mean_error", "rmse", "r2"}
    overlapping = audit_groups(durations, "labels", settings)
    assert overlapping.mitigations is None and "several groups at once" in overlapping.without_mitigation


def test_recording_twice_leaves_one_report(main_run_copy: Settings) -> None:
    store, registry = opened(main_run_copy)
    found = load_subject(store, registry, P0, is_synthetic=True)
    assert found is not None
    before = store.query("SELECT count(*) FROM reports.bias").item()
    one = audit_groups(found, "seniority", main_run_copy, with_mitigations=False)
    record_audits(store, [one])
    record_audits(store, [one])
    assert store.query("SELECT count(*) FROM reports.bias").item() == before
    by_language = audit_groups(found, "language", main_run_copy, with_mitigations=False)
    record_audits(store, [by_language])
    assert store.query("SELECT count(*) FROM reports.bias WHERE attribute = 'language'").item() > 0


def test_what_cannot_be_audited_says_why(main_run: Any) -> None:
    settings, _ = main_run
    store, registry = opened(settings)
    assert load_subject(store, registry, P0, is_synthetic=False) is None
    with pytest.raises(FairnessError, match="p0 has no version 99 of this source; there is 1"):
        load_subject(store, registry, P0, is_synthetic=True, version=99)
    with pytest.raises(FairnessError, match="nothing is known of colour; there is repo, seniority"):
        sensitive_attributes(P0, "repo,colour")


@pytest.mark.slow
def test_a_flag_warns_by_default_and_blocks_what_follows_if_it_is_told_to(
    main_run_copy: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no threshold at all and every group large enough, some gap is always flagged."""
    from qc_assets.fairness import audit as auditing
    from qc_assets.fairness.findings import BiasAnalysis

    monkeypatch.setattr(
        BiasAnalysis, "flags", property(lambda self: self.findings.filter(pl.col("q_value").is_not_null()).head(1))
    )
    monkeypatch.setattr(auditing, "audit_groups", functools.partial(audit_groups, with_mitigations=False))
    done = run_job(main_run_copy, "training", selection=[*bias_reports_of(P0), "ml.predictions", "ml.waits"])
    assert not done.checks[f"p0_bias_by_seniority: {CHECK}"][0]
    strict = main_run_copy.model_copy(update={"bias_blocks": True})
    with open_instance(strict) as instance:
        predictions = tables.key("ml.predictions")
        before = instance.get_latest_materialization_event(predictions)
        with pytest.raises(RunFailedError, match="came true where"):
            run_job(strict, "training", selection=[*bias_reports_of(P0), "ml.predictions", "ml.waits"])
        after = instance.get_latest_materialization_event(predictions)
    assert before is not None and after is not None and before.timestamp == after.timestamp


def test_one_report_that_cannot_be_made_stops_neither_the_run_nor_the_others(
    main_run_copy: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qc_assets.fairness import audit as auditing

    def fails(found: Any, attribute: str, settings: Settings, **_: Any) -> Any:
        if attribute == "repo":
            raise FairnessError("3 of 9 rows of group a/a have no finite y_pred")
        return audit_groups(found, attribute, settings, with_mitigations=False)

    monkeypatch.setattr(auditing, "audit_groups", fails)
    done = run_job(main_run_copy, "training", selection=bias_reports_of(P0))
    passed, found = done.checks[f"p0_bias_by_repo: {CHECK}"]
    assert not passed and "3 of 9 rows" in str(found["detail"])
    assert "report" in done.metadata["p0_bias_by_seniority"]


def test_qc_bias_prints_the_report(main_run: Any, tmp_path: Path) -> None:
    settings, _ = main_run
    environment = {
        "QC_HOME": str(settings.home), "QC_WAREHOUSE": str(settings.warehouse),
        "COLUMNS": "160", "QC_BOOTSTRAP_RESAMPLES": "60",
    }  # fmt: skip

    def qc(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return run_qc(tmp_path, environment, "bias", *arguments)

    done = qc("close_in_7_days", "--by", "seniority", "--output", "bias.html")
    assert done.returncode == 0, done.stderr
    assert "close_in_7_days version 1 by seniority" in done.stdout
    assert "weights: largest gap" in done.stdout
    assert "Bias report: close_in_7_days version 1" in (tmp_path / "bias.html").read_text()
    document = json.loads(qc("p0", "--by", "newcomer,language", "--quick", "--json").stdout)
    assert [found["attribute"] for found in document] == ["newcomer", "language"] and document[0]["findings"]
    wrong = qc("p0", "--by", "colour")
    assert wrong.returncode == 1 and "nothing is known of colour" in wrong.stderr


def test_reports_show_their_columns_and_depend_on_their_model(make_settings: Any) -> None:
    graph = build_definitions(make_settings()).resolve_asset_graph()
    for spec in SPECS:
        for key in map(tables.key, bias_reports_of(spec)):
            assert graph.get(key).parent_keys == {tables.key(f"models.{spec.name}")}
            assert graph.get(key).group_name == tables.group_name("fairness")


def test_seniority_in_sql_is_that_in_python(main_run: Any) -> None:
    settings, _ = main_run
    store = Warehouse.from_settings(settings)
    for table, association in (("pull_requests", "author_association"), ("issues", "author_association")):
        rows = store.query(f"FROM features.{table}")
        rights = (rows["author_reviews_given_in_repo"], rows["author_merges_given_in_repo"])
        ours = Seniority().of(
            rows["author_prior_merged_in_repo"], rows["author_tenure_in_repo_days"], rows[association], *rights
        )
        assert ours.to_list() == rows["author_seniority"].to_list()
        assert set(LEVELS) <= set(ours)


def test_no_level_of_seniority_holds_everybody_on_real_data() -> None:
    file = SHARED / "benchmarks" / "merge_icse14.parquet"
    if not file.is_file():
        pytest.skip(f"the real pull requests are not there: {file}")
    rows = pl.read_parquet(file, columns=["project_name", "requester", "created_at", "merged_at", "main_team_member"])
    rows = rows.drop_nulls("requester").with_row_index("row")
    mine = ["project_name", "requester"]
    merges = rows.filter(pl.col("merged_at").is_not_nan() & pl.col("merged_at").is_not_null()).select(
        *mine, at=pl.col("merged_at").cast(pl.Int64)
    )
    earlier = (
        rows.join(merges, on=mine, how="left")
        .group_by("row")
        .agg(merged=(pl.col("at") < pl.col("created_at")).sum().cast(pl.Int64))
        .sort("row")
    )
    days = (pl.col("created_at") - pl.col("created_at").min().over(mine)) / 86_400
    association = pl.when(pl.col("main_team_member") == 1).then(pl.lit("MEMBER")).otherwise(pl.lit("NONE"))
    levels = Seniority().of(
        earlier["merged"], rows.select(days).to_series(), rows.select(association.alias("a")).to_series()
    )
    shares = {level: (levels == level).mean() for level in LEVELS}
    assert all(0.02 < share < 0.6 for share in shares.values()), shares


@pytest.mark.slow
def test_a_prejudice_that_the_model_has_learnt_is_seen_in_the_outcomes_of_like_changes(tmp_path: Path) -> None:
    """From the source to the report: newcomers judged more harshly, and a model that predicts it rightly."""
    source = DemoSource(
        tmp_path / "demo", n_prs=9_000, days=240, first_day=date(2024, 1, 1), seed=5, bias="newcomers:-1.5"
    )
    warehouse = Warehouse(tmp_path / "qc.duckdb", staging=tmp_path / "staging")
    load(warehouse, source, days_between(source.first_day, source.last_day))
    settings = load_settings(home=tmp_path / "home", bootstrap_resamples=200)
    warehouse.rebuild("ops/coverage", {"min_archive_completeness": 0.95})
    warehouse.rebuild("features/pull_requests", settings.feature_parameters("pull_requests"))
    rows = labelled(P0, model_rows(warehouse, P0, is_synthetic=True))
    groups = warehouse.sql_file("features/pull_requests", section="groups")
    rows = rows.join(groups.select("repo_id", "number", "seniority", "is_newcomer"), on=["repo_id", "number"])
    trained = train(P0, dataset_of(P0, rows), Options(quick=True, resamples=50, candidates=("lightgbm",)))
    bundle = bundle_of_training(P0, trained, is_synthetic=True)
    split = trained.split
    found = Subject(P0, 1, bundle, trained.data.frame, trained.data.x, split.windows, trained.known, "", True)
    told: list[str] = []
    report = audit_groups(found, "newcomer", settings, progress=lambda what, done, total: told.append(what))
    assert told[:2] == [
        "bias of p0 by newcomer: comparing groups",
        "bias of p0 by newcomer: are like changes treated alike?",
    ]
    assert report.mitigations is not None and f"what would help, 1 of {len(report.mitigations)} (weights)" in told[2]
    assert "newcomer" not in set(report.analysis.flags["group"]), "it predicts the prejudice rightly"
    assert report.alike is not None
    differing = report.alike.flags.filter(pl.col("metric") == "observed_rate")
    assert differing["group"].to_list() == ["newcomer"] and differing["gap"].item() < -0.15
    assert "outcomes of like changes differ for newcomer" in audit_summary(report)
