"""The gate: whose requests reach the API and the UIs behind it, and what is passed on."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from qc_assets.errors import QcError
from qc_assets.serving import guard
from qc_assets.serving.guard import RequestGuard
from qc_assets.serving.other_uis import UIS
from qc_assets.serving.prometheus import Metrics
from qc_assets.serving.server import refuse_open_door, run_server
from qc_assets.settings import Settings, load_settings
from tests.local_app import listening

HOME = {"Host": "127.0.0.1:8000"}
JSON = {"Content-Type": "application/json"}


async def _mirror(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what reached it."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    seen = {
        "method": scope["method"],
        "path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "body": len(body),
        "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
    }
    headers = [(b"location", b"http://localhost/dagster/runs/"), (b"content-security-policy", b"object-src 'none'")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


@pytest.fixture(scope="module")
def sockets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("s")
    with ExitStack() as servers:
        for ui in UIS:
            place = str(folder / f"{ui.prefix.strip('/')}.sock")
            servers.enter_context(listening(_mirror, uds=place, lifespan="off"))
        yield folder


@pytest.fixture(scope="module")
def gate(sockets: Path) -> Callable[..., httpx.Response]:
    @cache
    def settings(**knobs: Any) -> Settings:
        return load_settings(home=sockets, **knobs)

    def ask(method: str, path: str, headers: Any = (), content: Any = None, **knobs: Any) -> httpx.Response:
        app = RequestGuard(_mirror, settings(**knobs), Metrics(SimpleNamespace()), sockets)  # type: ignore[arg-type]

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
                return await client.request(method, path, headers=HOME | dict(headers), content=content)

        return asyncio.run(send())

    return ask


PATHS = ("/predict", "/dagster/graphql", "/mlflow/api/2.0/mlflow/registered-models/alias")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [
    {"Host": "evil.example"}, {"Host": ""}, {"Host": "127.0.0.1.evil.example"}, {"Origin": "https://evil.example"},
    {"Origin": "null"}, {"Origin": "http://127.0.0.1:9999"}, {"Origin": "http://127.0.0.1:8000.evil.example"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
])  # fmt: skip
def test_pages_of_others_cannot_make_a_browser_write(gate: Any, path: str, headers: dict[str, str]) -> None:
    assert gate("POST", path, JSON | headers, b"{}").status_code == 403


@pytest.mark.parametrize("path", ["/", "/predict", "/dagster/logs/x", "/mlflow/get-artifact"])
def test_pages_of_others_cannot_embed_but_may_link(gate: Any, path: str) -> None:
    for destination in ("image", "iframe", "script", "empty", "embed"):
        mode = "navigate" if destination in ("iframe", "embed") else "no-cors"
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": destination}
        assert gate("GET", path, headers).status_code == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert gate("GET", path, link).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_our_own_pages_programs_and_named_origins_are_answered(gate: Any, path: str) -> None:
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    form = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}  # of a page whose policy hides where it is
    named = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
    for headers in ({}, own, form, {"Sec-Fetch-Site": "none"}):
        assert gate("POST", path, JSON | headers, b"{}").status_code == 200
    assert gate("POST", path, JSON | named, b"{}", api_origins=("https://app.example",)).status_code == 200


def test_with_names_of_its_own_a_server_answers_to_no_other(gate: Any) -> None:
    knobs = {"api_hosts": ("qc.example",), "api_key": "correct-horse"}
    key = {"X-API-Key": "correct-horse"}
    for host, status in (("qc.example", 200), ("QC.example:8000", 200), ("localhost", 200), ("evil.example", 403)):
        assert gate("GET", "/dagster/runs", key | {"Host": host}, **knobs).status_code == status
    assert gate("GET", "/dagster/runs", key | {"Host": "other.example"}, api_key="correct-horse").status_code == 200


@pytest.mark.parametrize("path", ["/dagster/runs", "/mlflow/", "/dagster/graphql", "/docs"])
def test_a_key_is_asked_for_at_every_door_and_goes_no_further(gate: Any, path: str) -> None:
    method, headers = ("POST", JSON) if path.endswith("graphql") else ("GET", {})
    refused = gate(method, path, headers, api_key="correct-horse")
    assert refused.status_code == 401 and refused.headers["www-authenticate"].startswith("Basic")
    secret = {"X-API-Key": "correct-horse", "Cookie": "a=b", "X-Forwarded-For": "127.0.0.1", "Forwarded": "for=::1"}
    seen = gate(method, path, headers | secret, api_key="correct-horse")
    assert seen.status_code == 200
    if path != "/docs":
        assert not {name.lower() for name in secret} & seen.json()["headers"].keys()
        assert "correct-horse" not in seen.text


GRAPHQL = [
    "/dagster/graphql",
    "/dagster/graphql/",
    "/dagster//graphql",
    "/dagster/%67raphql",
    "/dagster/x/%2e%2e/graphql",
]


@pytest.mark.parametrize("path", GRAPHQL)
def test_nothing_but_a_post_of_json_reaches_graphql(gate: Any, path: str) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        assert gate(method, f"{path}?query=mutation{{wipeAssets}}", JSON).status_code in (400, 405)
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/graphql",
    ):
        assert gate("POST", path, {"Content-Type": content_type}, b"query={version}").status_code in (400, 405)
    assert gate("POST", path, {}, b"{}").status_code in (400, 405)


@pytest.mark.parametrize("path", [
    "/mlflow/ajax-api/3.0/mlflow/assistant/config", "/mlflow/ajax-api/3.0/jobs/x", "/mlflow/x/%2e%2e/y",
    "/mlflow/a%5cb",
])  # fmt: skip
def test_what_runs_commands_and_paths_that_lead_elsewhere_are_closed(gate: Any, path: str) -> None:
    assert gate("GET", path).status_code in (400, 403)


def test_a_request_is_passed_on_as_it_is_and_its_answer_with_a_policy(gate: Any) -> None:
    seen = gate("PUT", "/mlflow/api/2.0/mlflow-artifacts/artifacts/a%20b/jobs?x=%2F&y", {}, b"x" * 9_000_000)
    assert seen.json() | {"headers": 0} == {
        "method": "PUT", "path": "/mlflow/api/2.0/mlflow-artifacts/artifacts/a%20b/jobs", "query": "x=%2F&y",
        "body": 9_000_000, "headers": 0,
    }  # fmt: skip
    assert seen.json()["headers"]["host"] == "localhost" and seen.headers["location"] == "/dagster/runs/"
    assert "img-src 'self'" in seen.headers["content-security-policy"]
    redirected = gate("GET", "/dagster")
    assert redirected.status_code == 307 and redirected.headers["location"] == "/dagster/"
    assert gate("GET", "/dagsters").json()["path"] == "/dagsters", "another path is not theirs"


def test_a_ui_that_is_away_is_said_to_be(sockets: Path, make_settings: Any, tmp_path: Path) -> None:
    app = RequestGuard(_mirror, make_settings(), Metrics(SimpleNamespace()), tmp_path)  # type: ignore[arg-type]

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return await client.get("/dagster/")

    answer = asyncio.run(send())
    assert answer.status_code == 502 and "does not answer" in answer.json()["detail"]


def test_unfinished_bodies_have_a_bound_together_and_small_ones_are_taken(
    make_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_MOST_UNFINISHED", 300_000)
    app = RequestGuard(_mirror, make_settings(), Metrics(SimpleNamespace()))  # type: ignore[arg-type]

    async def post(size: int, path: str, finish: asyncio.Event) -> int:
        sent, status = 0, []

        async def receive() -> Any:
            nonlocal sent
            if sent >= size:
                await finish.wait()
                return {"type": "http.request", "body": b"", "more_body": False}
            sent += 10_000
            await asyncio.sleep(0)
            return {"type": "http.request", "body": b"x" * 10_000, "more_body": True}

        async def send(message: Any) -> None:
            status.append(message.get("status"))

        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
                 "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1)}  # fmt: skip
        await app(scope, receive, send)
        return status[0]

    async def attack() -> tuple[list[int], list[int]]:
        finish = asyncio.Event()
        held = [asyncio.create_task(post(100_000, "/webhook/github", finish)) for _ in range(20)]
        await asyncio.sleep(0.05)
        most = app._unfinished.copy()
        finish.set()
        others = [await post(size, path, finish) for size, path in ((200_000, "/predict"), (20_000, "/webhook/github"))]
        statuses = [await task for task in held]
        assert max(most.values()) <= 300_000 + 20 * 65_536 and app._unfinished == {True: 0, False: 0}
        return statuses, others

    statuses, others = asyncio.run(attack())
    assert statuses.count(503) >= 15 and others == [200, 200]


def test_neither_qc_up_nor_qc_serve_opens_doors_without_a_key(make_settings: Any) -> None:
    with pytest.raises(QcError, match=r"0\.0\.0\.0 can be reached by other machines: set QC_API_KEY"):
        run_server(make_settings(host="0.0.0.0"))
    for host in ("0.0.0.0", "192.0.2.1", "::", "qc.example"):
        with pytest.raises(QcError, match="set QC_API_KEY, make keys"):
            refuse_open_door(make_settings(host=host))
        refuse_open_door(make_settings(host=host, api_key="correct-horse"))
