"""The servers that the tests of a cluster share: started once for a run, on ports and folders of their own."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local_servers import PostgresServer
from tests.cluster.lakes import NewLake, lakes_of
from tests.cluster.servers import KEYS, bucket_server


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
def new_lake(postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewLake]:
    """Makes lakes with their catalogue in PostgreSQL, and their files in a folder or where `data` says."""
    with lakes_of(postgres, tmp_path, monkeypatch) as make:
        yield make
