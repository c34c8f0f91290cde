"""What stands before the application: size, key, rate and host of requests; counting and logging of answers."""

import base64
import binascii
import hmac
import ipaddress
import json
import math
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import structlog
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from qc_assets.serving.prometheus import Metrics
from qc_assets.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# Health is asked by machines that have no key; deliveries of GitHub are signed.
OPEN = ("/health", "/webhook/github")
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


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host name or address; a port behind it does not matter."""
    try:
        name = urlsplit(f"//{host if host.count(':') < 2 or '[' in host else f'[{host}]'}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:  # another name, or none at all
        return False


class RequestGuard:
    """An ASGI middleware.

    Args:
        app: the application.
        settings: key, limits.
        metrics: where to count.
    """

    def __init__(self, app: Any, settings: Settings, metrics: Metrics) -> None:
        self._app = app
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

        async def noting(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                message["headers"] = [*message["headers"], *_HEADERS, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            self._check(scope)
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
        headers = {name: value for name, value in scope["headers"] if name in (b"host", b"authorization", b"x-api-key")}
        if self._key is None:
            # Without a key, only this machine may ask; a page elsewhere could make a browser of it ask, too.
            if not is_loopback(headers.get(b"host", b"").decode("latin-1")):
                raise Refused(403, "this server answers requests to this machine only: set QC_API_KEY to open it")
        elif scope["path"] not in OPEN and not any(hmac.compare_digest(key, self._key) for key in _keys(headers)):
            # A browser asks for a password then: any user name, the key as password.
            challenge = {"WWW-Authenticate": 'Basic realm="qc-assets"'}
            raise Refused(401, "send the key of QC_API_KEY as X-API-Key or Authorization: Bearer", **challenge)
        client = scope["client"][0] if scope.get("client") else "unknown"
        if not self._limiter.hit(self._rate, client):
            wait = max(1, math.ceil(self._limiter.get_window_stats(self._rate, client).reset_time - time.time()))
            raise Refused(429, f"more than {self._rate} (QC_API_RATE): try again later", **{"Retry-After": str(wait)})

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
