"""A PostgreSQL database that many machines share: opened when it is needed, lost and found again, its password unsaid.

psycopg is imported when a database is named, and not before: most homes have none.
"""

import itertools
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from pydantic import SecretStr

from qc_assets.errors import QcError, masked_urls

if TYPE_CHECKING:
    from sqlalchemy import Engine

_SCHEMA = "qc_assets"
# Of one process: requests that write wait for one another anyway.
_MOST_CONNECTIONS = 8
_LOCK_PATIENCE_S = 10.0
# A process that froze, or whose machine was lost, lets go of its locks after this.
_LONGEST_PAUSE_S = 60
# Whoever shares the database with us has other locks.
_LOCKS = 0x1C0A55E7


class SharedDatabaseError(QcError):
    """The shared database cannot be reached or did not do what was asked; what was asked may be asked again."""


class AlreadyWrittenError(SharedDatabaseError):
    """Another machine has written just now what may be there once."""


class SharedDatabase:
    """One database, by its URL; its tables lie in a schema of their own, so it may be another program's, too.

    Args:
        url: ``postgresql://user:password@host:5432/name``, with any parameters that libpq knows.
        patience_s: how long to wait for another's lock.

    Attributes:
        name: the URL as it may be shown.
    """

    def __init__(self, url: SecretStr, *, patience_s: float = _LOCK_PATIENCE_S) -> None:
        self._url, self._patience_s = url.get_secret_value(), patience_s
        self.name = masked_urls(self._url).partition("?")[0]
        self._made: set[str] = set()
        self._opening = threading.Lock()
        self._pool: Engine | None = None

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"SharedDatabase({self.name!r})"

    @contextmanager
    def transaction(self, schema: str = "") -> Iterator["SharedConnection"]:
        """A connection for one transaction: committed at the end of the block, rolled back if it raises.

        Args:
            schema: statements that make the tables, in a schema of ours, each harmless where they are there; run once
                by a process.

        Raises:
            AlreadyWrittenError: if a key is there already.
            SharedDatabaseError: for all else that the database refuses, and if it cannot be reached.
        """
        with self._explained(), closing(self._engine().raw_connection()) as lent:
            connection = cast(Any, lent.driver_connection)
            if schema and schema not in self._made:
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_LOCKS])
                    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}; {schema}")
                self._made.add(schema)
            with connection.transaction():
                yield SharedConnection(connection)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        import psycopg
        from sqlalchemy.exc import DBAPIError
        from sqlalchemy.exc import TimeoutError as NoConnectionFree

        try:
            yield
        except psycopg.errors.UniqueViolation as error:
            what = error.diag.constraint_name
            raise AlreadyWrittenError(
                f"another machine has just written that ({what}): ask again, and see what it wrote"
            ) from error
        except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled) as error:
            raise SharedDatabaseError(
                f"{self.name} is busy: another transaction keeps what this one waits for (over {self._patience_s:g} s)"
            ) from error
        except NoConnectionFree as error:
            raise SharedDatabaseError(f"{self.name} is busy: all connections of this process are in use") from error
        except (psycopg.Error, DBAPIError) as error:
            cause = getattr(error, "orig", error)
            reason = masked_urls(str(cause)).strip().partition("\n")[0]
            raise SharedDatabaseError(f"{self.name}: {reason or type(cause).__name__}") from None

    def _engine(self) -> "Engine":
        """SQLAlchemy's pool: a connection is tried before it is lent, and opened anew if it was lost."""
        with self._opening:
            if self._pool is None:
                import psycopg
                from sqlalchemy import create_engine

                def connect() -> Any:
                    connection = psycopg.connect(
                        self._url, connect_timeout=5, keepalives_idle=10, application_name="qc-assets"
                    )
                    connection.execute(
                        f"SET search_path TO {_SCHEMA}; SET lock_timeout = '{self._patience_s:g}s'; "
                        f"SET idle_in_transaction_session_timeout = '{_LONGEST_PAUSE_S}s'"
                    )
                    connection.commit()
                    return connection

                self._pool = create_engine(
                    "postgresql+psycopg://", creator=connect, pool_pre_ping=True, pool_size=_MOST_CONNECTIONS,
                    max_overflow=0, pool_timeout=self._patience_s,
                )  # fmt: skip
            return self._pool


class SharedConnection:
    """A connection that takes the statements that SQLite takes: parameters are ``?`` or ``?1``.

    Args:
        connection: in a transaction.
    """

    def __init__(self, connection: Any) -> None:
        from psycopg import RawCursor

        self._cursor = RawCursor(connection)

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        """Run a statement; returns the cursor, which the next statement uses again."""
        return self._cursor.execute(_numbered(statement), list(parameters) or None)

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row."""
        self._cursor.executemany(_numbered(statement), rows)

    def hold(self, lock: int) -> None:
        """Wait for a lock of this project, which the end of the transaction releases; one holds it at a time."""
        self.execute("SELECT pg_advisory_xact_lock(?, ?)", [_LOCKS, lock])


@cache
def shared_database(url: SecretStr) -> SharedDatabase:
    """The database of a URL, the same for all who ask in one process.

    Raises:
        SharedDatabaseError: if the driver is not installed.
    """
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise SharedDatabaseError("QC_JOURNAL needs psycopg: pip install 'qc-assets[cluster]'") from error
    return SharedDatabase(url)


def postgres_url(url: SecretStr) -> SecretStr:
    """Refuse what is no URL of a PostgreSQL database; what is refused is not shown, as it may hold a password.

    Raises:
        ValueError: saying what is wanted.
    """
    text = url.get_secret_value()
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("postgresql", "postgres") and len(parts.path) > 1 and (parts.port or 1) > 0
        # Else part of a password with signs of URLs would be taken for the host, and shown where it is not found.
        good = good and text.count("@") <= 1 and "@" not in parts.path + parts.query
    except ValueError:
        good = False
    if not good:
        raise ValueError(
            "write postgresql://host:5432/database, with user:password@ before the host, and %40 for an @ in it"
        )
    return url


@cache
def _numbered(statement: str) -> str:
    bare = itertools.count(1)
    return re.sub(r"\?(\d*)", lambda mark: f"${mark[1] or next(bare)}", statement)
