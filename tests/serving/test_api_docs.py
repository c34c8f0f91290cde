"""/docs and /redoc: nothing is fetched from elsewhere, and the policy is that of the page at /."""

import re
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from qc_assets.serving import api_docs
from qc_assets.serving.guard import RequestGuard
from qc_assets.serving.prometheus import Metrics
from qc_assets.settings import load_settings


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = FastAPI(docs_url=None, redoc_url=None)
    app.include_router(api_docs.router)
    # Behind the gate, which lets an answer know at once that no more of a request will come.
    gate = RequestGuard(app, load_settings(_env_file=None), Metrics(SimpleNamespace()))  # type: ignore[arg-type]
    with TestClient(gate, base_url="http://127.0.0.1") as client:
        yield client


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_all_that_a_page_names_is_served_by_us(client: TestClient, path: str) -> None:
    page = client.get(path)
    assert page.headers["content-security-policy"] == api_docs.POLICY
    assert "unsafe-inline" not in api_docs.POLICY.partition("script-src")[2].partition(";")[0]
    assert not re.search(r"<script>|https?://|src=\"//|\son\w+=", page.text)
    names = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page.text)
    assert len(names) == 3
    for name in names:
        file = client.get(f"/{name}")
        assert file.status_code == 200 and len(file.content) > 50, name
        assert file.headers["content-type"].partition(";")[0] in (
            "text/javascript",
            "text/css",
            "application/javascript",
        )


@pytest.mark.parametrize("name", ["nothing.js", "..%2f__init__.py", "%2e%2e/core.py", "favicon.png"])
def test_no_other_file_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/docs/files/{name}").status_code == 404
