"""Tasks that can be paid for: each once."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse

DECIDABLE = (
    "SELECT r.name || '#' || p.number AS task_id, p.author_login AS worker_id, f.lines_changed, f.files_changed, "
    "f.title_length, f.author_pass_rate, f.passed FROM features.pull_requests AS f "
    "JOIN raw.pull_requests AS p USING (repo_id, number) JOIN raw.repositories AS r USING (repo_id) "
    "WHERE NOT list_has_any(f.exclusions, ['bot', 'draft', 'too_small', 'size_unknown', 'opening_not_observed']) "
)


def open_tasks(settings: Settings) -> Iterator[dict[str, Any]]:
    """Pull requests that nobody has decided on, as the warehouse knows them."""
    query = f"{DECIDABLE} AND f.passed IS NULL AND f.lines_changed > 20 ORDER BY task_id"
    return iter(Warehouse.from_settings(settings).query(query).to_dicts())


@pytest.fixture(scope="session")
def unpaid(serving_settings: Settings) -> Iterator[dict[str, Any]]:
    """Open pull requests, each for one test."""
    return open_tasks(serving_settings)


@pytest.fixture
def task(api: TestClient, unpaid: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """One of which p0 is certain."""
    for known in unpaid:
        asked = {name: known[name] for name in ("task_id", "worker_id")}
        details = api.post("/predict/p0?details=true", json=asked).json()["details"]
        if details["answer"] != "UNCERTAIN":
            return known
    pytest.fail("the demo has too few open pull requests")
