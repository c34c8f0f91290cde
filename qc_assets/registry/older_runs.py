"""Runs of before: their metrics get the names by which one compares now."""

import time

from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.registry.mlflow_store import MlflowStore, mlflow_at_work
from qc_assets.registry.wording import WITHOUT_MODEL, about_experiment

_MOST = 10_000


def group_metrics(store: MlflowStore, spec: ModelSpec) -> int:
    """Log metrics such as `test_roc_auc` also as `test/roc_auc`; MLflow takes none away, so the old ones stay.

    Returns:
        How many runs of trainings and candidates had none of the new names.
    """
    from mlflow.entities import Metric

    task = task_of(spec)
    names = {f"test_{name}": f"test/{name}" for name in task.metrics}
    names |= {f"last_30_days_{name}": f"last_30_days/{name}" for name in spec.margins}
    names |= {f"test_{name}_baseline": f"{WITHOUT_MODEL}/{name}" for name in spec.margins}
    names[f"validation_{task.selection}"] = f"validation/{task.selection}"
    changed = 0
    with mlflow_at_work():
        client = store.client()
        if client.get_experiment_by_name(spec.name) is None:
            return 0
        experiment = store.experiment(client, spec.name, about_experiment(spec))
        for run in client.search_runs([experiment], "tags.level != 'trial'", max_results=_MOST):
            known = run.data.metrics
            if not any(name in known for name in names) or any(name in known for name in names.values()):
                continue
            now = run.info.end_time or int(time.time() * 1000)
            client.log_batch(
                run.info.run_id,
                [Metric(new, known[old], now, 0) for old, new in names.items() if old in known],
            )
            changed += 1
    return changed
