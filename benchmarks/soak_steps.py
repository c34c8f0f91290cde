"""What one simulated morning consists of, each step in a process of its own that may be killed.

`python -m benchmarks.soak_steps` imports everything once, reads a line with a step and its arguments (JSON) at a time,
and answers with the number of the process that it forks for it, then with its exit status.
"""

import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import lightgbm  # noqa: F401  # as the next three: imported once, before there are many processes
import mlflow  # noqa: F401

from qc_assets.assets.model_versions import training_config
from qc_assets.assets.run_owners import dead_runs, end_dead_runs
from qc_assets.cli.runs import open_instance, run_job
from qc_assets.clock import now_utc
from qc_assets.definitions import build_definitions
from qc_assets.fairness import report as bias_report  # noqa: F401
from qc_assets.monitoring import examination  # noqa: F401
from qc_assets.registry import lifecycle  # noqa: F401
from qc_assets.registry.model_registry import Registry
from qc_assets.settings import Settings, load_settings
from qc_assets.sources.registry import open_source
from qc_assets.store.schema import RAW_TABLES, id_columns
from qc_assets.store.warehouse import Warehouse


def ingest(settings: Settings, *arguments: str) -> None:
    """The day that `daily_ingest` asks for; with `--no-file-grows` on a disk that is full."""
    if arguments:
        size = settings.warehouse.stat().st_size
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    repository = build_definitions(settings).get_repository_def()
    moment = now_utc().replace(hour=2, minute=30, second=0, microsecond=0)
    with open_instance(settings) as instance:
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=moment, repository_def=repository
        )
        due_runs = repository.get_schedule_def("daily_ingest").evaluate_tick(context).run_requests
    for due in due_runs or ():
        day = moment.date() - timedelta(days=1)
        assert due.partition_key == day.isoformat(), due
        run_job(settings, "ingest", days=[day])


def revisits(settings: Settings) -> None:
    """What `daily_revisits` starts."""
    run_job(settings, "revisits")


def retraining(settings: Settings) -> None:
    """What the sensor asks for, if it asks for anything; its cursor is kept as Dagster keeps it."""
    kept = settings.home / "cursor"
    repository = build_definitions(settings).get_repository_def()
    with open_instance(settings) as instance:
        context = dg.build_sensor_context(
            instance=instance, cursor=kept.read_text() if kept.exists() else None, repository_def=repository
        )
        tick = repository.get_sensor_def("retraining").evaluate_tick(context)
    if tick.run_requests:
        (due,) = tick.run_requests
        selection = [key.to_user_string() for key in due.asset_selection or ()]
        run_job(settings, "training", ops=_quick(selection), selection=selection)
    kept.write_text(tick.cursor or "")  # a training that was killed is asked for again


def _quick(selection: Sequence[str]) -> dict[str, Any]:
    models = {name.removesuffix("_model") for name in selection}
    config = training_config(quick=True)
    return {op: value for op, value in config.items() if op.removeprefix("train_") in models or not selection}


def scoring(settings: Settings) -> None:
    """What `daily_scoring` starts."""
    run_job(settings, "scoring")


def older(settings: Settings) -> None:
    """Leave the warehouse as a version would have that knew no keys yet, and other comments."""
    with Warehouse.from_settings(settings).write() as connection:
        for table in ("raw.issues", "raw.reviews", "ml.predictions"):
            connection.execute(f"CREATE TABLE {table}_copy AS FROM {table}; DROP TABLE {table}")
            connection.execute(f"ALTER TABLE {table}_copy RENAME TO {table.split('.')[1]}")
        connection.execute("UPDATE ops.schema_version SET declarations = 'older'")


def outcome(settings: Settings, target: str, answers: str) -> None:
    """Write down what is left."""
    store = Warehouse.from_settings(settings)
    rows = {table: _content(store, table) for table in RAW_TABLES}
    with open_instance(settings) as instance:
        end_dead_runs(instance)
        unfinished = len(dead_runs(instance)) + len(
            instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]))
        )
    known = set(store.query("SELECT task_id FROM ml.predictions")["task_id"].to_list())
    champion = Registry(settings.tracking_uri, settings.artifact_root).champion("p0")
    predictions: list[float] = []
    if champion is not None:
        items = store.query("FROM features.pull_requests ORDER BY repo_id, number")
        predictions = [round(value, 6) for value in champion[1].predict(items).tolist()]
    document = {"rows": rows, "champion": predictions, "unfinished": unfinished,
                "missing": sum(task not in known for task in json.loads(answers))}  # fmt: skip
    Path(target).write_text(json.dumps(document))


def _content(store: Warehouse, table: str) -> tuple[int, int]:
    """Rows of a raw table and the sum of their hashes, without when they were seen and the forge's number."""
    own = ", ".join(f"own_id({name}) AS {name}" for name in id_columns(f"raw.{table}"))
    rows = f"SELECT * EXCLUDE (observed_at) REPLACE ({own}) FROM raw.{table}"
    sql = f"SELECT count(*), coalesce(sum(hash(t)::HUGEINT), 0)::VARCHAR FROM ({rows}) AS t"
    count, total = store.query(sql).row(0)
    return count, int(total)


STEPS = {step.__name__: step for step in (ingest, revisits, retraining, scoring, older, outcome)}


def main() -> None:
    settings = load_settings()
    open_source(settings)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        process = os.fork()
        if process == 0:
            os._exit(_run(name, arguments))
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def _run(name: str, arguments: Sequence[str]) -> int:
    try:
        STEPS[name](load_settings(), *arguments)
    except Exception:  # noqa: BLE001  # as Python does at the end of a process
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
