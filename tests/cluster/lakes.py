"""Lakes with their catalogue in a PostgreSQL of the tests."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from deploy.local_servers import PostgresServer
from qc_assets.lake_place import LakePlace
from qc_assets.store.lake import close_kept_connections

NewLake = Callable[..., LakePlace]


@contextmanager
def lakes_of(server: PostgresServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewLake]:
    """Makes lakes, each in a database of its own; the password stands in the environment, as docs/lake.md says."""
    monkeypatch.setenv("PGPASSWORD", server.password)

    def make(data: str = "") -> LakePlace:
        where = new_database(server, f"lake_{uuid.uuid4().hex}")
        return LakePlace.parse(f"ducklake:postgres:{where}?data={data or folder / uuid.uuid4().hex}")

    try:
        yield make
    finally:
        close_kept_connections()


def new_database(server: PostgresServer, name: str) -> str:
    """Make a database; returns how libpq finds it, which reads the password from PGPASSWORD."""
    server.url(name)
    return f"dbname={name} host=127.0.0.1 port={server.port} user=qc"


def cut_all(server: PostgresServer, database: str) -> int:
    """End every session of a database, as a failing network or server would; returns how many there were."""
    ends = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(server.url("postgres")) as connection:
        row = connection.execute(ends, [database]).fetchone()
    return int(row[0]) if row else 0
