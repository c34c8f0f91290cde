"""`qc serve`: one process, structured logs, requests answered before it stops."""

import logging
import signal
import sys
from pathlib import Path
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from qc_assets.errors import QcError
from qc_assets.serving.doors import is_loopback
from qc_assets.serving.keys import keys_file, read_keys
from qc_assets.settings import Settings

_GRACE_S = 20


def run_server(settings: Settings, sockets: Path | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C; requests that have begun are answered, and the journal is written.

    Args:
        settings: everything.
        sockets: see `create_app`.

    Raises:
        QcError: if the address can be reached from elsewhere and there is no key.
    """
    refuse_open_door(settings)
    import uvicorn

    from qc_assets.serving.app import create_app
    from qc_assets.serving.connection_limits import ConnectionLimits, limited_connections

    log_as_json()
    # A thread that reads a new champion gives way to requests after 1 ms instead of 5.
    sys.setswitchinterval(0.001)
    # uvicorn ends in order and then raises the signal again, which would look as if it had not.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    uvicorn.run(
        create_app(settings, sockets=sockets, starts_at_once=True),
        host=settings.host,
        port=settings.api_port,
        access_log=False,  # the gate logs requests, without what may be secret in them
        log_config=None,
        server_header=False,
        proxy_headers=False,  # whom a proxy names is believed where QC_TRUSTED_PROXIES has the proxy
        http=limited_connections(ConnectionLimits()),
        ws="none",  # nothing here needs one, and Dagster's would take changes of pages elsewhere
        timeout_graceful_shutdown=_GRACE_S,
    )


def refuse_open_door(settings: Settings) -> None:
    """Refuse to listen where other machines can ask, unless whoever asks must have a key.

    Raises:
        QcError: if the address can be reached from elsewhere and there is no key.
    """
    has_keys = settings.api_key is not None or bool(read_keys(keys_file(settings.journal_file)))
    if not has_keys and not is_loopback(settings.host):
        raise QcError(
            f"QC_HOST={settings.host} can be reached by other machines: set QC_API_KEY, make keys with `qc keys make`, "
            "or bind 127.0.0.1"
        )


def log_as_json() -> None:
    """One JSON document a line on standard error, for our own events and those of libraries."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Without local variables: a key may be in one.
                structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("mlflow", "alembic", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
