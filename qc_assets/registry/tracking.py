"""What a training leaves in MLflow: a run, a child for each candidate, a grandchild for each trial."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from qc_assets.learning.task import task_of
from qc_assets.learning.trained import FittedCandidate, Trained, Trial


def log_training(trained: Trained, figures: Mapping[str, bytes], tags: Mapping[str, str]) -> None:
    """Log into the active MLflow run, which becomes the parent of the candidates' runs.

    Args:
        trained: the training.
        figures: its plots as PNG, by name.
        tags: put on every run.
    """
    import mlflow

    parent = mlflow.active_run().info
    task = task_of(trained.spec)
    mlflow.set_tags({**tags, "candidate": trained.best.kind, "level": "training", "task": task.name})
    _log_candidate(trained, trained.best)
    mlflow.log_params({f"rows_{name}": len(rows) for name, rows in trained.split.windows.items()})
    mlflow.log_params(dict(trained.context))
    for head, estimates in trained.heads.items():
        values = {f"test_{head}_{name}": estimate.value for name, estimate in estimates.items()}
        mlflow.log_metrics({name: value for name, value in values.items() if value is not None})
    _log_data(trained, tags)
    for candidate in trained.candidates:
        with mlflow.start_run(experiment_id=parent.experiment_id, run_name=candidate.kind, nested=True) as run:
            mlflow.set_tags({**tags, "candidate": candidate.kind, "level": "candidate", "task": task.name})
            _log_candidate(trained, candidate)
            if len(candidate.trials) > 1:
                for number, trial in enumerate(candidate.trials):
                    _log_trial(trained, candidate, number, trial, run.info, tags)
    for name, image in figures.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.png"
            path.write_bytes(image)
            mlflow.log_artifact(str(path), "plots")
    mlflow.log_dict(
        {
            window: {name: asdict(estimate) for name, estimate in estimates.items()}
            for window, estimates in trained.best.evaluations.items()
        },
        "evaluation.json",
    )


def _log_candidate(trained: Trained, candidate: FittedCandidate) -> None:
    import mlflow

    mlflow.log_params(candidate.parameters)
    metrics: dict[str, float | None] = {_validation(trained): candidate.validation}
    for window, estimates in candidate.evaluations.items():
        for name, estimate in estimates.items():
            metrics |= {f"{window}_{name}": estimate.value, f"{window}_{name}_lower": estimate.lower}
            metrics |= {f"{window}_{name}_upper": estimate.upper, f"{window}_{name}_baseline": estimate.baseline}
    # A number that does not exist is none in MLflow either, which would take NaN for one.
    mlflow.log_metrics({name: value for name, value in metrics.items() if value is not None and isfinite(value)})
    mlflow.set_tag("calibration", candidate.calibrator.method)


def _log_trial(
    trained: Trained, candidate: FittedCandidate, number: int, trial: Trial, parent: Any, tags: Mapping[str, str]
) -> None:
    """One request a trial: a search has many."""
    import time

    import mlflow
    from mlflow.entities import Metric, Param, RunTag

    client = mlflow.MlflowClient()
    run_tags = {**tags, "candidate": candidate.kind, "level": "trial", "mlflow.parentRunId": parent.run_id}
    run = client.create_run(parent.experiment_id, run_name=f"{candidate.kind} trial {number}", tags=run_tags)
    now = int(time.time() * 1000)
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(_validation(trained), trial.validation, now, 0)],
        params=[Param(name, str(value)) for name, value in trial.parameters.items()],
        tags=[RunTag("chosen", str(trial.parameters == candidate.parameters).lower())],
    )
    client.set_terminated(run.info.run_id)


def _validation(trained: Trained) -> str:
    return f"validation_{task_of(trained.spec).selection}"


def _log_data(trained: Trained, tags: Mapping[str, str]) -> None:
    """The data set as MLflow shows it: name, identity, rows and time of each window."""
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.exceptions import MlflowException
    from tenacity import retry, retry_if_exception_type, stop_after_attempt

    windows = {
        name: {
            "rows": len(rows),
            "from": str(trained.data.opened_at[rows[0]]),
            "to": str(trained.data.opened_at[rows[-1]]),
        }
        for name, rows in trained.split.windows.items()
    }
    mlflow.log_dict({"table": trained.spec.table, "snapshot": tags.get("snapshot"), "windows": windows}, "data.json")
    data = MetaDataset(
        CodeDatasetSource({"table": trained.spec.table}),
        name=trained.spec.table,
        digest=tags.get("snapshot", "")[:36] or None,
    )
    # MLflow looks for the data set and then inserts it: of two trainings on the same rows at once, the slower finds it
    # there when it looks again.
    again = retry(retry=retry_if_exception_type(MlflowException), stop=stop_after_attempt(3), reraise=True)
    again(mlflow.log_input)(data, context="training", tags={"windows": json.dumps(windows)[:500]})
