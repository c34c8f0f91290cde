"""docs/extending.md, "A feature": two files, and it is everywhere."""

import json
from pathlib import Path

import pytest

from tests.recipes.cookbook import Kitchen

# A small demo with a champion, a known pull request, the same author in a repository of theirs and in none, a delivery.
PROGRAM = """
import json
from datetime import date
from fastapi.testclient import TestClient
from githubkit.webhooks import sign
from qc_assets.assets import tables
from qc_assets.assets.model_versions import model_assets, training_config
from qc_assets.assets.partitions import days_between
from qc_assets.cli.runs import run_job
from qc_assets.serving import journal_reader
from qc_assets.serving.app import create_app
from qc_assets.settings import load_settings
from qc_assets.sources.demo.source import DemoSource
from qc_assets.sources.loading import load
from qc_assets.store.warehouse import Warehouse

settings = load_settings(
    demo_prs=800, demo_days=90, start_date=date(2024, 1, 1), bootstrap_resamples=50, webhook_secret="a long secret"
)
store = Warehouse.from_settings(settings)
load(store, DemoSource.from_settings(settings), days_between(settings.first_date, settings.last_date))
store.rebuild("ops/coverage", {"min_archive_completeness": settings.min_archive_completeness})
for table in ("pull_requests", "issues"):
    store.rebuild(f"features/{table}", settings.feature_parameters(table))
config = training_config(quick=True, candidates=["lightgbm"])
(training,) = [asset for asset in model_assets(settings) if asset.op.name == "train_p0"]
keys = [key.to_user_string() for key in training.keys]
run_job(settings, "training", selection=keys, ops={"train_p0": config["train_p0"]})
(column,) = [c for c in tables.column_schema("features.pull_requests").columns if c.name == "author_prior_failed"]
row = store.query(
    "SELECT f.*, r.name AS repo, u.login FROM features.pull_requests AS f JOIN raw.repositories AS r USING (repo_id) "
    "JOIN raw.users AS u ON f.author_id = u.user_id WHERE exclusion IS NULL AND author_prior_failed > 3 "
    "ORDER BY opened_at DESC LIMIT 1"
).row(0, named=True)
outcomes = store.query(
    "SELECT count(*) FILTER (NOT passed) FROM features.pull_requests "
    "WHERE author_id = ? AND origin IN ('person', 'unknown')", [row["author_id"]]
).item()
sizes = {"lines_changed": 50, "files_changed": 2, "title_length": 40}
with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
    for task in (f"{row['repo']}#{row['number']}", f"{row['repo']}#99999", "else/where#1"):
        answer = client.post("/predict", json={"worker_id": row["login"], "task_id": task, **sizes})
        assert answer.status_code == 200, answer.text
    pull_request = {"number": 99998, "user": {"login": row["login"]}, "title": "fix: it", "additions": 3,
                    "created_at": "2025-01-01T00:00:00Z", "updated_at": "2025-01-01T00:00:00Z"}
    body = json.dumps({"action": "opened", "repository": {"full_name": row["repo"]}, "pull_request": pull_request})
    headers = {"X-GitHub-Event": "pull_request", "X-Hub-Signature-256": sign("a long secret", body, method="sha256")}
    answer = client.post("/webhook/github", content=body, headers=headers)
    assert answer.json()["status"] == "predicted", answer.text
entries = journal_reader.latest(settings.journal_file, ["prediction"], 4)
print(json.dumps({
    "column": [column.type, column.description], "row": row["author_prior_failed"], "now": outcomes,
    "served": [entry["document"]["features"]["author_prior_failed"] for entry in reversed(entries)],
}))
"""


@pytest.mark.slow
def test_a_feature_takes_two_files(tmp_path: Path) -> None:
    kitchen = Kitchen(tmp_path)
    kitchen.carry_out("A feature")
    assert kitchen.changed_files() == ["qc_assets/models/p0.py", "warehouse/features/pull_requests.sql"]
    seen = json.loads(kitchen.run(PROGRAM).splitlines()[-1])
    assert seen["column"] == ["INTEGER", "How many of those had not passed"], "as the Dagster UI shows it"
    known, here, elsewhere, delivered = seen["served"]
    assert known == seen["row"] > 3, "a known pull request has the value of its training row"
    assert here == elsewhere == delivered == seen["now"], "an unknown one has what the author's history says now"
