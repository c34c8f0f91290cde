"""A real PostgreSQL for the tests of a process, and a database of its own for each that asks."""

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.local_servers import MissingServerError, PostgresServer, free_port
from qc_assets.shared_database import SharedDatabase

_NAMES = itertools.count(1)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server of one's own, which may be stopped and started.

    Its folder is not one of pytest's, which only their owner may enter, and PostgreSQL will not be root.
    """
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="qc_pg_", dir=memory, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        try:
            server = PostgresServer(Path(folder) / "server", free_port(), is_durable=False).start()
        except MissingServerError as error:
            pytest.skip(str(error))
        try:
            yield server
        finally:
            with suppress(RuntimeError):  # the test may have stopped it
                server.stop("immediate")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that no test stops."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def shared_url(postgres: PostgresServer) -> str:
    """The URL of an empty database."""
    return postgres.url(f"test_{next(_NAMES)}")


@pytest.fixture
def shared(shared_url: str) -> SharedDatabase:
    """An empty database."""
    return SharedDatabase(SecretStr(shared_url), patience_s=60)
