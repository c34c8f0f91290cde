"""Bundles in MLflow: each is what its run noted, and what its key signed, or it is not loaded."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from qc_assets.errors import QcError
from qc_assets.learning.bundle import Bundle
from qc_assets.learning.manifest import MANIFEST, Expected, ManifestError, verify_manifest, write_manifest
from qc_assets.registry.mlflow_store import MlflowStore, mlflow_at_work
from qc_assets.registry.tracking_server import TrackingServerAwayError

MANIFEST_SUM = "bundle_manifest"  # a tag of the run: not beside the files that it is about
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class BundleStore(MlflowStore):
    """The bundles of registered versions; see `MlflowStore`."""

    def load(self, model: str, version: int) -> Bundle:
        """The bundle of a registered version."""
        with mlflow_at_work():
            client = self.client()
            run_id = str(client.get_model_version(model, str(version)).run_id)
            return self.load_logged(client, client.get_model_version_download_uri(model, str(version)), model, run_id)

    @contextmanager
    def downloaded(self, model: str, version: int) -> Iterator[Path]:
        """A folder with the files of a registered version, which are what was registered; gone afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            with mlflow_at_work():
                client = self.client()
                run_id = str(client.get_model_version(model, str(version)).run_id)
                source = client.get_model_version_download_uri(model, str(version))
                files, expected = self._fetched(client, source, model, run_id, folder)
            verify_manifest(files, expected)
            yield files

    def load_logged(self, client: Any, source: str, model: str, run_id: str) -> Bundle:
        """The bundle that a run logged at a source, once it is what the run says it is."""
        with tempfile.TemporaryDirectory() as folder:
            return Bundle.load(*self._fetched(client, source, model, run_id, folder))

    def _fetched(self, client: Any, source: str, model: str, run_id: str, folder: str) -> tuple[Path, Expected]:
        """The files of a source, and what is known of them already."""
        noted = self._manifest_of(client, run_id)
        return self._download(source, folder), Expected(model, run_id, noted, self.signing_key)

    def _download(self, source: str, folder: str) -> Path:
        import mlflow

        uri = f"{source}/artifacts/bundle"
        return Path(
            mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=self.tracking_uri)
        )

    def _manifest_of(self, client: Any, run_id: str) -> str:
        """The sum of a version's manifest, noted with its run; empty for versions of before there were any."""
        from mlflow.exceptions import MlflowException

        try:
            return client.get_run(run_id).data.tags.get(MANIFEST_SUM, "")
        except MlflowException as error:
            if error.error_code in ABSENT:  # the run was deleted for good
                return ""
            raise

    def sign_all(self, model: str) -> int:
        """Sign those registered versions of a model that this store's key has not signed; returns how many.

        What is signed is what lies there now: its types and, where there is a manifest, its sums are verified first.

        Raises:
            QcError: if there is no key, or a version is not what it says it is.
        """
        if self.signing_key is None:
            raise QcError("nothing can be signed: set QC_SIGNING_KEY")
        signed = 0
        with mlflow_at_work():
            client = self.client()
            for version in client.search_model_versions(f"name = '{model}'", max_results=10_000):
                with tempfile.TemporaryDirectory() as folder:
                    source, run_id = client.get_model_version_download_uri(model, version.version), str(version.run_id)
                    bundle, expected = self._fetched(client, source, model, run_id, folder)
                    try:
                        verify_manifest(bundle, expected)
                        continue
                    except ManifestError:
                        Bundle.load(bundle, replace(expected, key=None))
                    digest = write_manifest(bundle, model, run_id, self.signing_key)
                    logged = Path(folder) / "signed" / "artifacts" / "bundle"
                    logged.mkdir(parents=True)
                    (bundle / MANIFEST).rename(logged / MANIFEST)
                    # Its source is `models:/` and the logged model; the field for that is empty in some stores.
                    client.log_model_artifacts(version.source.rpartition("/")[2], str(logged.parent.parent))
                    client.set_tag(run_id, MANIFEST_SUM, digest)
                    signed += 1
        return signed


def is_out_of_reach(error: Exception) -> bool:
    """Whether a version may be there, on a server that does not answer: then nothing is promoted without it."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos import databricks_pb2 as codes

    if isinstance(error, TrackingServerAwayError):
        return True
    response = getattr(error, "response", None)
    if getattr(response, "status_code", None) in (404, 410):
        return False
    if isinstance(error, MlflowException):
        return error.error_code in map(
            codes.ErrorCode.Name, (codes.INTERNAL_ERROR, codes.TEMPORARILY_UNAVAILABLE, codes.REQUEST_LIMIT_EXCEEDED)
        )
    library = type(error).__module__.partition(".")[0]
    return isinstance(error, (ConnectionError, TimeoutError)) or library in ("requests", "urllib3", "botocore")
