"""What stands before the API: key, host, size, rate; and what comes out when things go wrong."""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from qc_assets.errors import SettingsError
from qc_assets.serving.app import create_app
from qc_assets.serving.doors import is_loopback
from qc_assets.settings import Settings, load_settings
from tests.serving.test_serving_app import FACTS

Make = Callable[..., Settings]


def client(settings: Settings, **options: Any) -> TestClient:
    return TestClient(create_app(settings), base_url="http://127.0.0.1", raise_server_exceptions=False, **options)


def test_a_key_is_asked_for_and_any_of_three_ways_will_do(make_settings: Make) -> None:
    with client(make_settings(api_key="s3cret-key")) as api:
        assert api.get("/health").status_code == 200, "machines that watch have no key"
        for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Basic !!"}, {"Authorization": "Bearer"}):
            refused = api.get("/model/info", headers=headers)
            assert refused.status_code == 401 and "QC_API_KEY" in refused.json()["detail"]
            assert "s3cret-key" not in refused.text and refused.headers["www-authenticate"].startswith("Basic")
        for headers in ({"X-API-Key": "s3cret-key"}, {"Authorization": "Bearer s3cret-key"}):
            assert api.get("/model/info", headers=headers).status_code == 200
        assert api.get("/", auth=("anybody", "s3cret-key")).status_code == 200
        assert api.get("/", headers={"Host": "qc.example.org", "X-API-Key": "s3cret-key"}).status_code == 200


def test_only_loopback_is_loopback() -> None:
    for host in ("127.0.0.1", "127.0.0.1:8000", "localhost", "LOCALHOST:1", "::1", "[::1]", "[::1]:8000", "127.9.9.9"):
        assert is_loopback(host), host
    for host in ("", "127.evil.example", "localhost.evil.example:80", "0.0.0.0", "[::1", "::", "10.0.0.1", "a@b:c:d",
                 "evil.example@localhost"):  # fmt: skip
        assert not is_loopback(host), host


@pytest.mark.parametrize("key", ["", "short"])
def test_a_key_that_can_be_guessed_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match=r"QC_API_KEY='\*\*\*'.*at least 8"):
        load_settings(api_key=key)


@pytest.mark.slow
def test_requests_may_be_so_large_and_so_many(make_settings: Make) -> None:
    with client(make_settings(api_max_bytes=1_000, api_rate="20/hour")) as api:
        assert api.post("/predict", content=b" " * 1_001).status_code == 413
        chunked = api.post("/predict", content=iter([b" " * 600, b" " * 600]))
        assert chunked.status_code == 413 and "QC_API_MAX_BYTES" in chunked.json()["detail"]
        statuses = [api.get("/model/info").status_code for _ in range(20)]
        assert statuses == [200] * 18 + [429] * 2
        assert 0 < int(api.get("/model/info").headers["retry-after"]) <= 3600
        assert api.get("/health").status_code == 200, "health has a budget of its own"
    with pytest.raises(SettingsError, match="QC_API_RATE"):
        load_settings(api_rate="often")


def test_other_sites_may_ask_only_if_they_are_named(make_settings: Make) -> None:
    origin = {"Origin": "https://qc.example.org"}
    with client(make_settings()) as api:
        assert "access-control-allow-origin" not in api.get("/health", headers=origin).headers
    with client(make_settings(api_origins="https://qc.example.org")) as api:
        answer = api.get("/health", headers=origin)
        assert answer.headers["access-control-allow-origin"] == "https://qc.example.org"


def test_an_error_of_ours_shows_nothing_of_itself(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(api.app.state.serving, "predict", fails)  # type: ignore[attr-defined]
    quiet = TestClient(api.app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    with capture_logs() as logged:
        answer = quiet.post("/predict", json=FACTS)
    assert answer.status_code == 500 and "hunter2" not in answer.text and "Traceback" not in answer.text
    assert answer.headers["x-request-id"] == next(each for each in logged if "failed" in each["event"])["request_id"]


def test_a_logged_error_says_where_but_not_what_variables_held() -> None:
    code = (
        "import logging; from qc_assets.serving.server import log_as_json; log_as_json()\n"
        "def f():\n    password = 'hun' + 'ter2'\n    raise RuntimeError('broken')\n"
        "try:\n    f()\nexcept RuntimeError:\n    logging.getLogger('x').exception('failed')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    entry = json.loads(line)
    assert entry["exception"][0]["exc_value"] == "broken" and entry["exception"][0]["frames"][-1]["name"] == "f"
    assert "hunter2" not in line


def test_prometheus_can_read_what_is_counted(api: TestClient) -> None:
    api.post("/predict", json=FACTS)
    api.get("/nowhere/at/all")
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(api.get("/metrics").text)
        for sample in family.samples
    }
    assert found["qc_requests_total", ("method", "POST"), ("path", "/predict"), ("status", "200")] >= 1
    assert found["qc_requests_total", ("method", "GET"), ("path", "other"), ("status", "404")] >= 1
    assert found["qc_request_seconds_count", ("path", "/predict")] >= 1
    assert sum(value for key, value in found.items() if key[0] == "qc_predictions_total") >= 1
    assert found["qc_model_age_seconds", ("model", "p0"), ("version", "1")] > 0
    assert {("qc_journal_waiting",), ("qc_journal_lost",), ("qc_journal_not_imported",)} <= set(found)
    assert not any("99999" in str(key) for key in found), "no label is chosen by a client"


def _malformed(rng: random.Random) -> bytes:
    """Bytes that are nearly a request, or nothing like one."""
    whole = json.dumps(FACTS).encode()
    kind = rng.randrange(6)
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    if kind == 1:
        return whole[: rng.randrange(len(whole))]
    if kind == 2:
        place = rng.randrange(len(whole))
        return whole[:place] + rng.randbytes(rng.randrange(1, 4)) + whole[place + 1 :]
    if kind == 3:
        odd = [None, [], {}, "\ud800", "x" * 500, -1, 1e308, float("nan"), float("inf"), 10**30, True, "\0", [[[]]]]
        return json.dumps(FACTS | {rng.choice([*FACTS, "rows", "facts", "\ud800"]): rng.choice(odd)}).encode()
    if kind == 4:
        return b"[" * rng.randrange(1, 3_000) + b"]" * rng.randrange(3_000)
    return json.dumps(rng.choice([None, 1, "x", [], [FACTS], {"rows": FACTS}, {"rows": [FACTS, 3]}])).encode()


@pytest.mark.slow
def test_ten_thousand_malformed_bodies_crash_nothing(api: TestClient) -> None:
    rng = random.Random(0)
    paths = ("/predict", "/predict/batch", "/predict/resolution-time", "/feedback", "/payout", "/classify/comment")

    async def ask() -> dict[int, int]:
        found: dict[int, int] = {}
        transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as direct:
            for _ in range(10_000):
                headers = {"content-type": "application/json"}
                answer = await direct.post(rng.choice(paths), content=_malformed(rng), headers=headers)
                found[answer.status_code] = found.get(answer.status_code, 0) + 1
                assert answer.status_code < 500, answer.text
                assert answer.json()
        return found

    found = asyncio.run(ask())
    assert found[422] + found.get(400, 0) > 8_000, found
    assert api.post("/predict", json=FACTS).status_code == 200


def test_a_busy_warehouse_leaves_what_was_known(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = api.app.state.serving  # type: ignore[attr-defined]
    before = serving.knowledge
    monkeypatch.setattr(serving.store.engine, "means", replace(serving.store.engine.means, lock_timeout_s=0.3))
    code = f"import duckdb, time; c = duckdb.connect({str(serving.store.path)!r}); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        serving._seen = ()
        assert not serving.refresh_knowledge()
        health = api.get("/health").json()
        assert health["status"] == "degraded" and f"process {other.pid} has kept" in health["troubles"]["warehouse"]
        assert api.post("/predict", json=FACTS).status_code == 200 and serving.knowledge is before
        other.communicate("\n")
    monkeypatch.undo()
    assert serving.refresh_knowledge() and serving.knowledge is not before
    assert api.get("/health").json()["status"] == "ok"
