"""The API on the champions of the main run."""

import re
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from qc_assets.assets.resources import RegistryResource
from qc_assets.models.p0 import SPEC as P0
from qc_assets.models.specs import SPECS
from qc_assets.serving.app import create_app
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse

FACTS = {"worker_id": "dev-00001", "task_id": "acme/atlas#99999", "lines_changed": 50, "files_changed": 2,
         "title_length": 40}  # fmt: skip


def test_a_prediction_has_its_bucket_and_action_and_nothing_else(api: TestClient) -> None:
    answer = api.post("/predict", json=FACTS).json()
    assert set(answer) == {
        *("task_id", "worker_id", "p0", "confidence_bucket", "recommended_action", "model_version"),
    }
    assert 0 < answer["p0"] < 1 and answer["model_version"] == "1"
    assert answer["task_id"] == FACTS["task_id"] and answer["worker_id"] == FACTS["worker_id"]
    better = api.post("/predict", json=FACTS | {"worker_pass_rate": 0.99, "lines_changed": 3}).json()
    assert better["p0"] > answer["p0"]


def test_a_batch_answers_in_order_and_as_single_requests_do(api: TestClient) -> None:
    asked = [FACTS | {"lines_changed": lines} for lines in (1, 100, 10_000)]
    batch = api.post("/predict/batch", json={"rows": asked}).json()["predictions"]
    # Sums over several rows go through wider instructions of the processor: they may differ in the last bit.
    alone = [api.post("/predict", json=row).json()["p0"] for row in asked]
    assert [answer["p0"] for answer in batch] == pytest.approx(alone, abs=1e-12, rel=0)
    assert set(batch[0]) == set(api.post("/predict", json=asked[0]).json())
    assert api.post("/predict/batch", json={"rows": []}).status_code == 422
    assert api.post("/predict/batch", json={"rows": [FACTS] * 10_001}).status_code == 422


def test_reasons_and_doubts_come_on_request(api: TestClient) -> None:
    answer = api.post("/predict?details=true", json=FACTS).json()
    details = answer["details"]
    assert len(details["reasons"]) == 3
    assert details["lower"] <= answer["p0"] <= details["upper"] and details["lower"] < details["upper"]
    generic = api.post("/predict/p0?details=true", json=FACTS).json()
    assert generic["details"]["lower"] <= generic["probability"] <= generic["details"]["upper"]
    way, on_way, off_way = (details["heads"][name] for name in ("verdict", "approved_if_verdict", "landed_if_none"))
    assert way * on_way + (1 - way) * off_way == pytest.approx(answer["p0"], abs=0.01), "but for the calibration"
    effects = [abs(reason["contribution"]) for reason in details["reasons"]]
    assert effects == sorted(effects, reverse=True) and effects[0] > 0
    assert not details["is_known_task"] and "link_count" in details["unknown_features"]
    # A change that is even smaller should be moved by its size, too.
    tiny = api.post("/predict?details=true", json=FACTS | {"lines_changed": 100_000, "files_changed": 500}).json()
    assert {"log_lines", "files_changed"} & {reason["feature"] for reason in tiny["details"]["reasons"]}


def test_what_would_be_different_is_what_the_champion_answers_then(api: TestClient) -> None:
    """Said of what its author decides on, and by really asking."""
    long = FACTS | {"lines_changed": 5_000, "files_changed": 90, "body_length": 0}
    answer = api.post("/predict?details=true", json=long).json()
    differences = answer["details"]["differences"]
    assert 1 <= len(differences) <= 3
    fields = {"lines": "lines_changed", "files": "files_changed", "description": "body_length", "commits": "commits"}
    fields |= {"title": "title_length"}
    for difference in differences:
        number = int(re.search(r"\d[\d,]*", difference["change"])[0].replace(",", ""))  # type: ignore[index]
        words = difference["change"].split()
        name = next(fields[word] for word in ("title", "description", "lines", "files", "commits") if word in words)
        then = api.post("/predict", json=long | {name: number}).json()["p0"]
        assert then == pytest.approx(difference["prediction"], abs=1e-9), difference
        assert difference["words"] == f"{difference['change']}: {then - answer['p0']:+.2f}"
    effects = [abs(difference["prediction"] - answer["p0"]) for difference in differences]
    assert effects == sorted(effects, reverse=True)
    assert all(reason["words"].endswith(("raises it", "lowers it")) for reason in answer["details"]["reasons"])


def test_near_even_odds_the_answer_is_uncertain(api: TestClient) -> None:
    large = FACTS | {"lines_changed": 3_000, "files_changed": 60, "title_length": 3}
    asked = [large | {"worker_id": f"dev-{n:05}"} for n in range(300)]
    found = api.post("/predict/batch", json={"rows": asked}).json()["predictions"]
    for row, one in zip(asked, found, strict=True):
        is_even = max(one["p0"], 1 - one["p0"]) < 0.55
        if is_even or one is found[0]:
            details = api.post("/predict?details=true", json=row).json()["details"]
            assert (details["answer"] == "UNCERTAIN") == is_even
            if is_even:
                return
    pytest.fail("none of 300 was near even odds")


def _bundle(settings: Settings, model: str) -> Any:
    found = RegistryResource.from_settings(settings).open().champion(model)
    assert found is not None
    return found[1]


def test_issues_are_answered_with_an_interval_and_as_in_training(api: TestClient, serving_settings: Settings) -> None:
    found = Warehouse.from_settings(serving_settings).query(
        "SELECT f.*, r.name AS repo, u.login FROM features.issues AS f JOIN raw.repositories AS r USING (repo_id) "
        "JOIN raw.users AS u ON f.author_id = u.user_id WHERE exclusion IS NULL ORDER BY opened_at DESC LIMIT 1"
    )
    one = found.row(0, named=True)
    asked = {"worker_id": one["login"], "task_id": f"{one['repo']}#{one['number']}"}
    hours = _bundle(serving_settings, "resolution_time").predict(found)[0]
    answer = api.post("/predict/resolution-time", json=asked).json()
    assert [answer["lower"], answer["hours"], answer["upper"]] == hours.tolist()
    assert 0 <= answer["lower"] <= answer["hours"] <= answer["upper"] <= answer["horizon_hours"]
    closing = api.post("/predict/close-in-7-days?details=true", json=asked).json()
    likely = closing["probability"]
    word = "UNCERTAIN" if max(likely, 1 - likely) < 0.55 else "closed" if likely >= 0.5 else "open"
    assert closing["answer"] == word and len(closing["details"]["reasons"]) == 3
    stranger = api.post("/predict/close-in-7-days", json={"worker_id": "x", "task_id": "y", "is_bug": True})
    assert 0 < stranger.json()["probability"] < 1


def test_comments_are_classified_or_uncertain(api: TestClient, serving_settings: Settings) -> None:
    bundle = _bundle(serving_settings, "comment_category")
    bodies = ["Please rename this variable, the name says nothing.", "Typo in the docstring.", "hm"]
    for body in bodies:
        answer = api.post("/classify/comment", json={"body": body}).json()
        expected = bundle.predict(pl.DataFrame({"body": [body], "path": [None]}, schema_overrides={"path": pl.String}))
        assert answer["confidence"] == pytest.approx(expected.max(), abs=1e-6)
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        best = max(answer["probabilities"], key=answer["probabilities"].get)
        assert answer["category"] == (best if answer["confidence"] >= 0.6 else "UNCERTAIN")
    assert api.post("/classify/comment", json={"body": ""}).status_code == 422


def test_models_say_what_they_are(api: TestClient) -> None:
    info = api.get("/model/info").json()
    assert set(info) == {spec.name for spec in SPECS}
    p0 = info["p0"]
    assert p0["version"] == "1" and p0["is_synthetic"] and p0["features"][: len(P0.features)] == list(P0.features)
    assert p0["window"]["train_from"] < p0["window"]["train_until"] and p0["window"]["train_rows"] > 0
    assert p0["metrics"]["roc_auc"]["lower"] < p0["metrics"]["roc_auc"]["value"] < p0["metrics"]["roc_auc"]["upper"]
    health = api.get("/health").json()
    assert health["status"] == "ok" and health["champions"]["p0"] == "1"


def test_every_endpoint_has_examples(api: TestClient) -> None:
    document = api.get("/openapi.json").json()
    schemas = document["components"]["schemas"]

    def shows(content: dict[str, Any]) -> bool:
        media = next(iter(content.values()))
        schema = schemas.get(media.get("schema", {}).get("$ref", "").rpartition("/")[2], {})
        nested = [
            one.get("$ref", one.get("items", {}).get("$ref", "")) for one in schema.get("properties", {}).values()
        ]
        return (
            "example" in media
            or "example" in schema
            or any("example" in schemas.get(name.rpartition("/")[2], {}) for name in nested)
        )

    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
            assert path == "/" or shows(operation["responses"]["200"]["content"]), path
            assert "requestBody" not in operation or shows(operation["requestBody"]["content"]), path
    assert set(document["paths"]) == {
        *("/", "/health", "/metrics", "/model/info", "/predict", "/predict/batch", "/predict/resolution-time"),
        *("/predict/close-in-7-days", "/predict/first-response", "/classify/comment", "/feedback", "/check", "/payout"),
        "/webhook/github",
        *("/payouts", "/payouts/resume"),
        *("/payouts/{identity}", "/payouts/{identity}/appeal", "/payouts/{identity}/settle"),
        *(f"/predict/{spec.name}" for spec in SPECS),
    }


def test_without_a_champion_it_says_which_command_trains_one(make_settings: Any) -> None:
    settings = make_settings()
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        answer = client.post("/predict", json=FACTS)
        assert answer.status_code == 503 and "run `qc train p0`" in answer.json()["detail"]
        assert "qc demo" in client.get("/health").json()["troubles"]["warehouse"]
        with Warehouse.from_settings(settings).write():
            pass  # an empty warehouse
        client.app.state.serving.refresh_knowledge()  # type: ignore[attr-defined]
        health = client.get("/health").json()
        assert health["status"] == "degraded" and "no features yet" in health["troubles"]["warehouse"]
        assert "qc train comment_category" in health["troubles"]["comment_category"]
        assert "p0 has no champion yet: run `qc train p0`" in client.get("/").text
