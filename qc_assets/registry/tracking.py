"""A training in MLflow, while it is at work: a run, a child for each candidate, a grandchild for each trial."""

import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from qc_assets.errors import QcError
from qc_assets.interrupts import insistent_interrupts
from qc_assets.learning.metrics.bootstrap import Estimate
from qc_assets.learning.pace import TrainingListener
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.learning.trained import FittedCandidate, Trained, Trial
from qc_assets.registry.bundle_store import is_out_of_reach
from qc_assets.registry.mlflow_store import LONGEST_NAME, MlflowStore, mlflow_at_work
from qc_assets.registry.run_keepers import KEEPER, keep_runs
from qc_assets.registry.wording import WITHOUT_MODEL, about_experiment

log = logging.getLogger(__name__)

_LONGEST = 500  # characters of a parameter: MLflow keeps 6,000, its columns show fewer
_RETRY_S = 60.0


class TrainingRun(TrainingListener):
    """One training in MLflow. A store that is away meanwhile gets what it missed later; see `training_run`.

    Args:
        store: where to.
        spec: the model.
        experiment_id: the model's.
        run_id: of the training, which is running.
        tags: put on every run.
    """

    def __init__(
        self, store: MlflowStore, spec: ModelSpec, experiment_id: str, run_id: str, tags: Mapping[str, str]
    ) -> None:
        self.experiment_id, self.run_id = experiment_id, run_id
        self._store, self._spec, self._task = store, spec, task_of(spec)
        self._tags = dict(tags)
        self._open: dict[str, str] = {}
        self._chosen: dict[tuple[str, int], str] = {}
        self._waiting: list[Callable[[Any], object]] = []
        self._quiet_until = 0.0
        self._best: list[float] = []
        self._trial_began = _now()

    def candidate_begins(self, kind: str) -> None:
        self._trial_began = _now()
        self._note(lambda client: self._child(client, kind))

    def trial_ended(self, kind: str, number: int, trial: Trial) -> None:
        began, self._trial_began = self._trial_began, _now()
        ended = self._trial_began
        self._note(lambda client: self._log_trial(client, kind, number, trial, began, ended))

    def candidate_fitted(self, candidate: FittedCandidate) -> None:
        ended = _now()
        self._note(lambda client: self._log_candidate(client, candidate, ended))

    def complete(self, trained: Trained, figures: Mapping[str, bytes], run_name: str | None) -> None:
        """Log what came of it, and all that had to wait.

        Args:
            trained: the training.
            figures: its plots as PNG, by name.
            run_name: what the run is called; default: model and winning candidate.
        """
        with mlflow_at_work():
            client = self._store.client()
            self._catch_up(client)
            best, curve = trained.best, trained.curve
            client.update_run(self.run_id, name=(run_name or f"{self._spec.name} {best.kind}")[:LONGEST_NAME])
            self._log_batch(
                client,
                self.run_id,
                metrics=self._metrics(best) | _heads(trained),
                parameters={
                    **{f"model/{name}": value for name, value in best.parameters.items()},
                    **{f"rows_{name}": len(rows) for name, rows in trained.split.windows.items()},
                    **{f"rows_fitted_{name}": rows for name, (rows, _) in (curve.fitted if curve else {}).items()},
                    **trained.context,
                },
                tags={"candidate": best.kind, "calibration": best.calibrator.method},
                step=len(self._best) + 1,
            )
            for rows, loss in curve.points if curve else ():
                self._log_batch(client, self.run_id, metrics={f"learning_curve/{self._task.loss}": loss}, step=rows)
            _log_data(client, self.run_id, trained, self._tags)
            with tempfile.TemporaryDirectory() as folder:
                for name, image in figures.items():
                    (Path(folder) / f"{name}.png").write_bytes(image)
                client.log_artifacts(self.run_id, folder, "plots")
            evaluations = {
                window: {name: asdict(estimate) for name, estimate in estimates.items()}
                for window, estimates in best.evaluations.items()
            }
            client.log_dict(self.run_id, evaluations, "evaluation.json")

    def remark(self, decision: str) -> None:
        """Note what was decided of a training that led to no version."""
        with mlflow_at_work():
            self._store.client().set_tag(self.run_id, "decision", decision)

    def end(self, status: str, reason: str = "") -> None:
        """Mark the run, and every candidate's that is still at work, as FINISHED, FAILED or KILLED."""
        with mlflow_at_work():
            client = self._store.client()
            if reason:
                client.set_tag(self.run_id, "ended", reason[:_LONGEST])
            for run_id in (*self._open.values(), self.run_id):
                client.set_terminated(run_id, status)
            self._open.clear()

    def _note(self, action: Callable[[Any], object]) -> None:
        """Tell MLflow something now, or later if it does not answer: a training does not fail for that."""
        self._waiting.append(action)
        if time.monotonic() < self._quiet_until:
            return
        try:
            with mlflow_at_work():
                self._catch_up(self._store.client())
        except Exception as error:
            if not is_out_of_reach(error):
                raise
            log.warning("MLflow is told later how the training of %s goes: %s", self._spec.name, error)
            self._quiet_until = time.monotonic() + _RETRY_S

    def _catch_up(self, client: Any) -> None:
        while self._waiting:
            self._waiting[0](client)
            del self._waiting[0]

    def _child(self, client: Any, kind: str) -> str:
        if kind not in self._open:
            tags = {**self._tags, "candidate": kind, "level": "candidate", "mlflow.parentRunId": self.run_id}
            self._open[kind] = client.create_run(self.experiment_id, run_name=kind, tags=tags).info.run_id
        return self._open[kind]

    def _log_trial(self, client: Any, kind: str, number: int, trial: Trial, began: int, ended: int) -> None:
        """As a step of its candidate's run, and as a run of its own, for its parameters."""
        candidate, name = self._child(client, kind), trial.named(f"search/{self._task.selection}")
        self._log_batch(client, candidate, metrics={name: trial.validation}, step=number)
        tags = {**self._tags, "candidate": kind, "level": "trial", "chosen": "false", "mlflow.parentRunId": candidate}
        run = client.create_run(self.experiment_id, began, tags, f"{kind} trial {number}")
        self._chosen[kind, number] = run.info.run_id
        self._log_batch(client, run.info.run_id, metrics={name: trial.validation}, parameters=trial.parameters)
        client.set_terminated(run.info.run_id, "FINISHED", ended)

    def _log_candidate(self, client: Any, candidate: FittedCandidate, ended: int) -> None:
        run_id = self._child(client, candidate.kind)
        tags = {"calibration": candidate.calibrator.method}
        self._log_batch(
            client, run_id, metrics=self._metrics(candidate), parameters=candidate.parameters, tags=tags, step=0
        )
        for number, trial in enumerate(candidate.trials):
            if trial.parameters == candidate.parameters and (candidate.kind, number) in self._chosen:
                client.set_tag(self._chosen[candidate.kind, number], "chosen", "true")
        client.set_terminated(run_id, "FINISHED", ended)
        del self._open[candidate.kind]
        sign = self._task.metrics[self._task.selection].sign
        self._best.append(max([*self._best, candidate.validation], key=lambda value: sign * value))
        # The best so far, on the training's own page.
        self._log_batch(client, self.run_id, metrics={self._validation: self._best[-1]}, step=len(self._best))

    @property
    def _validation(self) -> str:
        return f"validation/{self._task.selection}"

    def _metrics(self, candidate: FittedCandidate) -> dict[str, float | None]:
        """What one compares, by group: all of the test window, what is judged of its last 30 days and without a model.

        Intervals, and all else, are in evaluation.json and in ml.evaluations.
        """
        judged, test = self._spec.margins, candidate.evaluations["test"]
        return {
            self._validation: candidate.validation,
            **{f"test/{name}": estimate.value for name, estimate in test.items()},
            **{
                f"{window}/{name}": estimates[name].value
                for window, estimates in candidate.evaluations.items()
                for name in judged
            },
            **{f"{WITHOUT_MODEL}/{name}": test[name].baseline for name in judged},
        }

    def _log_batch(
        self,
        client: Any,
        run_id: str,
        *,
        metrics: Mapping[str, float | None],
        parameters: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        step: int = 0,
    ) -> None:
        from mlflow.entities import Metric, RunTag

        now = _now()
        client.log_batch(
            run_id,
            # A number that does not exist is none in MLflow either, which would take NaN for one.
            metrics=[
                Metric(name, value, now, step)
                for name, value in metrics.items()
                if value is not None and isfinite(value)
            ],
            params=params_of(parameters or {}),
            tags=[RunTag(name, value) for name, value in (tags or {}).items()],
        )


@contextmanager
def training_run(
    store: MlflowStore, spec: ModelSpec, tags: Mapping[str, str], parameters: Mapping[str, Any], run_name: str | None
) -> Iterator[TrainingRun]:
    """A run that is there when a training begins, and says how it ended.

    FINISHED, FAILED after an error, KILLED if it was interrupted; one whose process dies is marked by
    `run_keepers.end_abandoned`.

    Args:
        store: where to.
        spec: the model.
        tags: put on every run, such as ``dagster_run_id`` and ``snapshot``.
        parameters: what was asked for, so that two runs show why they differ.
        run_name: name of the run while the winner is not known, too.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking.context.registry import resolve_tags

    with keep_runs(store) as keeper:
        with mlflow_at_work():
            client = store.client()
            experiment_id = store.experiment(client, spec.name, about_experiment(spec))
            own = resolve_tags({**tags, "task": task_of(spec).name, KEEPER: keeper})  # who, from where, which commit
            named = (run_name or f"{spec.name} training")[:LONGEST_NAME]
            run_id = client.create_run(experiment_id, tags={**own, "level": "training"}, run_name=named).info.run_id
            client.log_batch(run_id, params=params_of(parameters))
        run = TrainingRun(store, spec, experiment_id, run_id, own)
        try:
            with insistent_interrupts():
                yield run
        except BaseException as error:
            is_error = isinstance(error, Exception)
            try:
                run.end(
                    "FAILED" if is_error else "KILLED", f"{type(error).__name__}: {error}" if is_error else "stopped"
                )
            except (MlflowException, QcError, OSError) as trouble:  # what ended the training is what people must see
                log.warning("MLflow could not be told that a training of %s ended: %s", spec.name, trouble)
            raise
        run.end("FINISHED")


def params_of(values: Mapping[str, Any]) -> list[Any]:
    """Parameters as MLflow has them: texts, of a bounded length."""
    from mlflow.entities import Param

    return [Param(name, str(value)[:_LONGEST]) for name, value in values.items()]


def _heads(trained: Trained) -> dict[str, float | None]:
    by_head: Mapping[str, Mapping[str, Estimate]] = trained.heads
    return {
        f"test_by_question/{head}_{name}": estimate.value
        for head, estimates in by_head.items()
        for name, estimate in estimates.items()
    }


def _now() -> int:
    return int(time.time() * 1000)


def _log_data(client: Any, run_id: str, trained: Trained, tags: Mapping[str, str]) -> None:
    """The data set as MLflow shows it: name, identity, rows and time of each window."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag
    from mlflow.exceptions import MlflowException
    from tenacity import retry, retry_if_exception_type, stop_after_attempt

    opened = trained.data.opened_at
    windows = {
        name: {"rows": len(rows), "from": str(opened[rows[0]]), "to": str(opened[rows[-1]])}
        for name, rows in trained.split.windows.items()
    }
    client.log_dict(
        run_id, {"table": trained.spec.table, "snapshot": tags.get("snapshot"), "windows": windows}, "data.json"
    )
    data = MetaDataset(
        CodeDatasetSource({"table": trained.spec.table}),
        name=trained.spec.table,
        digest=tags.get("snapshot", "")[:36] or None,
    )
    noted = [InputTag("mlflow.data.context", "training"), InputTag("windows", json.dumps(windows)[:500])]
    # MLflow looks for the data set and then inserts it: of two trainings on the same rows at once, the slower finds it
    # there when it looks again.
    again = retry(retry=retry_if_exception_type(MlflowException), stop=stop_after_attempt(3), reraise=True)
    again(client.log_inputs)(run_id, [DatasetInput(data._to_mlflow_entity(), noted)])
