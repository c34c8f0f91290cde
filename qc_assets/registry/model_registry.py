"""MLflow as the model registry: runs, versions and the aliases `champion` and `challenger`."""

import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars
import polars.selectors

from qc_assets.errors import QcError
from qc_assets.files import changed_when
from qc_assets.learning.bundle import Bundle, answers_for_mlflow
from qc_assets.learning.trained import Trained
from qc_assets.registry import tracking
from qc_assets.registry.artifact_paths import follow_move
from qc_assets.registry.local_store import make_store
from qc_assets.registry.tracking_server import refuse_if_away

CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True)
class Logged:
    """A run and the version that it registered."""

    run_id: str
    experiment_id: str
    version: int


class Registry:
    """Runs and versions in one MLflow store.

    Args:
        tracking_uri: MLflow's tracking URI; a SQLite file is created with its folder.
        artifact_root: folder of the artifacts of new experiments; ignored by a tracking server.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path) -> None:
        self.tracking_uri = tracking_uri
        self.artifact_root = artifact_root
        is_sqlite = tracking_uri.startswith("sqlite:///")
        self._database = Path(tracking_uri.removeprefix("sqlite:///")) if is_sqlite else None
        self._is_in_place = False

    def _client(self) -> Any:
        import mlflow

        if self._database and not self._is_in_place:
            make_store(self._database, self.artifact_root)
            follow_move(self._database, self.artifact_root)
            self._is_in_place = True
        refuse_if_away(self.tracking_uri)
        mlflow.set_tracking_uri(self.tracking_uri)
        return mlflow.MlflowClient(self.tracking_uri)

    def champion(self, model: str) -> tuple[int, Bundle] | None:
        """Version and bundle of the champion, or None if there is none."""
        return self.bundle_of(model, CHAMPION)

    def bundle_of(self, model: str, alias: str) -> tuple[int, Bundle] | None:
        """Version and bundle with an alias, or None if there is none."""
        version = self.version_of(model, alias)
        return None if version is None else (version, self.load(model, version))

    def load(self, model: str, version: int) -> Bundle:
        """The bundle of a version."""
        import mlflow

        with _quiet(), tempfile.TemporaryDirectory() as folder:
            source = self._client().get_model_version_download_uri(model, str(version))
            path = mlflow.artifacts.download_artifacts(artifact_uri=f"{source}/artifacts/bundle", dst_path=folder)
            return Bundle.load(Path(path))

    def attach(self, run_id: str, pages: Mapping[str, str]) -> str:
        """Keep texts, by file name, with a run; returns the run's experiment."""
        with _quiet():
            client = self._client()
            for name, text in pages.items():
                client.log_text(run_id, text, name)
            return str(client.get_run(run_id).info.experiment_id)

    def log(self, trained: Trained, bundle: Bundle, tags: Mapping[str, str], run_name: str | None = None) -> Logged:
        """Log a training with all its candidates and trials, and register the best as a new version.

        Args:
            trained: the training.
            bundle: what the version will hold.
            tags: put on every run and on the version, such as ``dagster_run_id`` and ``snapshot``.
            run_name: name of the parent run; default: model and winning candidate.
        """
        import mlflow

        client = self._client()
        spec = trained.spec
        experiment = self._experiment(client, spec.name)
        name = run_name or f"{spec.name} {trained.best.kind}"
        with _quiet(), mlflow.start_run(experiment_id=experiment, run_name=name) as run:
            tracking.log_training(trained, tags)
            version = self._register(client, run.info.run_id, bundle, trained)
            for key, value in tags.items():
                client.set_model_version_tag(spec.name, str(version), key, value)
        return Logged(run.info.run_id, experiment, version)

    def conclude(self, model: str, logged: Logged, *, promote: bool, reason: str, card: str) -> None:
        """Attach the model card, and move the alias: `champion` on promotion, else `challenger`."""
        client = self._client()
        version = str(logged.version)
        client.log_text(logged.run_id, card, "model_card.md")
        client.set_tag(logged.run_id, "mlflow.note.content", card)  # what its page shows as the description
        client.update_model_version(model, version, description=card)
        client.set_model_version_tag(model, version, "decision", reason[:5000])
        client.set_tag(logged.run_id, "decision", reason[:5000])
        client.set_registered_model_alias(model, CHAMPION if promote else CHALLENGER, version)
        if promote and self._version_with(client, model, CHALLENGER) is not None:
            client.delete_registered_model_alias(model, CHALLENGER)

    def publish(self, experiment: str, name: str, page: str, tags: Mapping[str, str]) -> tuple[str, str]:
        """Keep an HTML page as the artifact of a run; returns experiment and run."""
        with _quiet():
            client = self._client()
            identity = self._experiment(client, experiment)
            run = client.create_run(identity, run_name=name, tags=dict(tags))
            client.log_text(run.info.run_id, page, f"{name}.html")
            client.set_terminated(run.info.run_id)
        return identity, run.info.run_id

    def record(
        self,
        experiment: str,
        name: str,
        *,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        texts: Mapping[str, str],
        folder: Path,
    ) -> tuple[str, str]:
        """Keep a run with its texts, by file name, and all files of a folder; returns experiment and run."""
        import mlflow

        with _quiet():
            client = self._client()
            identity = self._experiment(client, experiment)
            with mlflow.start_run(experiment_id=identity, run_name=name, tags=dict(tags)) as run:
                mlflow.log_params(dict(parameters))
                mlflow.log_metrics(dict(metrics))
                for file, text in texts.items():
                    mlflow.log_text(text, file)
                mlflow.log_artifacts(str(folder), folder.name)
        return identity, run.info.run_id

    def version_of(self, model: str, alias: str) -> int | None:
        """The version with an alias, or None."""
        with _quiet():
            return self._version_with(self._client(), model, alias)

    def stamp(self) -> tuple[int, ...] | None:
        """Something that changes whenever a SQLite store does, at the cost of a look at its files; None for servers."""
        if self._database is None:
            return None
        return changed_when([self._database, self._database.with_name(f"{self._database.name}-wal")])

    def registered_at(self, model: str, version: int) -> datetime:
        """When a version was registered (UTC)."""
        milliseconds = self._client().get_model_version(model, str(version)).creation_timestamp
        return datetime.fromtimestamp(milliseconds / 1000, UTC).replace(tzinfo=None)

    def roll_back(self, model: str, version: int) -> None:
        """Make a version champion; if it was the challenger, there is none then.

        Raises:
            QcError: if there is no such version.
        """
        from mlflow.exceptions import MlflowException

        with _quiet():
            client = self._client()
            try:
                client.get_model_version(model, str(version))
            except MlflowException as error:
                versions = sorted(
                    int(registered.version) for registered in client.search_model_versions(f"name = '{model}'")
                )
                raise QcError(f"{model} has no version {version}; there are {', '.join(map(str, versions))}") from error
            client.set_registered_model_alias(model, CHAMPION, str(version))
            if self._version_with(client, model, CHALLENGER) == version:
                client.delete_registered_model_alias(model, CHALLENGER)

    def _version_with(self, client: Any, model: str, alias: str) -> int | None:
        from mlflow.exceptions import MlflowException

        try:
            return int(client.get_model_version_by_alias(model, alias).version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def _experiment(self, client: Any, name: str) -> str:
        from mlflow.exceptions import MlflowException

        experiment = client.get_experiment_by_name(name)
        if experiment is not None:
            return experiment.experiment_id
        local = self.tracking_uri.startswith("sqlite:")
        location = (self.artifact_root / name).as_uri() if local else None
        try:
            return client.create_experiment(name, artifact_location=location)
        except MlflowException:
            experiment = client.get_experiment_by_name(name)  # another process may have been quicker
            if experiment is None:
                raise
            return experiment.experiment_id

    def _register(self, client: Any, run_id: str, bundle: Bundle, trained: Trained) -> int:
        import mlflow
        from mlflow.exceptions import MlflowException
        from mlflow.models import infer_signature

        name = trained.spec.name
        rows = trained.split.test[:3]
        # Numbers are declared as doubles: any of them may be unknown, and an integer column cannot say so.
        numbers = polars.selectors.numeric().cast(polars.Float64)
        texts = bundle.texts.columns if bundle.texts else ()
        example = trained.data.frame[rows].select(*bundle.features, *texts).with_columns(numbers).to_pandas()
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root) / "bundle"
            folder.mkdir()
            bundle.save(folder)
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).with_name("served.py")),
                artifacts={"bundle": str(folder)},
                signature=infer_signature(example, answers_for_mlflow(bundle, trained.best.predictions[:3])),
                # Named, not inferred: MLflow would load the model in another process to find them.
                pip_requirements=["qc-assets"],
            )
        with suppress(MlflowException):  # it exists already
            client.create_registered_model(name, description=trained.spec.question)
        created = client.create_model_version(
            name, source=f"models:/{info.model_id}", run_id=run_id, model_id=info.model_id
        )
        return int(created.version)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's progress bars and hints out of a terminal that shows its own."""
    import logging

    loggers = [logging.getLogger(name) for name in ("mlflow", "mlflow.store.db.utils", "mlflow.tracking", "alembic")]
    levels = [logger.level for logger in loggers]
    before = os.environ.get("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR")
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if before is None:
            del os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"]
        else:
            os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = before
