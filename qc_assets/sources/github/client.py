"""Asking GitHub: GraphQL and diffs over githubkit's authenticated connections, with every answer classified.

githubkit's own retries stop at the first secondary limit or broken body, so they are off; what comes back is
classified here, transient trouble is tried again by tenacity, and limits are waited for.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
from githubkit.exception import GitHubException
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from qc_assets.clock import Clock
from qc_assets.errors import QcError
from qc_assets.sources.github.answers import Answer, Kind, classify, failed
from qc_assets.sources.github.identities import Identity, Pool
from qc_assets.sources.github.query import Part, join


class RequestError(QcError):
    """A request that did not give what was asked for, and whose repetition did not help.

    Attributes:
        kind: what was wrong.
        status: the last HTTP status, if there was any answer.
        endpoint: what was asked.
        tries: how often it was asked.
    """

    def __init__(self, answer: Answer, endpoint: str, tries: int) -> None:
        super().__init__(f"{endpoint}: {answer.reason}")
        self.kind = answer.kind
        self.status = answer.status
        self.endpoint = endpoint
        self.tries = tries


class _Transient(Exception):
    def __init__(self, answer: Answer) -> None:
        self.answer = answer


@dataclass
class Reply:
    """What came back for each part, in order (None where there is nothing), and what was wrong with parts of it."""

    data: list[Any]
    errors: list[tuple[tuple[str | int, ...], Mapping[str, Any]]] = field(default_factory=list)


@dataclass
class RequestCost:
    """What the client has used up so far: requests, points, seconds of waiting for limits, requests that failed."""

    requests: int = 0
    points: int = 0
    waited_s: float = 0.0
    failures: int = 0
    server_s: float = 0.0


class Client:
    """A client over several identities.

    Args:
        pool: the identities.
        clock: tells the time and waits.
        url: base URL of the REST API.
        tries: how often a request with transient trouble is made.
        first_wait_s: seconds before the second try; doubled for each further one, with jitter.
    """

    def __init__(self, pool: Pool, clock: Clock, *, url: str, tries: int, first_wait_s: float) -> None:
        self.pool = pool
        self.clock = clock
        base = url.rstrip("/")
        # GitHub Enterprise has GraphQL beside the REST API, not under it.
        self.graphql_url = base.removesuffix("/v3") + "/graphql" if base.endswith("/api/v3") else base + "/graphql"
        self.rest_url = base
        self.tries = tries
        self.first_wait_s = first_wait_s
        self.spent = RequestCost()
        self._lock = threading.Lock()
        self._connections: dict[str, httpx.Client] = {}
        self._open = ExitStack()

    def close(self) -> None:
        """Close the connections; the client may be used again."""
        self._connections.clear()
        self._open.close()

    def query(self, parts: Sequence[Part]) -> Reply:
        """Ask for all `parts` in one request.

        Raises:
            RequestError: OVERLOADED if less should be asked for, TRANSIENT if trying again did not help, REFUSED if
                the query was not understood.
            SourceError: if no identity is accepted any more.
        """
        document, variables = join(parts)
        names = sorted({part.operation for part in parts})
        endpoint = f"graphql {'+'.join(names)} ({len(parts)})"
        answer = self._ask(
            endpoint, lambda http: http.post(self.graphql_url, json={"query": document, "variables": variables})
        )
        reply = Reply([answer.data.get(f"item_{n}") for n in range(len(parts))])
        for error in answer.errors:
            path = error.get("path") or ()
            head = str(path[0]) if path else ""
            if head.startswith("item_"):
                reply.errors.append(((int(head.removeprefix("item_")), *path[1:]), error))
        return reply

    def text(self, path: str, accept: str, limit: int) -> str | None:
        """Read a REST resource as text.

        Args:
            path: below the base URL, beginning with a slash.
            accept: media type.
            limit: bytes; a longer text is not read to its end.

        Returns:
            The text, or None if it is longer than `limit`.

        Raises:
            RequestError: as `query`.
        """
        too_long = False

        def get(http: httpx.Client) -> httpx.Response:
            nonlocal too_long
            with http.stream("GET", self.rest_url + path, headers={"Accept": accept}) as response:
                body = bytearray()
                for piece in response.iter_bytes():
                    body += piece
                    if len(body) > limit:
                        too_long = True
                        break
                return httpx.Response(response.status_code, headers=_plain(response.headers), content=bytes(body))

        body: list[str] = []

        def understand(response: httpx.Response) -> Answer:
            if response.status_code == 200:
                body[:] = [response.content.decode("utf-8", "replace")]
                return Answer(Kind.OK, 200)
            return classify(response, self.clock.now())

        self._ask(f"GET {path}", get, understand)
        return None if too_long else body[0]

    def _ask(
        self,
        endpoint: str,
        send: Callable[[httpx.Client], httpx.Response],
        understand: Callable[[httpx.Response], Answer] | None = None,
    ) -> Answer:
        attempts = Retrying(
            retry=retry_if_exception_type(_Transient),
            wait=wait_exponential_jitter(initial=self.first_wait_s, max=60, jitter=self.first_wait_s / 2),
            stop=stop_after_attempt(self.tries),
            sleep=self.clock.sleep,
            reraise=True,
        )
        read = understand or (lambda response: classify(response, self.clock.now()))
        try:
            answer = attempts(self._once, send, read)
        except _Transient as error:
            raise RequestError(error.answer, endpoint, self.tries) from None
        if answer.kind is not Kind.OK:
            raise RequestError(answer, endpoint, 1)
        return answer

    def _once(self, send: Callable[[httpx.Client], httpx.Response], read: Callable[[httpx.Response], Answer]) -> Answer:
        """One request that met no limit, by whichever identity."""
        while True:
            with self.pool.use() as identity:
                begun = self.clock.now()
                try:
                    answer = read(send(self._connection(identity)))
                except (httpx.HTTPError, GitHubException) as error:
                    answer = failed(error)
                self._count(answer, (self.clock.now() - begun).total_seconds())
                self.pool.note(identity, answer)
            if answer.kind is Kind.TRANSIENT:
                raise _Transient(answer)
            if answer.kind not in (Kind.LIMITED, Kind.SECONDARY, Kind.UNAUTHORIZED):
                return answer

    def _connection(self, identity: Identity) -> httpx.Client:
        """The identity's connection; used by one thread at a time, as the identity's lock is held."""
        with self._lock:
            if identity.name not in self._connections:
                self._connections[identity.name] = self._open.enter_context(identity.github.get_sync_client())
            return self._connections[identity.name]

    def _count(self, answer: Answer, seconds: float) -> None:
        cost = (answer.data.get("rateLimit") or {}).get("cost", 0) if answer.kind is Kind.OK else 0
        with self._lock:
            self.spent.requests += 1
            self.spent.points += cost
            self.spent.server_s += seconds
            self.spent.failures += answer.kind is not Kind.OK


def _plain(headers: httpx.Headers) -> dict[str, str]:
    # The body is decoded already.
    return {name: value for name, value in headers.items() if name not in ("content-encoding", "content-length")}
