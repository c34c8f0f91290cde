"""A GitHub of one's own: a local HTTP server that speaks the public GraphQL schema, with limits and with faults.

`qc fake-github` starts it for a person; the tests start it in a thread, on a virtual clock.
"""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from graphql import GraphQLSchema

from qc_assets.clock import Clock, SystemClock
from qc_assets.sources.fake.fake_rest import RestApi
from qc_assets.sources.fake.fake_world import World, stamp
from qc_assets.sources.fake.github_schema import NODE_LIMIT, Engine, ServerFault, cost

HTML = b"<html><body><h1>Unicorn!</h1></body></html>"
_SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
_RANDOM = (
    *("502", "504", "500", "reset", "html", "truncated", "resource limits", "null node"),
    *("limited in a 200", "limited", "secondary", "secondary with seconds", "secondary with a date"),
)


class VirtualClock:
    """A clock that moves only when somebody sleeps, so that a day of waiting takes no time."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._lock = threading.Lock()
        self.slept = 0.0

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        with self._lock:
            self._now += timedelta(seconds=max(0.0, seconds))
            self.slept += max(0.0, seconds)


class FakeGitHub:
    """The server.

    Args:
        schema: GitHub's public schema.
        world: what there is.
        clock: tells the time of limits.
        faults: names of faults, one for each request to come; None lets one through.
        fault_rate, seed: share of further requests that fail at random, and the seed of that.
        points: points an hour of each token; None for no limit.
        tokens: tokens that are accepted; None for any.
        limited_s: how long a token stays limited that was refused at random; by a secondary limit a third of that.

    Attributes:
        log: a line for each request: operation names, status, points.
        rest_faults: the same for requests to the REST API, see `RestApi.answer`.
        before: called with the number of each request before it is answered, to change the world in mid-run.
        says_made_up: what it says of itself; False to look like an Enterprise server.
        while_limited: requests that came in although their token was limited.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        world: World,
        *,
        clock: Clock | None = None,
        faults: list[str | None] | None = None,
        fault_rate: float = 0.0,
        seed: int = 0,
        points: int | None = 5000,
        tokens: set[str] | None = None,
        port: int = 0,
        latency_s: float = 0.0,
        limited_s: float = 90,
    ) -> None:
        self.engine = Engine(schema, world)
        self.rest = RestApi(self)
        self.rest_faults: list[str | None] = []
        self.world = world
        self.clock = clock or SystemClock()
        self.faults = list(faults or [])
        self.fault_rate = fault_rate
        self.random = random.Random(seed)
        self.points = points
        self.tokens = tokens
        self.latency_s = latency_s
        self.limited_s = limited_s
        self.log: list[tuple[str, int, int]] = []
        self.before: Callable[[int], None] = lambda n: None
        self.says_made_up = True
        self.while_limited = 0
        self.unfinished = threading.Event()
        self._left: dict[str, tuple[int, datetime]] = {}
        self._blocked: dict[str, datetime] = {}
        self._lock = threading.Lock()
        server = self

        class Handler(_Handler):
            fake = server

        self.http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.http.daemon_threads = True
        self._thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self) -> "FakeGitHub":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.unfinished.set()
        self.http.shutdown()
        self.http.server_close()

    @property
    def requests(self) -> int:
        return len(self.log)

    @property
    def spent(self) -> int:
        return sum(points for _, _, points in self.log)

    def answer(self, token: str, document: str, variables: Mapping[str, Any]) -> tuple[int, dict[str, str], bytes, str]:
        """Status, headers, body and the name of a fault that is done to the connection."""
        with self._lock:  # one request after the other, as graphql-core is not to blame for races
            self.before(len(self.log))
            status, headers, body, points, fault = self._answer(token, document, variables)
            self.log.append((",".join(_names(document)), status, points))
        return status, headers, body, fault

    def _answer(
        self, token: str, text: str, variables: Mapping[str, Any]
    ) -> tuple[int, dict[str, str], bytes, int, str]:
        now = self.clock.now()
        if self.tokens is not None and token not in self.tokens:
            return 401, {}, _json({"message": "Bad credentials"}), 0, ""
        points_left, reset = self._left.get(token, (self.points or 10**9, now + timedelta(hours=1)))
        if reset <= now:
            points_left, reset = self.points or 10**9, now + timedelta(hours=1)
        if self._blocked.get(token, now) > now:
            self.while_limited += 1
            return 403, {}, _json(_SECONDARY), 0, ""
        epoch = str(int(reset.replace(tzinfo=UTC).timestamp()))
        limits = {"x-ratelimit-remaining": str(points_left), "x-ratelimit-reset": epoch}
        fault = self.faults.pop(0) if self.faults else None
        if fault is None and self.random.random() < self.fault_rate:
            fault = self.random.choice(_RANDOM)
        if fault in ("limited", "limited in a 200"):
            self._blocked[token] = now + timedelta(seconds=self.limited_s)
            epoch = str(int((now + timedelta(seconds=self.limited_s + 1)).replace(tzinfo=UTC).timestamp()))
            limits = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": epoch}
            message = {"type": "RATE_LIMITED", "message": "API rate limit exceeded"}
            return (200 if "200" in fault else 403), limits, _json({"errors": [message], "data": None}), 0, ""
        if fault and fault.startswith("secondary"):
            return self._secondary(fault, token, now)
        if fault in ("502", "504", "500"):
            return int(fault), {}, HTML, 0, ""
        if fault == "html":
            return 200, {}, HTML, 0, ""
        if fault == "resource limits":
            error = {"type": "RESOURCE_LIMITS_EXCEEDED", "message": "Resource limits for this query exceeded."}
            return 200, limits, _json({"data": {"item_0": None}, "errors": [error]}), 0, ""
        parsed, errors = self.engine.parse(text)
        if errors:
            return 200, limits, _json({"errors": [{"message": str(error)} for error in errors]}), 0, ""
        points, nodes, largest = cost(parsed, variables)
        if largest > 100:
            error = {"type": "EXCESSIVE_PAGINATION", "message": "first over 100"}
            return 200, limits, _json({"errors": [error]}), 0, ""
        if nodes > NODE_LIMIT:
            error = {"type": "MAX_NODE_LIMIT_EXCEEDED", "message": f"{nodes} nodes"}
            return 200, limits, _json({"errors": [error]}), 0, ""
        if points_left < points:
            self.while_limited += points_left <= 0
            self._left[token] = (0, reset)
            error = {"type": "RATE_LIMITED", "message": "API rate limit exceeded"}
            return 200, limits | {"x-ratelimit-remaining": "0"}, _json({"errors": [error]}), 0, ""
        points_left -= points
        self._left[token] = (points_left, reset)
        quota = self.points or 10**9
        self.engine.budget = lambda: {"cost": points, "limit": quota, "remaining": points_left, "resetAt": stamp(reset)}
        try:
            body = self.engine.execute(parsed, variables)
        except ServerFault as error:
            return error.status, {}, HTML, points, ""
        if fault == "null node":
            _break(body)
        return 200, limits, _json(body), points, fault or ""

    def _secondary(self, fault: str, token: str, now: datetime) -> tuple[int, dict[str, str], bytes, int, str]:
        headers, wait_s = {}, round(self.limited_s / 3)
        if fault.endswith("seconds"):
            headers["retry-after"] = str(wait_s)
        if fault.endswith("date"):
            headers["retry-after"] = (now + timedelta(seconds=wait_s)).strftime("%a, %d %b %Y %H:%M:%S GMT")
        self._blocked[token] = now + timedelta(seconds=wait_s - 1)
        return (429 if fault.endswith("seconds") else 403), headers, _json(_SECONDARY), 0, ""


class _Handler(BaseHTTPRequestHandler):
    fake: FakeGitHub
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(timestamp or self.fake.clock.now().replace(tzinfo=UTC).timestamp())

    def do_POST(self) -> None:
        if self.path.partition("?")[0] not in ("/graphql", "/api/graphql"):
            return self._rest("POST")
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        token = self.headers.get("Authorization", "").partition(" ")[2]
        status, headers, body, fault = self.fake.answer(token, request["query"], request.get("variables") or {})
        if self.fake.latency_s:
            time.sleep(self.fake.latency_s)
        if fault == "hang":
            self.fake.unfinished.wait(30)
            return
        if fault == "truncated":
            body = body[: len(body) // 2]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/html" if body == HTML else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "reset":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._rest("GET")

    def do_PATCH(self) -> None:
        self._rest("PATCH")

    def _rest(self, method: str) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.fake._lock:
            fault = self.fake.rest_faults.pop(0) if self.fake.rest_faults else None
            status, body = self.fake.rest.answer(method, self.path, dict(self.headers), sent, fault)
            if self.path != "/meta":
                self.fake.log.append((f"{method} {self.path}", status, 0))
        if fault == "hang":
            self.fake.unfinished.wait(30)
        if fault in ("hang", "lost"):
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client was killed, or has read as much as it wanted

    def log_message(self, *_: Any) -> None:
        pass


def _break(body: dict[str, Any]) -> None:
    """Make the first node of the first search null, as GitHub does when it fails to compute one."""
    nodes = (body["data"].get("item_0") or {}).get("nodes")
    if nodes:
        nodes[0] = None
        error = {"message": "Something broke.", "type": "INTERNAL", "path": ["item_0", "nodes", 0]}
        body["errors"] = [*body.get("errors", ()), error]


def _names(document: str) -> list[str]:
    """Which operations a document joins, told by what only they have."""
    marks = {
        "pull_requests": "...PullRequest\n",
        "issues": "...Issue\n",
        "count": "type: ISSUE, first: 1)",
        "repository": "pullRequests(first: 1",
        "discovery": "type: REPOSITORY",
    }
    return [name for name, mark in marks.items() if mark in document] or ["other"]


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()
