"""What stands before the application: who is let in, the size of requests; counting and logging of answers."""

import json
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from qc_assets.serving.admission import Admission, Refused, Scope
from qc_assets.serving.callers import CALLER
from qc_assets.serving.prometheus import Metrics
from qc_assets.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
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
    """

    def __init__(self, app: Any, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._most = settings.api_max_bytes
        self._admission = Admission(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status, request_id, has_begun = 500, uuid.uuid4().hex, False
        caller, token = None, CALLER.set(None)

        async def noting(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                message["headers"] = [*message["headers"], *_HEADERS, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            caller = self._admission.admit(scope)
            CALLER.set(caller)
            await self._app(scope, _replay(await self._body(scope, receive)), noting)
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

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        declared_length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        parts, size = [], 0
        while True:
            if size > self._most or (declared_length.isdigit() and int(declared_length) > self._most):
                raise Refused(413, f"a request may have {self._most} bytes (QC_API_MAX_BYTES)")
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "the client went away")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if not message.get("more_body", False) and size <= self._most:
                return b"".join(parts)


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
