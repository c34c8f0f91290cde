"""Asking GitHub: GraphQL and diffs over githubkit's authenticated connections, with every answer classified.

githubkit's own retries stop at the first secondary limit or broken body, so they are off; what comes back is
classified here, transient trouble is tried again by tenacity, and limits are waited for.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from githubkit.exception import GitHubException
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from qc_assets.bounded_http import AnswerTooLargeError, BoundedClient, bounded_client
from qc_assets.clock import Clock
from qc_assets.errors import QcError
from qc_assets.sources.github.answers import Answer, Kind, classify, failed
from qc_assets.sources.github.identities import Identity, Pool
from qc_assets.sources.github.query import Part, join
from qc_assets.sources.github.schema_gaps import TYPES, compared_gaps, everywhere, fill, named_gaps, pruned

log = logging.getLogger(__name__)

_ODD = "the answer is not what was asked for"
_LIMITS_IN_A_ROW = 10  # of one request, for each identity: who still hears of a limit then will not get through


class RequestError(QcError):
    """A request that did not give what was asked for, and whose repetition did not help.

    Attributes:
        kind: what was wrong.
        status: the last HTTP status, if there was any answer.
        endpoint: what was asked.
        tries: how often it was asked.
        errors: of the GraphQL body.
    """

    def __init__(self, answer: Answer, endpoint: str, tries: int) -> None:
        super().__init__(f"{endpoint}: {answer.reason}")
        self.kind = answer.kind
        self.status = answer.status
        self.endpoint = endpoint
        self.tries = tries
        self.errors = answer.errors

    @property
    def is_final(self) -> bool:
        """Whether trying again later would not help."""
        return self.kind in (Kind.REFUSED, Kind.UNAUTHORIZED)


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
        deadline_s, max_bytes: of each answer, in all.

    Attributes:
        note: told what a person should know of the server.
    """

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        *,
        url: str,
        tries: int,
        first_wait_s: float,
        deadline_s: float,
        max_bytes: int,
    ) -> None:
        self.pool = pool
        self.clock = clock
        base = url.rstrip("/")
        # GitHub Enterprise has GraphQL beside the REST API, not under it.
        self.graphql_url = base.removesuffix("/v3") + "/graphql" if base.endswith("/api/v3") else base + "/graphql"
        self.rest_url = base
        self.tries = tries
        self.first_wait_s = first_wait_s
        self.deadline_s = deadline_s
        self.max_bytes = max_bytes
        self.note: Callable[[str], None] = log.warning
        self._gaps: frozenset[str] = frozenset()
        self._has_compared = False
        self.spent = RequestCost()
        self._lock = threading.Lock()
        self._connections: dict[str, BoundedClient] = {}
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
        while True:
            try:
                answer = self._graphql(endpoint, pruned(document, self._gaps) if self._gaps else document, variables)
                break
            except RequestError as error:
                if not self._learn_gaps(error):
                    raise
        if self._gaps:
            fill(document, answer.data, self._gaps)
        data = [answer.data.get(f"item_{n}") for n in range(len(parts))]
        if any(not isinstance(item, Mapping | None) for item in data):
            raise RequestError(replace(answer, kind=Kind.TRANSIENT, reason=f"{_ODD}: {data!r:.200}"), endpoint, 1)
        places = ((_place(error.get("path"), len(parts)), error) for error in answer.errors)
        return Reply(data, [(place, error) for place, error in places if place is not None])

    def _graphql(self, endpoint: str, document: str, variables: Mapping[str, Any]) -> Answer:
        body = {"query": document, "variables": variables}
        return self.ask(endpoint, lambda http: http.send("POST", self.graphql_url, json=body))

    def _learn_gaps(self, refusal: RequestError) -> bool:
        """Whether a refusal says that the server's schema lacks something that was not known to be missing."""
        gaps = named_gaps(refusal.errors) if refusal.kind is Kind.REFUSED else None
        if gaps is None:
            return False
        with self._lock:
            is_first, self._has_compared = not self._has_compared, True
        if is_first:
            try:
                gaps |= compared_gaps(self._graphql("graphql types", TYPES, {}).data)
            except RequestError as error:
                self.note(f"{self.rest_url} does not show its schema: {error}")
        # A server that names the same again means more than it says.
        fresh = gaps - self._gaps or everywhere(gaps) - self._gaps
        if fresh:
            self._gaps |= fresh
            self.note(f"{self.rest_url} does not have {', '.join(sorted(fresh))}: read without, and unknown")
        return bool(fresh)

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

        def get(http: BoundedClient) -> httpx.Response:
            nonlocal too_long
            try:
                return http.send("GET", self.rest_url + path, headers={"Accept": accept}, max_bytes=limit)
            except AnswerTooLargeError:
                too_long = True
                return httpx.Response(200)

        body: list[str] = []

        def understand(response: httpx.Response) -> Answer:
            if response.status_code == 200:
                body[:] = [response.content.decode("utf-8", "replace")]
                return Answer(Kind.OK, 200)
            return classify(response, self.clock.now())

        self.ask(f"GET {path}", get, understand)
        return None if too_long else body[0]

    def ask(
        self,
        endpoint: str,
        send: Callable[[BoundedClient], httpx.Response],
        understand: Callable[[httpx.Response], Answer] | None = None,
        *,
        tries: int | None = None,
    ) -> Answer:
        """One request by whichever identity, tried again while its trouble is transient.

        Args:
            endpoint: for errors.
            send: makes the request.
            understand: classifies its answer; default: as GraphQL's.
            tries: instead of the client's.

        Raises:
            RequestError: as `query`.
        """
        tries = tries or self.tries
        attempts = Retrying(
            retry=retry_if_exception_type(_Transient),
            wait=wait_exponential_jitter(initial=self.first_wait_s, max=60, jitter=self.first_wait_s / 2),
            stop=stop_after_attempt(tries),
            sleep=self.clock.sleep,
            reraise=True,
        )
        read = understand or (lambda response: classify(response, self.clock.now()))
        try:
            answer = attempts(self._once, send, read)
        except _Transient as error:
            raise RequestError(error.answer, endpoint, tries) from None
        if answer.kind is not Kind.OK:
            raise RequestError(answer, endpoint, 1)
        return answer

    def _once(
        self, send: Callable[[BoundedClient], httpx.Response], read: Callable[[httpx.Response], Answer]
    ) -> Answer:
        """One request that met no limit, by whichever identity, or the last of many that did."""
        for _ in range(_LIMITS_IN_A_ROW * len(self.pool.members)):
            with self.pool.use() as identity:
                begun = self.clock.now()
                try:
                    answer = read(send(self._connection(identity)))
                except (httpx.HTTPError, httpx.InvalidURL, GitHubException, ValueError) as error:
                    answer = failed(error)
                self._count(answer, (self.clock.now() - begun).total_seconds())
                self.pool.note(identity, answer)
            if answer.kind is Kind.TRANSIENT:
                raise _Transient(answer)
            if answer.kind not in (Kind.LIMITED, Kind.SECONDARY, Kind.UNAUTHORIZED):
                return answer
        return replace(answer, reason=f"it says so again and again after each wait: {answer.reason}")

    def _connection(self, identity: Identity) -> BoundedClient:
        """The identity's connection; used by one thread at a time, as the identity's lock is held."""
        with self._lock:
            if identity.name not in self._connections:
                opened = identity.github.get_async_client()
                self._connections[identity.name] = self._open.enter_context(
                    bounded_client(opened, deadline_s=self.deadline_s, max_bytes=self.max_bytes)
                )
            return self._connections[identity.name]

    def _count(self, answer: Answer, seconds: float) -> None:
        limit = answer.data.get("rateLimit")
        cost = limit.get("cost") if isinstance(limit, Mapping) else 0
        with self._lock:
            self.spent.requests += 1
            self.spent.points += cost if type(cost) is int and 0 <= cost < 10**6 else 0
            self.spent.server_s += seconds
            self.spent.failures += answer.kind is not Kind.OK


def _place(path: Any, parts: int) -> tuple[int, *tuple[Any, ...]] | None:
    """Which part of a request an error is about, and where in it."""
    head = path[0] if isinstance(path, list) and path else None
    number = head.removeprefix("item_") if isinstance(head, str) else ""
    if not (number.isascii() and number.isdigit() and len(number) < 6 and int(number) < parts):
        return None
    return int(number), *path[1:]


@contextmanager
def odd_answers(endpoint: str) -> Iterator[None]:
    """Turns what odd JSON does to whoever takes it for an answer into a RequestError."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ArithmeticError, ValueError, RecursionError) as error:
        answer = Answer(Kind.TRANSIENT, 200, reason=f"{_ODD}: {type(error).__name__} {error!s:.200}")
        raise RequestError(answer, endpoint, 1) from error
