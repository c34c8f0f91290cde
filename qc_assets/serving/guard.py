"""What stands before the application: size, key, rate and host of requests; counting and logging of answers."""

import base64
import binascii
import hmac
import json
import math
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import structlog
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from qc_assets.serving.doors import is_loopback, why_foreign
from qc_assets.serving.other_uis import Forwarder, OtherUi, ui_at
from qc_assets.serving.prometheus import Metrics
from qc_assets.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# Health is asked by machines that have no key; deliveries of GitHub are signed.
OPEN = ("/health", "/webhook/github")
# Bodies that are not whole yet, all together, of those who have a key (or need none) and of those who have none; a
# small one is always taken, as connections are counted.
_MOST_UNFINISHED, _SMALL = 64_000_000, 65_536
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
]
log = structlog.get_logger("qc_assets.serving")


class Refused(Exception):
    """A request that does not reach the application."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers


class RequestGuard:
    """An ASGI middleware.

    Args:
        app: the application.
        settings: key, limits.
        metrics: where to count.
        sockets: folder of the sockets of the other UIs; None shows none.
    """

    def __init__(self, app: Any, settings: Settings, metrics: Metrics, sockets: Path | None = None) -> None:
        self._app = app
        self._settings = settings
        self._forward = Forwarder(sockets) if sockets else None
        self._unfinished = {True: 0, False: 0}
        self._metrics = metrics
        self._most = settings.api_max_bytes
        self._key = settings.api_key.get_secret_value().encode() if settings.api_key else None
        self._rate = parse(settings.api_rate)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status, request_id, has_begun = 500, uuid.uuid4().hex, False
        ui = ui_at(scope["path"]) if self._forward else None

        async def noting(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                ours = () if ui else _HEADERS  # the others say themselves what may be kept
                message["headers"] = [*message["headers"], *ours, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            self._check(scope)
            if ui:
                await self._show(ui, scope, receive, noting)
            else:
                await self._app(scope, _replay(await self._body(scope, receive)), noting)
        except Refused as refused:
            await _answer(noting, refused)
        except Exception:  # the log has it, the client has not
            log.exception("request failed", path=scope["path"], request_id=request_id)
            if not has_begun:
                await _answer(noting, Refused(500, f"internal error: the log says more of request {request_id}"))
        finally:
            seconds = time.perf_counter() - started
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(scope["method"], path, status).inc()
            self._metrics.seconds.labels(path).observe(seconds)
            log.info(
                "request",
                method=scope["method"],
                path=path,
                status=status,
                milliseconds=round(seconds * 1000, 2),
                request_id=request_id,
            )

    def _check(self, scope: Scope) -> None:
        headers = dict(reversed(scope["headers"]))
        if self._key is None:
            # Without a key, only this machine may ask; a page elsewhere could make a browser of it ask, too.
            if not is_loopback(headers.get(b"host", b"").decode("latin-1")):
                raise Refused(403, "this server answers requests to this machine only: set QC_API_KEY to open it")
        elif scope["path"] not in OPEN and not any(hmac.compare_digest(key, self._key) for key in _keys(headers)):
            # A browser asks for a password then: any user name, the key as password.
            challenge = {"WWW-Authenticate": 'Basic realm="qc-assets"'}
            raise Refused(401, "send the key of QC_API_KEY as X-API-Key or Authorization: Bearer", **challenge)
        if reason := why_foreign(scope["method"], headers, self._settings):
            raise Refused(403, reason)
        client = scope["client"][0] if scope.get("client") else "unknown"
        if not self._limiter.hit(self._rate, client):
            wait = max(1, math.ceil(self._limiter.get_window_stats(self._rate, client).reset_time - time.time()))
            raise Refused(429, f"more than {self._rate} (QC_API_RATE): try again later", **{"Retry-After": str(wait)})

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
        owner, held = scope["path"] not in OPEN, 0
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


def _keys(headers: dict[bytes, bytes]) -> list[bytes]:
    keys = [headers[b"x-api-key"]] if b"x-api-key" in headers else []
    kind, _, rest = headers.get(b"authorization", b"").partition(b" ")
    if kind.lower() == b"bearer":
        keys.append(rest.strip())
    elif kind.lower() == b"basic":
        try:
            keys.append(base64.b64decode(rest, validate=True).partition(b":")[2])
        except binascii.Error:
            return keys
    return keys


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
