"""MLflow as the model registry: versions, the aliases `champion` and `challenger`, and who decided on them."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars
import polars.selectors
from filelock import FileLock

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.learning.bundle import Bundle, answers_for_mlflow
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.trained import Trained
from qc_assets.registry.bundle_store import ABSENT, MANIFEST_SUM, BundleStore
from qc_assets.registry.mlflow_store import NOTE, mlflow_at_work
from qc_assets.registry.standing import RecordedDecision, Standing, VersionReference, decisions_of_tags
from qc_assets.registry.tracking import TrainingRun, training_run
from qc_assets.registry.version_record import VersionRecord
from qc_assets.registry.wording import beginning_of, describe_versions, model_description

CHAMPION, CHALLENGER = "champion", "challenger"
_RECORD = "version_record"


@dataclass(frozen=True)
class Logged:
    """A run and the version that it registered."""

    run_id: str
    experiment_id: str
    version: int

    @property
    def reference(self) -> VersionReference:
        """The version."""
        return VersionReference(self.version, self.run_id)


class Registry(BundleStore):
    """Runs and versions in one MLflow store; see `MlflowStore`."""

    def champion(self, model: str) -> tuple[int, Bundle] | None:
        """Version and bundle of the champion, or None if there is none."""
        return self.bundle_of(model, CHAMPION)

    def bundle_of(self, model: str, alias: str) -> tuple[int, Bundle] | None:
        """Version and bundle with an alias, or None if there is none."""
        version = self.version_of(model, alias)
        return None if version is None else (version, self.load(model, version))

    def load_reference(self, standing: Standing, reference: VersionReference) -> Bundle:
        """The bundle of a version, even if it is not registered any more: what its run logged is enough.

        Raises:
            QcError: if nothing of it is left.
        """
        model = standing.model
        if standing.versions.get(reference.version) == reference.run_id:
            return self.load(model, reference.version)
        with mlflow_at_work():
            client = self.client()
            experiment = self.experiment(client, model, {})
            logged = client.search_logged_models([experiment], f"source_run_id = '{reference.run_id}'")
            if not logged:
                raise QcError(f"nothing is left of version {reference.version} of {model} (run {reference.run_id})")
            return self.load_logged(client, logged[0].artifact_location, model, reference.run_id)

    def standing(self, model: str) -> Standing:
        """Who is champion, by whose decision, and which versions there are."""
        with mlflow_at_work():
            client = self.client()
            experiment = client.get_experiment_by_name(model)
            decisions = decisions_of_tags(experiment.tags.items()) if experiment else []
            registered = client.search_model_versions(f"name = '{model}'", max_results=10_000)
            versions = {int(version.version): str(version.run_id) for version in registered}
            number = self._version_with(client, model, CHAMPION)
        champion = None if number is None else VersionReference(number, versions[number])
        return Standing(model, champion, decisions, versions)

    def settle(self, model: str, standing: Standing | None = None) -> Standing:
        """The standing, after a champion that nobody here decided on was taken for a decision like any other.

        Args:
            model: its name.
            standing: of the model, if it was asked for just now.
        """
        standing = standing or self.standing(model)
        champion, decided = standing.champion, standing.decided
        if champion is None or champion == decided:
            return standing
        instant = standing.next_instant(now_utc())
        if any(decision.subject == champion for decision in standing.decisions):
            decision = RecordedDecision(champion, instant, "manual", True, decided, "the alias was moved in MLflow")
        else:  # of an older version of qc-assets, or of a training that was killed right here
            decision = RecordedDecision(champion, instant, "training", True, decided, "its reason was not noted")
        self.note_decision(model, decision)
        self.describe(model)
        return self.standing(model)

    def note_decision(self, model: str, decision: RecordedDecision) -> None:
        """Keep a decision, whatever becomes of the version that it is about."""
        with mlflow_at_work():
            client = self.client()
            client.set_experiment_tag(self.experiment(client, model, {}), *decision.tag)

    @contextmanager
    def deciding(self, model: str) -> Iterator[Standing]:
        """Where a model stands, while no other process of this home decides on it."""
        with FileLock(self.artifact_root.parent / f"{model}.lock", mode=0o644):
            yield self.settle(model)

    def training(
        self, spec: ModelSpec, tags: Mapping[str, str], parameters: Mapping[str, Any], run_name: str | None = None
    ) -> AbstractContextManager[TrainingRun]:
        """A run of MLflow's for a training that begins; see `qc_assets.registry.tracking.training_run`."""
        return training_run(self, spec, tags, parameters, run_name)

    def register(
        self,
        run: TrainingRun,
        trained: Trained,
        bundle: Bundle,
        record: VersionRecord,
        tags: Mapping[str, str],
        numbered_after: int = 0,
    ) -> Logged:
        """Register what a training made as a new version.

        Args:
            run: the training's, with all that is to be said of it.
            trained: the training.
            bundle: what the version will hold.
            record: what the warehouse will say of it.
            tags: put on the version, such as ``dagster_run_id`` and ``snapshot``.
            numbered_after: a version number that is taken elsewhere, such as in the warehouse.
        """
        client = self.fluent()
        with mlflow_at_work():
            self.log_record(run.run_id, record)
            version = self._register(client, run.run_id, bundle, trained, numbered_after)
            for key, value in tags.items():
                client.set_model_version_tag(trained.spec.name, str(version), key, value)
        return Logged(run.run_id, run.experiment_id, version)

    def log_record(self, run_id: str, record: VersionRecord) -> None:
        """Keep with a run what the warehouse says of its version."""
        with tempfile.TemporaryDirectory() as folder:
            record.save(Path(folder))
            self.client().log_artifacts(run_id, folder, _RECORD)

    def record_of_run(self, run_id: str) -> VersionRecord | None:
        """What `log_record` kept, or None if it kept nothing that can be read whole."""
        from mlflow.exceptions import MlflowException

        with mlflow_at_work(), tempfile.TemporaryDirectory() as folder:
            try:
                client = self.client()
                if not client.list_artifacts(run_id, _RECORD):
                    return None
                return VersionRecord.load(Path(client.download_artifacts(run_id, _RECORD, folder)))
            except (MlflowException, OSError, ValueError, polars.exceptions.PolarsError):
                return None

    def conclude(self, model: str, logged: Logged, decision: RecordedDecision, card: str) -> None:
        """Attach the model card, note the decision and move the alias: `champion` on promotion, else `challenger`."""
        with mlflow_at_work():
            client = self.client()
            version, reason = str(logged.version), decision.reason[:5000]
            client.log_text(logged.run_id, card, "model_card.md")
            client.set_tag(logged.run_id, NOTE, beginning_of(card))
            client.set_model_version_tag(model, version, "decision", reason)
            client.set_tag(logged.run_id, "decision", reason)
            # First the alias: a crash between the two leaves an alias that was moved, which `settle` understands.
            client.set_registered_model_alias(model, CHAMPION if decision.promoted else CHALLENGER, version)
            self.note_decision(model, decision)
            if decision.promoted and self._version_with(client, model, CHALLENGER) is not None:
                client.delete_registered_model_alias(model, CHALLENGER)
            self.describe(model, {logged.version: card})

    def describe(self, model: str, cards: Mapping[int, str] = MappingProxyType({})) -> None:
        """Let the pages of all versions say where they stand; `cards` are those of new ones."""
        with mlflow_at_work():
            client = self.client()
            describe_versions(client, self.standing(model), self._version_with(client, model, CHALLENGER), cards)

    def version_of(self, model: str, alias: str) -> int | None:
        """The version with an alias, or None."""
        with mlflow_at_work():
            return self._version_with(self.client(), model, alias)

    def registered_at(self, model: str, version: int) -> datetime:
        """When a version was registered (UTC)."""
        milliseconds = self.client().get_model_version(model, str(version)).creation_timestamp
        return datetime.fromtimestamp(milliseconds / 1000, UTC).replace(tzinfo=None)

    def roll_back(self, model: str, version: int | None = None) -> tuple[int | None, int]:
        """Make an earlier version champion again; if it was the challenger, there is none then.

        The decision lasts: what it takes down, and what is no better, is not promoted by the next training.

        Args:
            model: name of the model.
            version: default: the one that the champion replaced; if the champion was removed by hand, that one.

        Returns:
            The champion before and after.

        Raises:
            QcError: if there never was a champion, no earlier one, no such version, or it cannot be loaded.
        """
        with self.deciding(model) as standing:
            target = _rolled_back_to(standing, version)
            self.load_reference(standing, target)  # what is broken, or not signed, would answer nobody
            before = standing.champion or standing.decided
            with mlflow_at_work():
                client = self.client()
                client.set_registered_model_alias(model, CHAMPION, str(target.version))
                if self._version_with(client, model, CHALLENGER) == target.version:
                    client.delete_registered_model_alias(model, CHALLENGER)
            reason = f"rolled back from version {before.version}" if before else "made champion by hand"
            if before == target:
                before, reason = None, "put back after it was removed in MLflow"
            instant = standing.next_instant(now_utc())
            self.note_decision(model, RecordedDecision(target, instant, "rollback", True, before, reason))
            self.describe(model)
        return standing.champion.version if standing.champion else None, target.version

    def _version_with(self, client: Any, model: str, alias: str) -> int | None:
        from mlflow.exceptions import MlflowException

        try:
            return int(client.get_model_version_by_alias(model, alias).version)
        except MlflowException as error:
            if error.error_code in ABSENT:
                return None
            raise

    def _register(self, client: Any, run_id: str, bundle: Bundle, trained: Trained, numbered_after: int) -> int:
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
            client.set_tag(run_id, MANIFEST_SUM, bundle.save(folder, run_id, self.signing_key))
            with mlflow.start_run(run_id=run_id):  # which ends it; whoever began it says last how it ended
                info = mlflow.pyfunc.log_model(
                    name="model",
                    python_model=str(Path(__file__).with_name("served.py")),
                    artifacts={"bundle": str(folder)},
                    signature=infer_signature(example, answers_for_mlflow(bundle, trained.best.predictions[:3])),
                    # Named, not inferred: MLflow would load the model in another process to find them.
                    pip_requirements=["qc-assets"],
                )
            client.update_run(run_id, status="RUNNING")
        with suppress(MlflowException):  # it exists already
            client.create_registered_model(name)
        client.update_registered_model(name, model_description(trained.spec))
        version = 0
        # A deleted registered model starts at 1 again; a number that meant something else is passed over.
        while version <= numbered_after:
            if version:
                client.delete_model_version(name, str(version))
            created = client.create_model_version(
                name, source=f"models:/{info.model_id}", run_id=run_id, model_id=info.model_id
            )
            version = int(created.version)
        return version


def _rolled_back_to(standing: Standing, version: int | None) -> VersionReference:
    """The version that a rollback means; see `Registry.roll_back`."""
    model, champion = standing.model, standing.champion
    if version is None:
        if champion is None and standing.decided is None:
            raise QcError(f"{model} has no champion to roll back from: train it first")
        target = standing.decided if champion is None else standing.replaced
        if target is None:
            assert champion is not None
            raise QcError(f"version {champion.version} of {model} replaced no other: name a version with --to")
        version = target.version
    if version not in standing.versions:
        there = ", ".join(map(str, sorted(standing.versions))) or "none"
        raise QcError(f"{model} has no version {version}; there are {there}")
    if champion is not None and version == champion.version:
        raise QcError(f"version {version} of {model} is the champion already")
    return VersionReference(version, standing.versions[version])
