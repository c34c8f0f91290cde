"""Applications on real sockets, in threads of this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


@contextmanager
def listening(app: Any, **options: Any) -> Iterator[uvicorn.Server]:
    """A server of an application, on a free port of loopback unless `options` of uvicorn's say otherwise."""
    server = uvicorn.Server(uvicorn.Config(app, **{"port": 0, "log_config": None} | options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server ended before it listened"
        time.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join(30)


def url_of(server: uvicorn.Server) -> str:
    """Where a server of `listening` answers."""
    host, port = server.servers[0].sockets[0].getsockname()
    return f"http://{host}:{port}"
