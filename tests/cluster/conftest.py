"""The servers that the tests of a cluster share: started once for a run, on ports and folders of their own."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qc_assets.lake_place import LakePlace
from qc_assets.store.lake import close_kept_connections
from tests.cluster.servers import KEYS, PostgresServer, bucket_server, postgres_server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with postgres_server(tmp_path_factory.mktemp("postgres") / "cluster") as server:
        yield server
        close_kept_connections()


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bucket_server(tmp_path_factory.mktemp("seaweed") / "s3") as endpoint:
        yield endpoint


@pytest.fixture
def in_bucket(bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix of S3 of its own; keys and endpoint stand in the environment."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": bucket}.items():
        monkeypatch.setenv(name, value)
    return f"s3://lake/{uuid.uuid4().hex}"


@pytest.fixture
def new_lake(postgres: PostgresServer, tmp_path: Path) -> Callable[..., LakePlace]:
    """Makes lakes with their catalogue in PostgreSQL, and their files in a folder or where `data` says."""

    def make(data: str = "") -> LakePlace:
        dsn = postgres.create(f"lake_{uuid.uuid4().hex}")
        return LakePlace.parse(f"ducklake:postgres:{dsn}?data={data or tmp_path / uuid.uuid4().hex}")

    return make
