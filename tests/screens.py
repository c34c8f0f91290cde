"""The pictures of docs/tour.md: `make demo`, then `python -m tests.screens`, or `make screens`.

They are made of the home that the settings name (QC_HOME), as it is: a p0 that was trained twice shows more.
"""

import argparse
import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from rich.console import Console

from qc_assets.cli.run_summary import after_run
from qc_assets.cli.runs import open_instance, result_of
from qc_assets.cli.services import Services
from qc_assets.errors import QcError
from qc_assets.settings import Settings, load_settings
from qc_assets.store.warehouse import Warehouse
from tests import ROOT
from tests.conftest import chromium_path, free_port

TOUR = ROOT / "docs" / "tour"
_COLOURS = 128  # of a picture: it stays small
_WAIT_MS = 60_000
_DRAWN_MS = 2_500  # graphs and charts are drawn after what can be waited for
_HEIGHT = 900


class Walk:
    """A browser on the servers of a home.

    Args:
        settings: of the home.
        urls: of the servers, by name.
        page: where the walk is.
    """

    def __init__(self, settings: Settings, urls: dict[str, str], page: Page) -> None:
        self.settings, self.urls, self.page = settings, urls, page

    def terminal(self) -> None:
        """What the main job ended with."""
        with open_instance(self.settings) as instance:
            runs = instance.get_runs(dg.RunsFilter(job_name="main", statuses=[dg.DagsterRunStatus.SUCCESS]), limit=1)
            if not runs:
                raise QcError(f"no run of the main job in {self.settings.home}: run `make demo`, or set QC_HOME")
            events = [log.dagster_event for log in instance.all_logs(runs[0].run_id) if log.dagster_event is not None]
        _, shown = after_run(Warehouse.from_settings(self.settings), result_of(runs[0].run_id, events))
        drawn = Console(record=True, width=132, file=io.StringIO(), markup=False, emoji=False)
        for part in shown:
            drawn.print(part)
        self.page.set_content(drawn.export_html(inline_styles=True))

    def _dagster(self, path: str, *texts: str) -> None:
        self.page.goto(f"{self.urls['dagster']}/{path}")
        for text in texts:
            expect(self.page.get_by_text(text).first).to_be_visible(timeout=_WAIT_MS)

    def timeline(self) -> None:
        """Which runs there were."""
        self._dagster("overview/activity/timeline")
        expect(self.page.locator("a[href$='/jobs/main']").first).to_be_visible(timeout=_WAIT_MS)

    def days(self) -> None:
        """Which days are there."""
        self._dagster("assets/raw_pull_requests?view=partitions", "Materialized")

    def model(self) -> None:
        """What p0 is, how good, and why it is champion or not."""
        self._dagster("assets/p0_model?view=overview", "in short")

    def checks(self) -> None:
        """What was promised of p0."""
        self._dagster("assets/p0_model?view=checks", "beats_base_rate")

    def bias(self) -> None:
        """Whether newcomers are treated differently."""
        self._dagster("assets/p0_bias_by_seniority?view=overview", "in short")

    def runs(self) -> None:
        """The trainings of p0 side by side."""
        self.page.goto(f"{self.urls['mlflow']}/#/experiments")
        self.page.get_by_role("link", name="p0", exact=True).click(timeout=_WAIT_MS)
        self.page.get_by_role("button", name="Views").click(timeout=_WAIT_MS)
        self.page.get_by_text("Trainings", exact=True).last.click()
        expect(self.page.get_by_role("columnheader", name="test/log_loss").first).to_be_visible(timeout=_WAIT_MS)

    def version(self) -> None:
        """Why the newest version is champion or not."""
        newest = Warehouse.from_settings(self.settings).query(
            "SELECT max(version) FROM ml.model_versions WHERE model = 'p0' AND status <> 'removed'"
        )
        self.page.goto(f"{self.urls['mlflow']}/#/models/p0/versions/{newest.item()}")
        expect(self.page.get_by_text(re.compile("Promoted on|Not promoted on")).first).to_be_visible(timeout=_WAIT_MS)

    def report(self) -> None:
        """The state of everything, to send to a colleague."""
        self.page.goto(f"{self.urls['api']}/report")

    def answer(self) -> None:
        """What p0 says of a pull request, why, and what would be paid."""
        example = (
            Warehouse.from_settings(self.settings)
            .query(
                "SELECT r.name || '#' || f.number AS task_id, u.login AS worker_id, f.lines_changed, f.files_changed, "
                "f.title_length, 1000 AS value FROM features.pull_requests AS f JOIN raw.repositories AS r "
                "USING (repo_id) JOIN raw.users AS u ON f.author_id = u.user_id WHERE exclusion IS NULL AND passed "
                "ORDER BY opened_at DESC LIMIT 1"
            )
            .row(0, named=True)
        )
        self.page.goto(self.urls["api"])
        for name, value in example.items():
            self.page.fill(f"[name={name}]", str(value))
        self.page.click("button")
        expect(self.page.locator("#answer")).to_contain_text("Payout")
        self.page.locator("#answer").scroll_into_view_if_needed()


PICTURES: tuple[Callable[[Walk], None], ...] = (
    Walk.terminal, Walk.timeline, Walk.days, Walk.model, Walk.checks, Walk.bias, Walk.runs, Walk.version,
    Walk.report, Walk.answer,
)  # fmt: skip
"""In the order of the tour; a picture's file is called after its method."""


@contextmanager
def _servers(settings: Settings) -> Iterator[dict[str, str]]:
    services = Services(settings)
    services.start()
    try:
        yield services.urls
    finally:
        services.stop()


def take_pictures(settings: Settings, folder: Path, width: int = 1440) -> list[Path]:
    """Walk through a home and keep a picture of each step.

    Args:
        settings: of a home in which the main job has run.
        folder: where the pictures go.
        width: of the window, in pixels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with _servers(settings) as urls, sync_playwright() as playwright:
        browser: Browser = playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox"])
        for take in PICTURES:
            # A page of its own, so that a click or a dialog of one picture is not in the next.
            page = browser.new_page(viewport={"width": width, "height": _HEIGHT})
            take(Walk(settings, urls, page))
            page.wait_for_timeout(_DRAWN_MS)
            path = folder / f"{take.__name__}.png"
            with Image.open(io.BytesIO(page.screenshot())) as taken:
                taken.convert("RGB").quantize(_COLOURS).save(path, optimize=True)
            page.close()
            paths.append(path)
        browser.close()
    return paths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=TOUR, help="folder of the pictures")
    parser.add_argument("--width", type=int, default=1440, help="of the window, in pixels")
    asked = parser.parse_args()
    # The servers read it there; other programs may have the usual one.
    os.environ.setdefault("QC_API_PORT", str(free_port()))
    for written in take_pictures(load_settings(), asked.into, asked.width):
        print(f"{written} {written.stat().st_size:,} bytes")  # noqa: T201
