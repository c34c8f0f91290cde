"""HTTP answers that end: each has a deadline in all, and a size after decompression.

A timeout between two bytes does not stop a server that sends one a second. Only an asynchronous client can be stopped
wherever it is (a name look-up, a handshake, in the middle of a header), so threads ask through one.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import anyio
import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

_REDIRECTS = 5


class AnswerTooLargeError(httpx.TransportError):
    """An answer is larger than it may be; its rest was not read."""


@dataclass(frozen=True)
class BoundedClient:
    """An HTTP client for threads; from `bounded_client`.

    Attributes:
        deadline_s: seconds for each answer in all, redirects included.
        max_bytes: decompressed.
    """

    portal: BlockingPortal
    client: httpx.AsyncClient
    deadline_s: float
    max_bytes: int

    def send(
        self,
        method: str,
        url: str,
        *,
        max_bytes: int | Callable[[httpx.Response], int] | None = None,
        target: Callable[[httpx.Response], BinaryIO | None] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """Ask, and read the answer to its end.

        Args:
            method, url, options: as httpx has them.
            max_bytes: instead of the client's; or what says it, given the answer's status and headers.
            target: given the answer's status and headers, where its bytes go as they come, not decompressed; None to
                read it into memory.

        Raises:
            AnswerTooLargeError: if it is larger than `max_bytes`.
            httpx.ReadTimeout: if it does not end in time.
            httpx.HTTPError: if there is no answer.
        """
        request = self.client.build_request(method, url, **options)
        return self.portal.call(self._send, request, self.max_bytes if max_bytes is None else max_bytes, target)

    async def _send(
        self,
        request: httpx.Request,
        max_bytes: int | Callable[[httpx.Response], int],
        target: Callable[[httpx.Response], BinaryIO | None] | None,
    ) -> httpx.Response:
        origin = _origin(request.url)
        try:
            with anyio.fail_after(self.deadline_s):
                for _ in range(_REDIRECTS):
                    # Redirects are followed here, as httpx reads their bodies whole; a token stays with its server.
                    auth = httpx.USE_CLIENT_DEFAULT if _origin(request.url) == origin else None
                    answer = await self.client.send(request, stream=True, follow_redirects=False, auth=auth)
                    try:
                        most = max_bytes if isinstance(max_bytes, int) else max_bytes(answer)
                        body = await _read(answer, most, target)
                    finally:
                        await answer.aclose()
                    if answer.next_request is None:
                        headers = _plain(answer.headers, keeps_length=request.method == "HEAD")
                        return httpx.Response(answer.status_code, headers=headers, content=body)
                    request = answer.next_request
        except TimeoutError:
            raise httpx.ReadTimeout(f"no whole answer within {self.deadline_s:g} s") from None
        raise httpx.TooManyRedirects(f"more than {_REDIRECTS} redirects", request=request)


async def _read(
    answer: httpx.Response, max_bytes: int, target: Callable[[httpx.Response], BinaryIO | None] | None
) -> bytes:
    file = target(answer) if target else None
    if len(answer.headers.get_list("content-encoding", split_commas=True)) > 1:
        raise AnswerTooLargeError("the answer is compressed more than once")
    declared = answer.headers.get("content-length", "")
    if file and declared.isdecimal() and int(declared) > max_bytes:
        raise AnswerTooLargeError(f"the answer is longer than {max_bytes:,} bytes: it says so")
    body, size = bytearray(), 0
    async for piece in answer.aiter_raw() if file else answer.aiter_bytes():
        size += len(piece)
        if size > max_bytes:
            raise AnswerTooLargeError(f"the answer is longer than {max_bytes:,} bytes")
        if file:
            file.write(piece)
        else:
            body += piece
    return bytes(body)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _plain(headers: httpx.Headers, *, keeps_length: bool) -> dict[str, str]:
    # The body is decoded already; of one that was not sent the length is all that is told.
    gone = ("content-encoding", "transfer-encoding") if keeps_length else ("content-encoding", "content-length")
    return {name: value for name, value in headers.items() if name not in gone}


@contextmanager
def bounded_client(
    opened: AbstractAsyncContextManager[httpx.AsyncClient], *, deadline_s: float, max_bytes: int
) -> Iterator[BoundedClient]:
    """A client whose answers end.

    Args:
        opened: the client to ask through.
        deadline_s, max_bytes: as in `BoundedClient`.
    """
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened) as client:
        yield BoundedClient(portal, client, deadline_s, max_bytes)
