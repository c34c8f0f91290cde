"""Champion, code and warehouse of different versions: what is missing is unknown and named, and the others answer."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from qc_assets.learning.manifest import write_manifest
from qc_assets.registry.bundle_store import MANIFEST_SUM
from qc_assets.registry.model_registry import Registry
from qc_assets.serving.app import create_app
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse

ISSUE = {"worker_id": "dev-00001", "task_id": "acme/atlas#99999", "title_length": 40}
PULL_REQUEST = ISSUE | {"lines_changed": 50, "files_changed": 2}


@contextmanager
def served(settings: Settings) -> Iterator[TestClient]:
    app = create_app(settings.model_copy(update={"api_rate": "100000/second"}))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


@pytest.mark.slow
def test_a_column_or_a_table_that_is_missing_stops_nobody_else(main_run_copy: Settings) -> None:
    store = Warehouse.from_settings(main_run_copy)
    known = store.query(
        "SELECT r.name || '#' || f.number AS task, u.login FROM features.pull_requests AS f "
        "JOIN raw.repositories AS r USING (repo_id) JOIN raw.users AS u ON f.author_id = u.user_id LIMIT 1"
    ).row(0, named=True)
    with store.write() as connection:
        connection.execute("CREATE TABLE kept AS SELECT * EXCLUDE (author_prior_prs) FROM features.pull_requests")
        connection.execute("DROP TABLE features.pull_requests")
        connection.execute("CREATE TABLE features.pull_requests AS FROM kept")
        connection.execute("DROP TABLE kept")
        connection.execute("DROP TABLE features.issues")
        connection.execute("CREATE TABLE features.issues (another INTEGER)")
    with served(main_run_copy) as client:
        assert client.post("/predict", json=PULL_REQUEST).status_code == 200
        asked = PULL_REQUEST | {"worker_id": known["login"], "task_id": known["task"]}
        answer = client.post("/predict?details=true", json=asked).json()
        assert 0 < answer["p0"] < 1 and "author_prior_prs" in answer["details"]["unknown_features"]
        refused = client.post("/predict/close-in-7-days", json=ISSUE)
        assert refused.status_code == 503 and "qc train" in refused.json()["detail"]
        assert "SELECT" not in refused.text and "LINE" not in refused.text
        troubles = client.get("/health").json()["troubles"]
        assert "author_prior_prs" in troubles["features.pull_requests"]
        assert "qc train" in troubles["features.issues"]
        assert client.get("/").status_code == 200


@pytest.mark.slow
def test_a_champion_of_other_code_answers_what_it_can(main_run_copy: Settings, tmp_path: Path) -> None:
    registry = Registry(main_run_copy.tracking_uri, main_run_copy.artifact_root)
    version = registry.version_of("p0", "champion")
    assert version is not None
    run_id = registry.standing("p0").versions[version]
    logged = registry.client().search_logged_models(
        [registry.client().get_experiment_by_name("p0").experiment_id], f"source_run_id = '{run_id}'"
    )
    (path,) = Path(logged[0].artifact_location.removeprefix("file://")).rglob("bundle.json")
    document = json.loads(path.read_text())
    document["features"] = ["a_feature_of_before" if name == "log_lines" else name for name in document["features"]]
    path.write_text(json.dumps(document))
    registry.client().set_tag(run_id, MANIFEST_SUM, write_manifest(path.parent, "p0", run_id))
    with served(main_run_copy) as client:
        assert client.post("/predict", json=PULL_REQUEST).status_code == 200
        assert "a_feature_of_before" in client.get("/health").json()["troubles"]["features.pull_requests"]
        assert client.post("/predict/close-in-7-days", json=ISSUE).status_code == 200
