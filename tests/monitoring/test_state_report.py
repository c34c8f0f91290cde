"""The page about the state of everything: it stands alone, says what is missing, and trusts no text."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from playwright.sync_api import Browser

from qc_assets.assets import tables
from qc_assets.cli.runs import run_job
from qc_assets.monitoring import svg_charts
from qc_assets.monitoring.state_report import SCRIPT, state_report
from qc_assets.monitoring.svg_charts import Mark
from qc_assets.serving.app import create_app
from qc_assets.serving.keys import keys_file, make_key
from qc_assets.settings import Settings
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse
from tests.conftest import copy_of
from tests.local_app import listening, url_of

HOSTILE = "a/<img src=x onerror=alert(1)>"


@pytest.fixture
def home(small_home: Settings, tmp_path: Path) -> Settings:
    return copy_of(small_home, tmp_path)


def text_of(page: str) -> str:
    """What a reader sees."""
    without = re.sub(r"<(style|script|title)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", without))


def test_it_stands_alone_and_names_what_is_missing(home: Settings) -> None:
    page = state_report(Warehouse.from_settings(home))
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page) and "@import" not in page and "url(" not in page
    assert len(page.encode()) < 2_000_000
    text = text_of(page)
    assert (
        re.search(r"400 pull requests and \d+ issues of 8 repositories", text)
        and "1 of 5 models have a champion" in text
    )
    assert "p0: Will this pull request pass its first review?" in text and "Version 1 is champion" in text
    assert "No version is champion, so nobody answers: qc train resolution_time trains one" in text
    assert "the champions are not examined yet: `qc train` does" in text
    assert "Synthetic data" in text


def test_without_a_warehouse_and_with_an_empty_one_it_says_how_to_fill_it(tmp_path: Path) -> None:
    store = Warehouse(tmp_path / "none.duckdb", staging=tmp_path / "staging")
    assert "run `qc demo` or `qc backfill`" in text_of(state_report(store))
    with store.write():
        pass
    text = text_of(state_report(store))
    assert "nothing is loaded yet: `qc demo` makes something up" in text
    assert "features are not computed yet: `qc train` does" in text


def test_a_broken_champion_a_refused_version_and_alerts_are_red(home: Settings) -> None:
    store = Warehouse.from_settings(home)
    with store.write() as connection:
        connection.execute(
            "INSERT INTO ml.checks BY NAME SELECT 'p0' AS model, 'p0_is_sound' AS promise, 1 AS version, false AS "
            "passed, true AS blocks, 'bundle.skops is not what <b>its</b> training logged' AS detail, "
            "now()::TIMESTAMP AS checked_at"
        )
        connection.execute(
            "INSERT INTO ml.model_versions SELECT * REPLACE (2 AS version, 'rejected' AS status, "
            "'log loss is worse' AS reason, 'r2' AS mlflow_run_id) FROM ml.model_versions WHERE model = 'p0'"
        )
        connection.execute(
            "INSERT INTO ml.gates VALUES ('p0', 2, 'beats_base_rate', false, true, 'Brier 0.3 against 0.2')"
        )
    page = state_report(store)
    assert '<span class="red">is sound: no</span>' in page
    assert "bundle.skops is not what &lt;b&gt;its&lt;/b&gt; training logged" in page
    text = text_of(page)
    assert "The newest version, 2, is rejected: log loss is worse." in text
    assert "p0 version 2 broke beats base rate: Brier 0.3 against 0.2; version 1 stays champion" in text
    assert "1 of their checks are red" in text and "1 promises of newest versions are broken" in text


def test_a_history_of_issues_alone_is_one(home: Settings) -> None:
    store = Warehouse.from_settings(home)
    with store.write() as connection:
        connection.execute("DELETE FROM raw.pull_requests; DELETE FROM features.pull_requests")
        (issues,) = connection.execute("SELECT count(*) FROM raw.issues").fetchone() or (0,)
    text = text_of(state_report(store))
    assert issues and f"0 pull requests and {issues} issues of 8 repositories" in text
    assert "nothing is loaded yet" not in text and "None yet." not in text


def test_only_answers_that_moved_are_a_headline_and_groups_too_small_to_say_show_no_figure(home: Settings) -> None:
    store = Warehouse.from_settings(home)
    drift = sql_sections("reports/drift")["table"]
    with store.write() as connection:
        connection.execute(f"DROP TABLE IF EXISTS reports.drift; {drift}")
        connection.execute(
            "INSERT INTO reports.drift SELECT 'p0', 1, feature, 99, 99, psi, .1, psi > .3, 0, 0 "
            "FROM (VALUES ('log_lines', .4), ('answers', .1)) AS t(feature, psi)"
        )
        connection.execute(
            "INSERT INTO reports.bias BY NAME SELECT 'p0' AS model, 1 AS version, 'repo' AS attribute, "
            "'predictions' AS question, name AS \"group\", 'brier' AS metric, n AS \"rows\", .777 AS value, status "
            "FROM (VALUES ('a/few', 3, 'too small to say'), ('a/many', 99, 'no gap seen')) AS t(name, n, status)"
        )
    text = text_of(state_report(store))
    assert "no answers have moved far; 1 inputs have" in text
    assert "None of 1 comparisons of groups is flagged. 1 more are of groups too small to say." in text
    assert "repo: a/many" in text and "repo: a/few" not in text
    with store.write() as connection:
        connection.execute("UPDATE reports.drift SET is_drifting = true")
    assert "the answers have moved far of p0; 1 inputs have" in text_of(state_report(store))


def test_thousands_of_repositories_and_names_with_markup_and_without(home: Settings) -> None:
    store = Warehouse.from_settings(home)
    with store.write() as connection:
        connection.execute(
            "INSERT INTO raw.repositories SELECT r.* REPLACE (-1000 - k AS repo_id, "
            "CASE WHEN k = 1 THEN ? WHEN k = 2 THEN NULL ELSE 'many/' || k END AS name) "
            "FROM (FROM raw.repositories LIMIT 1) AS r, range(3000) AS n(k)",
            [HOSTILE],
        )
        connection.execute(
            "INSERT INTO features.pull_requests SELECT f.* REPLACE (-1000 - k AS repo_id, "
            "CASE WHEN k % 2 = 0 THEN f.passed END AS passed, NULL AS lines_changed) "
            "FROM (SELECT * REPLACE (row_number() OVER () AS number) FROM features.pull_requests "
            "WHERE exclusion IS NULL LIMIT 40) AS f, range(3000) AS n(k)"
        )
    page = state_report(store)
    assert "<img" not in page and "a/&lt;img src=x onerror=alert(1)&gt;" in page
    assert "-1002" in page, "a repository without a name is shown by its id"
    assert page.count("<tr data-group=") <= 500 and len(page.encode()) < 2_000_000


def test_an_error_in_a_query_is_no_missing_table(home: Settings) -> None:
    store = Warehouse.from_settings(home)
    with duckdb.connect(str(store.path)) as plain:
        plain.execute("ALTER TABLE ml.evaluations RENAME COLUMN baseline TO basis")
    with pytest.raises(duckdb.BinderException):
        state_report(store)


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    marks=st.lists(
        st.builds(
            Mark, st.text(), st.floats(0, 1e12), st.text(), st.none() | st.floats(-9, 9), st.none() | st.floats(-9, 9),
            st.booleans(), st.text(),
        ),
        max_size=5,
    ),
    series=st.dictionaries(st.text(), st.lists(st.none() | st.floats(0, 1e9), min_size=3, max_size=3), max_size=6),
)  # fmt: skip
def test_every_chart_is_well_formed_whatever_it_is_of(marks: list[Mark], series: dict[str, Any]) -> None:
    drawings = [
        svg_charts.bars(marks, limit=0.25), svg_charts.bars(marks), svg_charts.intervals(marks),
        svg_charts.lines(["<a>", "b", "c"], series), svg_charts.lines([], {}),
        svg_charts.diagonal([(0.5, mark.value % 1, mark.hover) for mark in marks]),
    ]  # fmt: skip
    for drawing in drawings:
        # What XML has no character for HTML shows as a mark.
        clean = re.sub(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", drawing)
        root = ElementTree.fromstring(clean)
        assert "NaN" not in drawing and "nan" not in {value for each in root.iter() for value in each.attrib.values()}


def test_the_api_shows_it_to_who_may(home: Settings) -> None:
    admin, other = (
        make_key(keys_file(home.journal_file), name, [right]) for name, right in (("amy", "admin"), ("bob", "predict"))
    )
    with TestClient(create_app(home), base_url="http://127.0.0.1") as client:
        assert client.get("/report").status_code == 401
        assert client.get("/report", headers={"X-API-Key": other}).status_code == 403
        answer = client.get("/report", headers={"X-API-Key": admin})
    assert answer.status_code == 200 and "Version 1 is champion" in text_of(answer.text)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and f"<script>{SCRIPT}</script>" in answer.text


@pytest.mark.slow
def test_a_person_filters_it_by_repository_and_sees_numbers(browser: Browser, home: Settings) -> None:
    for name in ("funnel", "weekly_activity", "calibration"):
        Warehouse.from_settings(home).rebuild(f"reports/{name}")
    errors: list[str] = []
    with listening(create_app(home)) as server:
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: errors.append(request.url) if not request.url.endswith("/report") else None)
        page.goto(f"{url_of(server)}/report")
        rows = page.locator("#repositories ~ .scroll tr[data-group]")
        assert rows.count() == 8
        assert page.locator("svg .mark title").first.text_content().startswith("all pull requests: 400")
        page.fill("#filter", "ATLAS")
        assert rows.locator("visible=true").count() == 1
        page.fill("#filter", "")
        for width in (1440, 900):
            page.set_viewport_size({"width": width, "height": 1000})
            assert rows.locator("visible=true").count() == 8
            assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing stands beside the page"
    assert errors == [], "the policy lets it do all that it does, and it asks for nothing else"


def test_it_is_an_asset_whose_file_lies_with_the_exports(home: Settings) -> None:
    result = run_job(home, "training", selection=[tables.key("exports.report").to_user_string()])
    assert result.metadata, result
    page = (home.home / "export" / "report.html").read_text()
    assert "Version 1 is champion" in text_of(page)
    (shown,) = result.metadata.values()
    assert shown["file"] == f"{home.home}/export/report.html" and shown["bytes"] == len(page.encode())
