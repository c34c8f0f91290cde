"""The MLflow store: runs, their pages and files, and its client."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from qc_assets.errors import QcError, masked_urls
from qc_assets.files import changed_when
from qc_assets.interrupts import held_interrupts
from qc_assets.registry.artifact_paths import follow_move
from qc_assets.registry.local_store import make_store
from qc_assets.registry.tracking_server import refuse_if_away
from qc_assets.settings import Settings

NOTE = "mlflow.note.content"  # the tag that MLflow shows as a description
_KIND = {"mlflow.experimentKind": "custom_model_development"}
# MLflow's tables have room for 200 characters of a run's place, of which run and experiment take some, and for 250 of
# its name; SQLite takes more, PostgreSQL refuses.
LONGEST_NAME = 250
_LONGEST_PLACE = 120
_last_used = ""


def _forget_places_of_other_stores(tracking_uri: str) -> None:
    """MLflow remembers by run where artifacts lie, for the whole process: a copied home has the same runs elsewhere."""
    from mlflow.tracking._tracking_service import utils

    global _last_used  # what it is about is a global of MLflow's
    if _last_used != tracking_uri:
        utils._artifact_repos_cache.clear()
        _last_used = tracking_uri


class MlflowStore:
    """Runs in one MLflow store.

    Args:
        tracking_uri: MLflow's tracking URI; a SQLite file is created with its folder.
        artifact_root: folder of the artifacts of new experiments; ignored by a tracking server.
        artifacts: folder or URL of the artifacts of new experiments instead; needed by a database that is no file.
        signing_key: signs bundles; with it, only what it signed is loaded.
    """

    def __init__(
        self, tracking_uri: str, artifact_root: Path, signing_key: bytes | None = None, artifacts: str | None = None
    ) -> None:
        self.tracking_uri = tracking_uri
        self.artifacts = artifacts
        self.signing_key = signing_key
        self.artifact_root = artifact_root
        is_sqlite = tracking_uri.startswith("sqlite:///")
        self._database = Path(tracking_uri.removeprefix("sqlite:///")) if is_sqlite else None
        self._is_in_place = False

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(settings.tracking_uri, settings.artifact_root, settings.signing_secret, settings.mlflow_artifacts)

    def client(self) -> Any:
        """MLflow's client of this store; a SQLite store that was moved finds its artifacts first."""
        import mlflow

        if self._database and not self._is_in_place:
            make_store(self._database, self.artifact_root)
            follow_move(self._database, self.artifact_root)
            self._is_in_place = True
        refuse_if_away(self.tracking_uri)
        _forget_places_of_other_stores(self.tracking_uri)
        return mlflow.MlflowClient(self.tracking_uri)

    def fluent(self) -> Any:
        """The same, after MLflow's functions that take no client were pointed at this store, for the whole process."""
        import mlflow

        client = self.client()
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # a server's runs would be announced
        mlflow.set_tracking_uri(self.tracking_uri)
        return client

    def attach(self, run_id: str, pages: Mapping[str, str]) -> str:
        """Keep texts, by file name, with a run; returns the run's experiment."""
        with mlflow_at_work():
            client = self.client()
            for name, text in pages.items():
                client.log_text(run_id, text, name)
            return str(client.get_run(run_id).info.experiment_id)

    def publish(self, experiment: str, name: str, page: str, tags: Mapping[str, str]) -> tuple[str, str]:
        """Keep an HTML page as the artifact of a run; returns experiment and run."""
        with mlflow_at_work():
            client = self.client()
            note = f"One run each time the page was made: open the artifact {name}.html of the newest."
            identity = self.experiment(client, experiment, {NOTE: note})
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

        with mlflow_at_work():
            client = self.fluent()
            note = f"Compare by {', '.join(f'`{metric}`' for metric in metrics)}; the parameters show why runs differ."
            identity = self.experiment(client, experiment, {NOTE: note})
            with mlflow.start_run(experiment_id=identity, run_name=name, tags=dict(tags)) as run:
                mlflow.log_params(dict(parameters))
                mlflow.log_metrics(dict(metrics))
                for file, text in texts.items():
                    mlflow.log_text(text, file)
                mlflow.log_artifacts(str(folder), folder.name)
        return identity, run.info.run_id

    def stamp(self) -> tuple[int, ...] | None:
        """Something that changes whenever a SQLite store does, at the cost of a look at its files; None for servers."""
        if self._database is None:
            return None
        return changed_when([self._database, self._database.with_name(f"{self._database.name}-wal")])

    def experiment(self, client: Any, name: str, about: Mapping[str, str]) -> str:
        """The experiment of that name, made if there is none, with what its page says; in the view for trainings."""
        from mlflow.exceptions import MlflowException

        experiment = client.get_experiment_by_name(name)
        if experiment is not None:
            for tag, value in (_KIND | dict(about)).items():
                if experiment.tags.get(tag) != value:
                    client.set_experiment_tag(experiment.experiment_id, tag, value)
            return experiment.experiment_id
        try:
            return client.create_experiment(name, self._location(client, name), _KIND | dict(about))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)  # another process may have been quicker
            if experiment is None:
                raise
            return experiment.experiment_id

    def _location(self, client: Any, name: str) -> str | None:
        """Where a new experiment has its files; None where a server says so.

        Raises:
            QcError: if MLflow would take a folder of whatever machine and process comes first.
        """
        if self.artifacts:
            is_url = "://" in self.artifacts
            place = self.artifacts.rstrip("/") if is_url else Path(self.artifacts).absolute().as_uri()
            if len(place) > _LONGEST_PLACE and self._database is None:
                room = f"MLflow has room for {_LONGEST_PLACE} characters"
                raise QcError(f"QC_MLFLOW_ARTIFACTS={place}: {room}; name a shorter place")
            return f"{place}/{name}"
        if self.tracking_uri.startswith("sqlite:"):
            return (self.artifact_root / name).as_uri()
        theirs = ""
        if self.tracking_uri.startswith("http"):
            default = client.get_experiment_by_name("Default")
            theirs = default.artifact_location if default else "mlflow-artifacts:/"
            if urlsplit(theirs).scheme not in ("", "file"):
                return None
        where = f"the server puts files into its own {theirs}" if theirs else "a database keeps no files"
        raise QcError(
            f"QC_MLFLOW_TRACKING_URI={masked_urls(self.tracking_uri)}: {where}. Name a place that all machines "
            "reach in QC_MLFLOW_ARTIFACTS, such as s3://bucket/models"
        )


@contextmanager
def mlflow_at_work() -> Iterator[None]:
    """Keep MLflow's progress bars and hints out of a terminal that shows its own, and interrupts for when it is done.

    One that comes in the midst of a transaction, if only of reading, leaves SQLite locked for this process.
    """
    import logging

    loggers = [logging.getLogger(name) for name in ("mlflow", "mlflow.store.db.utils", "mlflow.tracking", "alembic")]
    levels = [logger.level for logger in loggers]
    before = os.environ.get("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR")
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), held_interrupts():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if before is None:
            os.environ.pop("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", None)  # another thread may have been quicker
        else:
            os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = before
