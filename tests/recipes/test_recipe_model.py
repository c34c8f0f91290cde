"""docs/extending.md, "A model": one file, and it is trained, watched, served and corrected."""

import json
from pathlib import Path

import pytest

from tests.recipes.cookbook import Kitchen

PROGRAM = """
import json
from datetime import date
from fastapi.testclient import TestClient
from qc_assets.assets.model_versions import model_assets, training_config
from qc_assets.assets.partitions import days_between
from qc_assets.cli.runs import run_job
from qc_assets.definitions import build_definitions
from qc_assets.models.specs import SPECS
from qc_assets.serving.app import create_app
from qc_assets.settings import load_settings
from qc_assets.sources.demo.source import DemoSource
from qc_assets.sources.loading import load
from qc_assets.store.warehouse import Warehouse

settings = load_settings(demo_prs=1_500, demo_days=150, start_date=date(2024, 1, 1), bootstrap_resamples=50)
graph = build_definitions(settings).resolve_asset_graph()
assets = sorted(key.to_user_string() for key in graph.get_all_asset_keys() if "merged" in key.to_user_string())
store = Warehouse.from_settings(settings)
load(store, DemoSource.from_settings(settings), days_between(settings.first_date, settings.last_date))
store.rebuild("ops/coverage", {"min_archive_completeness": settings.min_archive_completeness})
for table in ("pull_requests", "issues"):
    store.rebuild(f"features/{table}", settings.feature_parameters(table))
(training,) = [asset for asset in model_assets(settings) if asset.op.name == "train_merged"]
keys = [key.to_user_string() for key in training.keys]
run_job(settings, "training", selection=keys, ops={"train_merged": training_config(quick=True)["train_merged"]})
trained = store.query(
    "SELECT count(*) AS rows, count(*) FILTER (f.is_draft OR f.lines_changed < 10) AS drafts_and_small "
    "FROM ml.training_rows AS t JOIN features.pull_requests AS f USING (repo_id, number) WHERE t.model = 'merged'"
).row(0, named=True)
repo, number, login = store.query(
    "SELECT r.name, f.number, u.login FROM features.pull_requests AS f JOIN raw.repositories AS r USING (repo_id) "
    "JOIN raw.users AS u ON f.author_id = u.user_id WHERE f.exclusion IS NULL ORDER BY f.opened_at DESC LIMIT 1"
).row(0)
task = f"{repo}#{number}"
feedback = {"feedback_id": "a", "model": "merged", "kind": "outcome", "task_id": task, "given_by": "amy"}
with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
    answer = client.post("/predict/merged", json={"worker_id": login, "task_id": task})
    taken = client.post("/feedback", json=feedback | {"label": "rejected"})
    refused = client.post("/feedback", json=feedback | {"feedback_id": "b", "label": "passed"})
print(json.dumps({
    "models": [spec.name for spec in SPECS], "assets": assets, "trained": trained,
    "answer": [answer.status_code, answer.json()], "taken": taken.json(), "refused": refused.status_code,
}))
"""


@pytest.mark.slow
def test_a_model_takes_one_file(tmp_path: Path) -> None:
    kitchen = Kitchen(tmp_path)
    kitchen.carry_out("A model")
    assert kitchen.changed_files() == ["qc_assets/models/merged.py"]
    seen = json.loads(kitchen.run(PROGRAM).splitlines()[-1])
    assert seen["models"] == [
        "p0",
        "resolution_time",
        "close_in_7_days",
        "comment_category",
        "first_response",
        "merged",
    ]
    assert {"merged_model", "merged_bias_by_repo", "merged_bias_by_seniority"} <= set(seen["assets"])
    assert seen["trained"]["rows"] > 500
    assert seen["trained"]["drafts_and_small"] > 0, "p0's filter is p0's"
    status, answer = seen["answer"]
    assert status == 200, answer
    assert 0 <= answer["probability"] <= 1 and answer["answer"] in ("merged", "rejected", "UNCERTAIN")
    assert seen["taken"]["status"] == "recorded" and seen["refused"] == 422
