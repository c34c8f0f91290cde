"""Every model is asked at POST /predict/{model}, by what its feature table and its spec say."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from qc_assets.features.contract import contract_of
from qc_assets.learning.spec import ModelSpec
from qc_assets.models.specs import SPECS
from qc_assets.serving.facts import Facts, PullRequestFacts, askable, request_of
from qc_assets.serving.rows import feature_frame, item_row
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse
from tests.serving.test_serving_app import FACTS

STRANGER = {"worker_id": "nobody-knows-me", "task_id": "acme/atlas#99999"}
ITEM_SPECS = [spec for spec in SPECS if issubclass(request_of(spec), Facts)]


def known_items(settings: Settings, spec: ModelSpec) -> pl.DataFrame:
    """The newest rows of a model's table, with names."""
    return Warehouse.from_settings(settings).query(
        f"SELECT f.*, r.name AS repo, u.login FROM {spec.table} AS f JOIN raw.repositories AS r USING (repo_id) "
        "JOIN raw.users AS u ON f.author_id = u.user_id WHERE exclusion IS NULL ORDER BY opened_at DESC LIMIT 10"
    )


@pytest.mark.parametrize("spec", ITEM_SPECS, ids=lambda spec: spec.name)
def test_every_feature_of_a_known_item_is_that_of_its_training_row(
    api: TestClient, serving_settings: Settings, spec: ModelSpec
) -> None:
    """Nothing but author and task is said; a feature that were looked up elsewhere, or not at all, would differ."""
    knowledge = api.app.state.serving.knowledge  # type: ignore[attr-defined]
    items = known_items(serving_settings, spec)
    champion = api.app.state.serving.champions.of(spec.name).bundle  # type: ignore[attr-defined]
    assert len(items) == 10
    for index, item in enumerate(items.iter_rows(named=True)):
        asked = {"worker_id": item["login"].upper(), "task_id": f"{item['repo']}#{item['number']}"}
        facts = request_of(spec)(**asked)
        assert isinstance(facts, Facts)
        served = feature_frame([item_row(facts, knowledge, datetime.now(UTC))], spec)
        numbers = items[index].select(pl.col(name).cast(served.schema[name]) for name in spec.features)
        assert served.select(spec.features).equals(numbers), (item["repo"], item["number"])
        if not spec.bound:  # another champion bounds its answer
            answer = api.post(f"/predict/{spec.name}", json=asked).json()
            assert answer.get("probability", answer.get("hours")) in champion.predict(items[index])
    somebody_else = api.post(f"/predict/{spec.name}?details=true", json=asked | {"worker_id": "nobody"}).json()
    assert not somebody_else["details"]["is_known_task"], "what its author knew is not another's"


@pytest.mark.parametrize("spec", ITEM_SPECS, ids=lambda spec: spec.name)
def test_what_a_caller_says_of_an_unknown_item_reaches_the_model(
    api: TestClient, serving_settings: Settings, spec: ModelSpec
) -> None:
    """All that a training row says of the item itself can be said; the rest is history, looked up."""
    knowledge = api.app.state.serving.knowledge  # type: ignore[attr-defined]
    item = known_items(serving_settings, spec).row(0, named=True)
    said = {name: item[name] for name in askable(spec)}
    facts = request_of(spec)(**STRANGER, **said)
    assert isinstance(facts, Facts)
    served = feature_frame([item_row(facts, knowledge, datetime.now(UTC))], spec).row(0, named=True)
    own = [name for name in spec.features if name not in contract_of(facts.table).history]
    assert len(own) > 5
    for name in own:
        if name not in spec.categories:
            assert served[name] == item[name], name
    nobody = [served[name] for name in spec.features if name.startswith(("author_prior", "author_reviews_given"))]
    assert nobody and set(nobody) == {0.0}, "history is looked up, as a stranger's here"


def test_generic_answers_are_those_of_the_named_endpoints(api: TestClient) -> None:
    issue = {"worker_id": "dev-00001", "task_id": "acme/atlas#99998", "title_length": 30, "is_bug": True}
    named = api.post("/predict/resolution-time", json=issue).json()
    assert api.post("/predict/resolution_time", json=issue).json() == named
    named = api.post("/predict/close-in-7-days", json=issue).json()
    assert api.post("/predict/close_in_7_days", json=issue).json() == named
    comment = {"body": "Typo in the docstring.", "path": "src/a.py"}
    named = api.post("/classify/comment", json=comment).json()
    generic = api.post("/predict/comment_category", json=comment).json()
    assert generic["category"] == named["category"]
    assert generic["probabilities"] == pytest.approx(named["probabilities"], abs=1e-6)
    pull_request = {**STRANGER, "lines_changed": 50, "files_changed": 2, "title_length": 40}
    assumed = PullRequestFacts(**pull_request).assumed()
    named = api.post("/predict", json=pull_request).json()
    generic = api.post("/predict/p0?details=true", json=pull_request | assumed).json()
    assert generic["probability"] == named["p0"] and generic["model_version"] == named["model_version"]
    likely = max(named["p0"], 1 - named["p0"])
    assert generic["answer"] == ("UNCERTAIN" if likely < 0.55 else "passed" if named["p0"] >= 0.5 else "failed")
    assert "link_count" in generic["details"]["unknown_features"]
    more = api.post("/predict/p0?details=true", json=pull_request | {"link_count": 3}).json()
    assert "link_count" not in more["details"]["unknown_features"]


@pytest.mark.parametrize(("model", "changes", "field"), [
    ("", {"lines_changed": -1}, "lines_changed"), ("", {"files_changed": 0}, "files_changed"),
    ("", {"worker_pass_rate": 1.5}, "worker_pass_rate"), ("", {"submission_hour": 24}, "submission_hour"),
    ("", {"worker_id": ""}, "worker_id"), ("", {"lines_chnged": 3}, "lines_chnged"),
    ("", {"task_id": "a\0b"}, "task_id"),
    ("", {"worker_avg_cycles": "many"}, "worker_avg_cycles"),
    ("", {"lines_changed": True}, "lines_changed"), ("p0", {"link_count": False}, "link_count"),
    ("p0", {"link_count": -1}, "link_count"),
    ("p0", {"author_association": "KING"}, "author_association"),
    ("p0", {"weekday": 7}, "weekday"),
    ("p0", {"log_lines": 1.0}, "log_lines"),
    ("p0", {"passed": True}, "passed"),
    ("resolution_time", {"label_count": 1.5}, "label_count"),
])  # fmt: skip
def test_bad_facts_are_named(api: TestClient, model: str, changes: dict[str, Any], field: str) -> None:
    answer = api.post(f"/predict/{model}".rstrip("/"), json=(STRANGER if model else FACTS) | changes)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][-1] == field and answer.json()["detail"][0]["msg"]


def test_a_text_must_be_there(api: TestClient) -> None:
    answer = api.post("/predict/comment_category", json={"path": "a.py"})
    assert answer.status_code == 422 and answer.json()["detail"][0]["loc"] == ["body", "body"]


def test_an_unknown_model_is_told_which_there_are(api: TestClient) -> None:
    answer = api.post("/predict/p1", json=STRANGER)
    assert answer.status_code == 404
    assert all(spec.name in answer.json()["detail"] for spec in SPECS)


def test_requests_are_described_by_the_comments_of_the_sql(api: TestClient) -> None:
    schemas = api.get("/openapi.json").json()["components"]["schemas"]
    properties = schemas["P0Facts"]["properties"]
    columns = contract_of("pull_requests").columns
    assert set(properties) - {"worker_id", "worker_account_id", "task_id"} == set(askable(SPECS[0]))
    assert all(properties[name]["description"] == columns[name].comment for name in askable(SPECS[0]))
    assert {"lines_changed", "hour"} <= set(properties) and "log_lines" not in properties


def test_both_answers_about_an_issue_agree(api: TestClient, serving_settings: Settings) -> None:
    """By no moment more can be resolved than are closed; asked over the API, of known issues and of a stranger's."""
    spec = next(spec for spec in SPECS if spec.bound)
    items = known_items(serving_settings, spec)
    asked = [{"worker_id": row["login"], "task_id": f"{row['repo']}#{row['number']}"} for row in items.to_dicts()]
    for request in [*asked, STRANGER]:
        duration = api.post("/predict/resolution-time?details=true", json=request).json()
        p = api.post("/predict/close-in-7-days", json=request).json()["probability"]
        levels = {"lower": 0.1, "hours": 0.5, "upper": 0.9}
        early = [end for end, level in levels.items() if duration[end] < 168 and p < level]
        assert not early, (request, duration, p)
        if "raised" in duration["details"]:
            assert duration["details"]["raised"].startswith("close_in_7_days version ")


def test_a_first_response_is_answered_and_how_much_longer_what_has_waited_takes(
    api: TestClient, serving_settings: Settings
) -> None:
    request = STRANGER | {"lines_changed": 120, "files_changed": 4}
    fresh = api.post("/predict/first-response", json=request).json()
    assert api.post("/predict/first_response", json=request).json() == fresh
    assert "remaining" not in fresh
    assert 0 <= fresh["lower"] <= fresh["hours"] <= fresh["upper"] <= fresh["horizon_hours"]
    for waited in (0.0, 5.0, 30.0):
        answer = api.post("/predict/first-response", json=request | {"waited_hours": waited}).json()
        remaining = answer.pop("remaining")
        assert answer == fresh, "what was to be expected at the opening stays"
        ends = [remaining[name] for name in ("lower", "hours", "within", "upper", "horizon")]
        assert ends[0] >= 0 and ends == sorted(ends)
        assert remaining["horizon"] == pytest.approx(fresh["horizon_hours"] - waited)
        assert remaining["words"].endswith(f"within {remaining['within']:.0f} h (80 %)")
    beyond = api.post("/predict/first-response", json=request | {"waited_hours": fresh["horizon_hours"] + 1}).json()
    assert beyond == fresh, "no row waited so long"
    for wrong in (-1, "long"):
        refused = api.post("/predict/first-response", json=request | {"waited_hours": wrong})
        assert refused.status_code == 422 and refused.json()["detail"][0]["loc"] == ["body", "waited_hours"]
    other = api.post("/predict/p0", json=STRANGER | {"waited_hours": 3})
    assert other.status_code == 422, "of what nobody waits for it is not asked"


def test_of_open_pull_requests_the_api_says_what_the_work_list_says(
    api: TestClient, serving_settings: Settings
) -> None:
    store = Warehouse.from_settings(serving_settings)
    rows = store.query(
        "SELECT list.repository || '#' || list.number AS task_id, list.author AS worker_id, waits.* "
        "FROM analysis.open_pull_requests AS list INNER JOIN ml.waits AS waits USING (repo_id, number) "
        "WHERE waits.within_hours IS NOT NULL ORDER BY list.position LIMIT 5"
    ).to_dicts()
    assert rows
    for row in rows:
        asked = {name: row[name] for name in ("task_id", "worker_id", "waited_hours")}
        answer = api.post("/predict/first-response", json=asked).json()
        assert answer["hours"] == pytest.approx(row["expected_hours"])
        assert answer["remaining"]["within"] == pytest.approx(row["within_hours"])
        assert answer["remaining"]["words"] == row["words"]
