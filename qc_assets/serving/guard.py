"""What stands before the application: who is let in, the size of requests; counting and logging of answers."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import structlog

from qc_assets.serving.admission import HEALTH, WEBHOOK, Admission, Refused, Scope
from qc_assets.serving.callers import CALLER
from qc_assets.serving.other_uis import Forwarder, OtherUi, ui_at
from qc_assets.serving.prometheus import Metrics
from qc_assets.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# Bodies that are not whole yet, all together, of those who have a key (or need none) and of those who have none; a
# small one is always taken, as connections are counted.
_MOST_UNFINISHED, _SMALL = 64_000_000, 65_536
# What a server that starts can say already, and how long the rest waits for it.
_AT_ONCE, _PATIENCE_S = (HEALTH, "/metrics"), 20.0
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"same-origin"),
]
log = structlog.get_logger("qc_assets.serving")


class RequestGuard:
    """An ASGI middleware.

    Args:
        app: the application.
        settings: keys, limits.
        metrics: where to count.
        sockets: folder of the sockets of the other UIs; None shows none.
        has_loaded: what requests wait for, some time, that need models or histories.
    """

    def __init__(
        self,
        app: Any,
        settings: Settings,
        metrics: Metrics,
        sockets: Path | None = None,
        has_loaded: asyncio.Event | None = None,
    ) -> None:
        self._app = app
        self._forward = Forwarder(sockets) if sockets else None
        self._unfinished = {True: 0, False: 0}
        self._metrics = metrics
        self._has_loaded = has_loaded
        self._most = settings.api_max_bytes
        self._admission = Admission(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status, request_id, has_begun = 500, uuid.uuid4().hex, False
        caller, token = None, CALLER.set(None)
        ui = ui_at(scope["path"]) if self._forward else None

        async def noting(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                ours = () if ui else _HEADERS  # the others say themselves what may be kept
                message["headers"] = [*message["headers"], *ours, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            caller = self._admission.admit(scope)
            CALLER.set(caller)
            if ui:
                await self._show(ui, scope, receive, noting)
            else:
                body = await self._body(scope, receive)
                if self._has_loaded and not self._has_loaded.is_set() and scope["path"] not in _AT_ONCE:
                    await self._wait_for_start(self._has_loaded)
                await self._app(scope, _replay(body), noting)
        except Refused as refused:
            await _answer(noting, refused)
        except Exception:  # the log has it, the client has not
            log.exception("request failed", path=scope["path"], request_id=request_id)
            if not has_begun:
                await _answer(noting, Refused(500, f"internal error: the log says more of request {request_id}"))
        finally:
            CALLER.reset(token)
            seconds = time.perf_counter() - started
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(scope["method"], path, status).inc()
            self._metrics.seconds.labels(path).observe(seconds)
            log.info(
                "request",
                method=scope["method"],
                path=path,
                status=status,
                key=caller and caller.key,
                milliseconds=round(seconds * 1000, 2),
                request_id=request_id,
            )

    async def _wait_for_start(self, has_loaded: asyncio.Event) -> None:
        try:
            await asyncio.wait_for(has_loaded.wait(), _PATIENCE_S)
        except TimeoutError:
            raise Refused(
                503, "the server is starting: champions and histories are still being read", **{"Retry-After": "5"}
            ) from None

    async def _show(self, ui: OtherUi, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == ui.prefix:
            raise Refused(307, "further on", Location=f"{ui.prefix}/")
        if objection := ui.objection(scope["method"], scope["path"], dict(reversed(scope["headers"]))):
            raise Refused(*objection)
        assert self._forward is not None
        try:
            await self._forward(ui, scope, receive, send)
        except httpx.TransportError as error:
            raise Refused(502, f"{ui.prefix} does not answer ({type(error).__name__}): see `qc doctor`") from error

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        owner, held = scope["path"] not in (HEALTH, WEBHOOK), 0
        try:
            parts: list[bytes] = []
            async for part in self._parts(scope, receive):
                parts.append(part)
                held += len(part)
                self._unfinished[owner] += len(part)
                if self._unfinished[owner] > _MOST_UNFINISHED and held > _SMALL:
                    raise Refused(
                        503, "too many long requests are on their way: try again later", **{"Retry-After": "5"}
                    )
            return b"".join(parts)
        finally:
            self._unfinished[owner] -= held

    async def _parts(self, scope: Scope, receive: Receive) -> AsyncIterator[bytes]:
        declared_length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        size = 0
        while True:
            if size > self._most or (declared_length.isdigit() and int(declared_length) > self._most):
                raise Refused(413, f"a request may have {self._most} bytes (QC_API_MAX_BYTES)")
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "the client went away")
            part = message.get("body", b"")
            size += len(part)
            if size <= self._most:
                yield part
                if not message.get("more_body", False):
                    return


def _replay(body: bytes) -> Receive:
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        return next(messages, {"type": "http.disconnect"})

    return receive


async def _answer(send: Send, refused: Refused) -> None:
    body = json.dumps({"detail": str(refused)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in refused.headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
