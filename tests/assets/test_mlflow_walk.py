"""The walk through MLflow in headless Chromium, as `qc up` serves it: runs, comparing, a version's page."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from qc_assets.cli.services import Services
from qc_assets.registry.lifecycle import train_and_register
from qc_assets.registry.model_registry import Registry
from qc_assets.settings import Settings
from tests.conftest import copy_of, free_port
from tests.learning.test_models import SMALL, rows
from tests.registry.conftest import ORIGIN, QUICK

pytestmark = pytest.mark.slow
WAIT_MS = 60_000


@pytest.fixture
def up(small_home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Settings, Services]]:
    """A home with a champion, the version that it replaced, and its servers."""
    settings = copy_of(small_home, tmp_path).model_copy(update={"api_port": free_port()})
    for name in ("home", "warehouse", "demo_prs", "demo_days", "api_port"):
        monkeypatch.setenv(f"QC_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("QC_RETRAIN_AFTER_PARTITIONS", "1000")  # else the sensor would start a training meanwhile
    origin = ORIGIN | {"dagster_run_url": "/dagster/runs/d-1"}
    registry = Registry.from_settings(settings)
    outcome = train_and_register(SMALL, rows(700), registry, QUICK, is_synthetic=True, origin=origin, run_name="mine")
    assert outcome.decision.promote, outcome.decision.reason
    services = Services(settings)
    services.start()
    try:
        yield settings, services
    finally:
        services.stop()


def picture(page: Page, tmp_path: Path, name: str) -> None:
    for width in (1440, 900):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(500)
        page.screenshot(path=tmp_path / f"{name}-{width}.png")
    page.set_viewport_size({"width": 1440, "height": 1000})


def test_runs_are_found_compared_and_followed_to_a_version(up: Any, browser: Browser, tmp_path: Path) -> None:
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
    picture(page, tmp_path, "experiments")

    page.get_by_role("link", name="p0", exact=True).click()
    expect(page.get_by_text("Compare trainings by")).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("button", name="Views").click()
    page.get_by_text("Trainings", exact=True).last.click()
    for column in ("test/log_loss", "test/roc_auc"):
        expect(page.get_by_role("columnheader", name=column).first).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_role("link", name="mine").first).to_be_visible()
    picture(page, tmp_path, "runs")
    page.locator("[role=row] input[type=checkbox]:visible").first.check()  # of the header: all
    page.get_by_role("button", name="Compare").first.click()
    expect(page.get_by_text("Comparing 2 Runs")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text("data_until").first).to_be_attached()
    picture(page, tmp_path, "compared")

    page.goto(f"{mlflow}/#/models/p0/versions/2")
    expect(page.get_by_text("the API, scoring and payouts ask it")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text(re.compile("^Promoted on .* compared with version 1: surely better"))).to_be_visible()
    run = page.get_by_role("link", name="Dagster run", exact=True)
    assert run.get_attribute("href") == "/dagster/runs/d-1", "whatever the port is"
    picture(page, tmp_path, "version")
    page.goto(f"{mlflow}/#/models/p0/versions/1")
    expect(page.get_by_text("It was champion, and another is now")).to_be_visible(timeout=WAIT_MS)
    page.goto(f"{mlflow}/#/models/p0/versions/2")
    beside = page.get_by_role("link", name="beside the champion").get_attribute("href")
    page.goto(f"{mlflow}/{beside}")
    shown = page.frame_locator("iframe").first
    expect(shown.get_by_text("Which rows changed sides")).to_be_visible(timeout=WAIT_MS)
    picture(page, tmp_path, "comparison")
    assert [url for url in asked if not url.startswith((services.urls["api"], "data:", "blob:"))] == []
