"""The Dagster and MLflow UIs in headless Chromium, started as `qc up` starts them: graph, runs, versions."""

import re
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from playwright.sync_api import Browser, Page, expect

from qc_assets.assets import tables
from qc_assets.assets.partitions import days_between
from qc_assets.cli.runs import open_instance, run_job
from qc_assets.cli.services import Services
from qc_assets.registry.lifecycle import train_and_register
from qc_assets.registry.model_registry import Registry
from qc_assets.settings import Settings
from tests.conftest import copy_of, free_port
from tests.learning.test_models import SMALL, rows
from tests.registry.conftest import ORIGIN, QUICK

pytestmark = pytest.mark.slow
WAIT_MS = 60_000


@pytest.fixture(scope="module")
def up(small_home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Services]]:
    """A home with fourteen days loaded, a champion and the version that it replaced, and its servers."""
    settings = copy_of(small_home, tmp_path_factory.mktemp("up")).model_copy(update={"api_port": free_port()})
    run_job(settings, "ingest", days=days_between(settings.first_date, settings.first_date + timedelta(days=13)))
    origin = ORIGIN | {"dagster_run_url": "/dagster/runs/d-1"}
    registry = Registry.from_settings(settings)
    outcome = train_and_register(SMALL, rows(700), registry, QUICK, is_synthetic=True, origin=origin, run_name="mine")
    assert outcome.decision.promote, outcome.decision.reason
    with pytest.MonkeyPatch.context() as patch:
        for name in ("home", "warehouse", "demo_prs", "demo_days", "api_port"):
            patch.setenv(f"QC_{name.upper()}", str(getattr(settings, name)))
        patch.setenv("QC_RETRAIN_AFTER_PARTITIONS", "1000")  # else the sensor would start a training meanwhile
        services = Services(settings)
        services.start()
        try:
            yield settings, services
        finally:
            services.stop()


@pytest.fixture
def page(browser: Browser) -> Page:
    return browser.new_page(viewport={"width": 1500, "height": 1000})


def test_the_graph_is_seen_and_an_asset_is_materialized(up: Any, page: Page) -> None:
    settings, services = up
    dagster = services.urls["dagster"]
    # What lies outside of the window is not drawn.
    page.set_viewport_size({"width": 2600, "height": 1800})
    page.goto(f"{dagster}/locations/qc_assets/asset-groups/2_features/lineage")
    for name in ("features_pull_requests", "features_issues", "ops_coverage"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible(timeout=60_000)

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
    with open_instance(settings) as instance:
        (loaded,) = instance.get_runs(dg.RunsFilter(job_name="ingest"))
    page.goto(f"{dagster}/locations/qc_assets/jobs/ingest/runs")
    expect(page.get_by_text(loaded.run_id[:8]).first).to_be_visible(timeout=30_000)
    # What can be said of a training stands there already.
    page.goto(f"{dagster}/locations/qc_assets/jobs/training_p0/playground")
    expect(page.get_by_text("quick").first).to_be_visible(timeout=30_000)


def test_runs_are_found_compared_and_followed_to_a_version(up: Any, browser: Browser) -> None:
    _, services = up
    mlflow = services.urls["mlflow"]
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{mlflow}/#/experiments")
    expect(page.get_by_role("link", name="p0", exact=True)).to_be_visible(timeout=WAIT_MS)
    # The view for trainings: the other one hides the registry.
    expect(page.get_by_role("link", name="Model registry")).to_be_visible()
    for nuisance in ("Default", "Information about UI telemetry", "Welcome to MLflow Assistant"):
        expect(page.get_by_text(nuisance, exact=True)).to_have_count(0)

    page.get_by_role("link", name="p0", exact=True).click()
    expect(page.get_by_text("Compare trainings by")).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("button", name="Views").click()
    page.get_by_text("Trainings", exact=True).last.click()
    for column in ("test/log_loss", "test/roc_auc"):
        expect(page.get_by_role("columnheader", name=column).first).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_role("link", name="mine").first).to_be_visible()
    page.locator("[role=row] input[type=checkbox]:visible").first.check()  # of the header: all
    page.get_by_role("button", name="Compare").first.click()
    expect(page.get_by_text("Comparing 2 Runs")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text("data_until").first).to_be_attached()

    page.goto(f"{mlflow}/#/models/p0/versions/2")
    expect(page.get_by_text("the API, scoring and payouts ask it")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text(re.compile("^Promoted on .* compared with version 1: surely better"))).to_be_visible()
    run = page.get_by_role("link", name="Dagster run", exact=True)
    assert run.get_attribute("href") == "/dagster/runs/d-1", "whatever the port is"
    page.goto(f"{mlflow}/#/models/p0/versions/1")
    expect(page.get_by_text("It was champion, and another is now")).to_be_visible(timeout=WAIT_MS)
    page.goto(f"{mlflow}/#/models/p0/versions/2")
    beside = page.get_by_role("link", name="beside the champion").get_attribute("href")
    page.goto(f"{mlflow}/{beside}")
    shown = page.frame_locator("iframe").first
    expect(shown.get_by_text("Which rows changed sides")).to_be_visible(timeout=WAIT_MS)
    assert [url for url in asked if not url.startswith((services.urls["api"], "data:", "blob:"))] == []


def test_a_port_in_use_is_an_error_that_names_the_setting(make_settings: Any) -> None:
    from qc_assets.errors import QcError

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(QcError, match="is in use: stop that program, or set QC_API_PORT"):
            Services(make_settings(api_port=other.getsockname()[1])).start()
