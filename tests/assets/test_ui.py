"""The Dagster and MLflow UIs in headless Chromium, started as `qc up` starts them."""

import re
import socket
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from playwright.sync_api import Browser, Page, expect

from qc_assets.assets import tables
from qc_assets.assets.partitions import days_between
from qc_assets.cli.runs import open_instance, run_job
from qc_assets.cli.services import Services
from qc_assets.settings import Settings
from tests.conftest import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Settings, Services]]:
    places = {"home": tmp_path / "home", "warehouse": tmp_path / "qc.duckdb", "_env_file": None}
    settings = Settings(demo_prs=300, demo_days=14, start_date=date(2024, 1, 1), api_port=free_port(), **places)
    for name in ("home", "warehouse", "demo_prs", "demo_days", "start_date", "api_port"):
        monkeypatch.setenv(f"QC_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("QC_RETRAIN_AFTER_PARTITIONS", "1000")  # else the sensor would start a training meanwhile
    run_job(settings, "ingest", days=days_between(settings.first_date, settings.last_date))
    services = Services(settings)
    services.start()
    try:
        yield settings, services
    finally:
        services.stop()


@pytest.fixture
def page(browser: Browser) -> Page:
    return browser.new_page(viewport={"width": 1500, "height": 1000})


def test_the_graph_is_seen_and_an_asset_is_materialized(up: Any, page: Page, tmp_path: Path) -> None:
    settings, services = up
    dagster = services.urls["dagster"]
    # What lies outside of the window is not drawn.
    page.set_viewport_size({"width": 2600, "height": 1800})
    page.goto(f"{dagster}/locations/qc_assets/asset-groups/2_features/lineage")
    for name in ("features_pull_requests", "features_issues", "ops_coverage"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible(timeout=60_000)
    page.screenshot(path=tmp_path / "graph.png")

    page.goto(f"{dagster}/assets/ops_coverage?view=overview")
    expect(page.get_by_text("For which time each repository's history is whole").first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Join the Dagster community")).to_have_count(0)
    # An icon's name is part of the button's.
    page.get_by_role("button", name=re.compile(r"\bMaterialize$")).first.click()
    key = tables.key("ops.coverage")
    with open_instance(settings) as instance:
        deadline = time.monotonic() + 120
        while instance.get_latest_materialization_event(key) is None:
            assert time.monotonic() < deadline, services.log("dagster").read_text()[-3000:]
            time.sleep(1)
        (record,) = instance.get_asset_records([key])
        assert record.asset_entry.last_run_id is not None
    page.goto(f"{dagster}/assets/raw_pull_requests?view=partitions")
    expect(page.get_by_text("Materialized (14)").first).to_be_visible(timeout=30_000)
    page.goto(f"{dagster}/assets/raw_pull_requests?view=partitions&partition=2024-01-05")
    expect(page.get_by_text("dagster/partition_row_count").first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("dagster/row_count")).to_have_count(0)
    # The run that a command started is where people look first, and on the page of its job.
    page.goto(f"{dagster}/overview/activity/timeline")
    expect(page.locator("a[href$='/jobs/ingest']").first).to_be_visible(timeout=30_000)
    page.screenshot(path=tmp_path / "timeline.png")
    with open_instance(settings) as instance:
        (loaded,) = instance.get_runs(dg.RunsFilter(job_name="ingest"))
    page.goto(f"{dagster}/locations/qc_assets/jobs/ingest/runs")
    expect(page.get_by_text(loaded.run_id[:8]).first).to_be_visible(timeout=30_000)
    # What can be said of a training stands there already.
    page.goto(f"{dagster}/locations/qc_assets/jobs/training_p0/playground")
    expect(page.get_by_text("quick").first).to_be_visible(timeout=30_000)
    page.goto(services.urls["api"])
    expect(page.get_by_text("p0 has no champion yet: run `qc train p0`")).to_be_visible()
    page.goto(f"{services.urls['mlflow']}/#/experiments")
    expect(page.get_by_text("Experiments").first).to_be_visible(timeout=60_000)


def test_a_port_in_use_is_an_error_that_names_the_setting(make_settings: Any) -> None:
    from qc_assets.errors import QcError

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(QcError, match="is in use: stop that program, or set QC_API_PORT"):
            Services(make_settings(api_port=other.getsockname()[1])).start()
