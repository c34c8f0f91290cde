"""Limits on connections, before a request is one: how many, how long until head and body are there, how much."""

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class ConnectionLimits:
    """What a client may make the server wait for, or hold.

    Attributes:
        connections: open at a time; one more, and the one that has let us wait longest is dropped.
        head_bytes: of a request without its body: its line, headers, trailers and the framing of chunks.
        head_s: seconds until the headers are there.
        body_s: seconds until the body is there, or another megabyte of it; and until an answer is taken.
        pipelined: requests of a connection that may wait for the answer to one before them; these are answered, and
            what comes behind them is not read, as the last answer says by closing.
    """

    connections: int = 512
    head_bytes: int = 65_536
    head_s: float = 10.0
    body_s: float = 60.0
    pipelined: int = 64


class LimitedConnection(HttpToolsProtocol):
    """A connection of uvicorn that waits for its client only so long, and holds only so much of it.

    uvicorn with httptools has no such limits, and h11, which has one of them, is slower.
    """

    limits: ClassVar[ConnectionLimits]
    # Those that wait for their clients, the longest first.
    waiting: ClassVar[dict["LimitedConnection", None]]
    _timer: asyncio.TimerHandle | None = None
    _overhead = _body = _seen = 0
    _is_full = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(self.limits.head_s)
        if len(self.connections) > self.limits.connections:
            next(iter(self.waiting)).drop(503)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing() or self._is_full:
            return
        self._overhead += len(data)
        super().data_received(data)
        # As much framing as body is taken: a client may send small chunks, but not nothing else.
        if self._overhead > self.limits.head_bytes + self._body:
            self.drop(431)
        # uvicorn does not end it any more: what came is to become a request, and blank lines never do.
        elif self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._wait(self.limits.head_s)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._body = self._seen = 0
        self._wait(self.limits.head_s)

    def on_headers_complete(self) -> None:
        # Before the application sees it: a head that came at once has not been counted yet.
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self.limits.head_bytes:
            self.drop(431)
            raise ValueError("the head is too long")  # the parser gives up
        self._wait(self.limits.body_s)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._overhead -= len(body)
        self._body += len(body)
        if self._body - self._seen > _MEGABYTE and not self.cycle.response_complete:
            self._seen = self._body
            self._wait(self.limits.body_s)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._overhead = 0
        self._wait(None)
        super().on_message_complete()
        # uvicorn reads on after each answer and parses all that came, faster than anybody answers: memory would fill.
        if len(self.pipeline) >= self.limits.pipelined:
            self._is_full, self.cycle.keep_alive = True, False
            raise ValueError("too many requests wait for the answer to one before them")  # the parser gives up

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._timer is None and not self.transport.is_closing():
            self.waiting[self] = None  # for another request; uvicorn itself ends that soon

    def send_400_response(self, msg: str) -> None:
        if not (self.transport.is_closing() or self._is_full):  # else the client was told, or is by the last answer
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait(self.limits.body_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._wait(None)

    def drop(self, status: int) -> None:
        """Close, and tell the client why where it does not wait for an answer; nothing is waited for any more."""
        self._wait(None)
        reason = {408: b"Request Timeout", 431: b"Request Header Fields Too Large", 503: b"Service Unavailable"}
        is_quiet = self.cycle is None or self.cycle.response_complete
        if is_quiet and not self.transport.get_write_buffer_size():
            head = b"HTTP/1.1 %d %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % (status, reason[status])
            self.transport.write(head)
            self.transport.close()
        else:
            self.transport.abort()

    def _wait(self, seconds: float | None) -> None:
        """Wait for the client from now on, or not any more."""
        if self._timer is not None:
            self._timer.cancel()
        self.waiting.pop(self, None)
        self._timer = None
        if seconds is not None:
            self.waiting[self] = None
            self._timer = self.loop.call_later(seconds, self.drop, 408)


def limited_connections(limits: ConnectionLimits) -> type[Any]:
    """The protocol for `uvicorn.run(http=…)` with these limits; its connections know of each other."""
    return type("LimitedConnection", (LimitedConnection,), {"limits": limits, "waiting": {}})
