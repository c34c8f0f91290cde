"""The page for people, in Chromium with JavaScript turned off."""

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, expect

from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse


@pytest.mark.slow
def test_a_person_types_facts_and_sees_p0_reasons_and_payout(
    browser: Browser, api_url: str, serving_settings: Settings
) -> None:
    one = (
        Warehouse.from_settings(serving_settings)
        .query(
            "SELECT r.name || '#' || f.number AS task, u.login, f.* FROM features.pull_requests AS f "
            "JOIN raw.repositories AS r USING (repo_id) JOIN raw.users AS u ON f.author_id = u.user_id "
            "WHERE exclusion IS NULL AND passed ORDER BY opened_at DESC LIMIT 1"
        )
        .row(0, named=True)
    )
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(api_url)
    for name, value in (
        ("worker_id", one["login"]), ("task_id", one["task"]), ("lines_changed", one["lines_changed"]),
        ("files_changed", one["files_changed"]), ("title_length", one["title_length"]), ("value", "1000"),
    ):  # fmt: skip
        page.fill(f"[name={name}]", str(value))
    page.click("button")
    answer = page.locator("#answer")
    expect(answer).to_contain_text("p0 = 0.")
    expect(answer).to_contain_text("the warehouse has it")
    expect(answer.locator("table tr")).to_have_count(4)
    expect(answer).to_contain_text("Payout: 0.25 ×")
    expect(page.locator("table").last.locator("tr").nth(1)).to_contain_text("passed")
    expect(page.get_by_alt_text("Calibration of p0 on its test window")).to_be_visible()
    expect(page.get_by_text("Synthetic data")).to_be_visible()
    assert page.locator("img").evaluate_all("all => all.every(one => one.naturalWidth > 100)") is True


def test_what_is_wrong_is_said_beside_the_form_and_nothing_typed_is_lost(api: TestClient) -> None:
    answer = api.post("/", data={"worker_id": "<script>alert(1)</script>", "lines_changed": "-3", "value": "1"})
    assert answer.status_code == 422
    assert "lines changed: Input should be greater than or equal to 0" in answer.text
    assert "&lt;script&gt;" in answer.text and "<script" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_facts_can_be_pasted(api: TestClient) -> None:
    pasted = '{"worker_id": "x", "task_id": "y", "lines_changed": 5, "files_changed": 1, "title_length": 9}'
    assert 'id="answer"' in api.post("/", data={"json": pasted}).text
    paid = api.post("/", data={"json": pasted, "value": "1000"}).text
    assert re.search(r"p0 = 0\.\d{3}</span>\s+\(0\.\d{3} to [01]\.\d{3}, with one more failure or success", paid), paid
    assert re.search(r"<strong>[\d.]+</strong>, [\d.]+ to [\d.]+ over the interval of p0", paid)
    broken: Any = api.post("/", data={"json": "{"})
    assert broken.status_code == 422 and "JSON: Invalid JSON" in broken.text
    unpaid = api.post("/", data={"json": pasted, "value": "lots"})
    assert unpaid.status_code == 422 and "value is &#39;lots&#39;: it must be a number" in unpaid.text
