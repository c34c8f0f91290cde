"""The lifecycle against a real MLflow store."""

from dataclasses import replace
from typing import Any

import mlflow
import numpy as np
import pytest

from qc_assets.learning.trained import Options
from qc_assets.registry import lifecycle
from qc_assets.registry.model_registry import Registry
from tests.learning.test_models import OPTIONS, SMALL, rows
from tests.registry.conftest import QUICK, first_rows, second_rows


def run(registry: Registry, frame: Any, options: Options = OPTIONS, **origin: str) -> lifecycle.TrainingOutcome:
    return lifecycle.train_and_register(
        SMALL, frame, registry, options, is_synthetic=False, origin={"snapshot": "abc"} | origin
    )


@pytest.mark.slow
def test_a_version_is_registered_explained_and_served_by_mlflow(registry: Registry) -> None:
    outcome = run(registry, rows(n=1_500), dagster_run_id="d-1")
    assert outcome.decision.promote
    assert outcome.logged is not None and outcome.trained is not None
    client = mlflow.MlflowClient(registry.tracking_uri)
    version = client.get_model_version_by_alias("p0", "champion")
    assert version.tags["dagster_run_id"] == "d-1"
    assert version.tags["synthetic"] == "false"
    assert version.description.startswith("**Version 1 of p0.** It is the **champion**")
    assert "Promoted on" in version.description and "the first version to pass its gates" in version.description
    for file in ("model_card.md", "bias.html", "data.json"):
        run_page = f"#/experiments/{outcome.logged.experiment_id}/runs/{outcome.logged.run_id}"
        assert f"({run_page}/artifacts/{file})" in version.description
    logged = client.get_run(outcome.logged.run_id)
    assert {"test/roc_auc", "last_30_days/log_loss", "validation/log_loss", "without_model/log_loss"} <= set(
        logged.data.metrics
    )
    card = logged.data.tags["mlflow.note.content"]
    assert (
        card.startswith("# p0: Will this pull request pass its first review?") and card[:1_000] in version.description
    )
    assert not [name for name in logged.data.metrics if "/" not in name or name.endswith(("lower", "upper"))]
    artifacts = {item.path for item in client.list_artifacts(outcome.logged.run_id)}
    assert {"plots", "evaluation.json", "model_card.md"} <= artifacts
    nested = client.search_runs(
        [outcome.logged.experiment_id], f"tags.`mlflow.parentRunId` = '{outcome.logged.run_id}'"
    )
    assert {one.data.tags["candidate"] for one in nested} == {"blend", "lightgbm"}
    frame = outcome.trained.data.frame[:20]
    served = mlflow.pyfunc.load_model("models:/p0@champion")
    answer = served.predict(frame.select(SMALL.features).to_pandas().astype({"author_prior_prs": float}))
    champion = registry.champion("p0")
    assert champion is not None
    assert np.allclose(answer, champion[1].predict(frame))
    files = [path for path in registry.artifact_root.rglob("*") if path.is_file()]
    assert any(path.name == "bundle.json" for path in files)
    unsafe = (".pkl", ".pickle", ".joblib", ".cloudpickle")
    assert [path for path in files if path.suffix in unsafe] == [], "no file is a pickle"


@pytest.mark.slow
@pytest.mark.usefixtures("without_figures")
def test_a_regression_becomes_challenger_and_the_champion_stays(trained_once: Registry) -> None:
    registry = trained_once
    outcome = run(registry, first_rows().with_columns(log_lines=first_rows()["log_lines"].shuffle(seed=1)), QUICK)
    assert not outcome.decision.promote
    said = mlflow.MlflowClient(registry.tracking_uri).get_model_version("p0", "2").description
    assert (
        "It answers nobody" in said and "/artifacts/comparison.html)" in said and ", compared with version 1: " in said
    )
    client = mlflow.MlflowClient(registry.tracking_uri)
    assert client.get_model_version_by_alias("p0", "champion").version == 1
    assert client.get_model_version_by_alias("p0", "challenger").version == 2
    assert run(registry, second_rows(), QUICK).decision.promote
    assert client.get_model_version_by_alias("p0", "champion").version == 3
    assert "It was champion, and another is now" in client.get_model_version("p0", "1").description
    assert "It has no alias" in client.get_model_version("p0", "2").description
    client.set_registered_model_alias("p0", "champion", "1")
    assert registry.champion("p0")[0] == 1, "rolling back is moving an alias"  # type: ignore[index]


def test_too_few_rows_fail_the_gate_and_register_nothing(registry: Registry) -> None:
    for n, days in ((0, 20), (49, 20), (60, 12)):
        outcome = lifecycle.train_and_register(
            replace(SMALL), rows(n=n, days=days), registry, OPTIONS, is_synthetic=False, origin={}
        )
        assert [gate.passed for gate in outcome.gates] == [False]
        assert outcome.logged is None
    assert registry.champion("p0") is None


@pytest.mark.usefixtures("without_figures")
def test_a_sample_and_its_learning_curve_are_on_the_run_and_the_card(registry: Registry) -> None:
    outcome = run(registry, rows(n=1_500), replace(QUICK, train_rows=400))
    assert outcome.logged is not None and outcome.trained is not None and outcome.trained.curve is not None
    client = mlflow.MlflowClient(registry.tracking_uri)
    params = client.get_run(outcome.logged.run_id).data.params
    assert params["rows_fitted_train"] == "400" and int(params["rows_train"]) == len(outcome.trained.split.train)
    history = client.get_metric_history(outcome.logged.run_id, "learning_curve/log_loss")
    assert [(each.step, each.value) for each in history] == list(outcome.trained.curve.points)
    assert f"400 of {len(outcome.trained.split.train):,} (train)" in outcome.card
    assert "The last doubling changed log loss by" in outcome.card
