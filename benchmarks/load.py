"""The API under load: /predict at 200 requests a second on one process against a bare echo, and batches."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.measure import isolated, verdict
from qc_assets.assets.bias_reports import bias_reports_of
from qc_assets.assets.jobs import of_other_models
from qc_assets.assets.partitions import days_between
from qc_assets.cli.runs import run_job
from qc_assets.models.p0 import SPEC as P0
from qc_assets.settings import Settings, load_settings

RATE, SECONDS, CONNECTIONS, HALF_SENT = 200, 60, 32, 2_000
_ECHO = """
import sys, uvicorn
from typing import Any
from fastapi import FastAPI
app = FastAPI()
@app.get("/health")
async def health() -> dict[str, str]:
    return {}
@app.post("/predict")
async def echo(document: dict[str, Any]) -> dict[str, Any]:
    return document
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
"""


def _request(number: int) -> dict[str, Any]:
    facts = {"lines_changed": 10 + number % 500, "files_changed": 1 + number % 9, "title_length": 20 + number % 40}
    return {"worker_id": f"dev-{number % 200:05}", "task_id": f"acme/atlas#{100_000 + number}"} | facts


@contextmanager
def _server(command: list[str], port: int, settings: Settings) -> Iterator[tuple[str, int]]:
    environment = os.environ | {
        "QC_HOME": str(settings.home),
        "QC_WAREHOUSE": str(settings.warehouse),
        "QC_API_PORT": str(port),
    }
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.2)
        yield url, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def _drive(url: str, rate: int, seconds: float) -> tuple[np.ndarray, int]:
    """Requests on a fixed schedule, whether earlier ones were answered or not; latency counts from the schedule.

    Returns:
        Milliseconds of each request, (requests,), and how many failed.
    """
    count = int(rate * seconds)
    waits, failed = np.empty(count), 0
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
        for number in range(50):
            await client.post("/predict", json=_request(number))

        async def send(number: int, due: float) -> None:
            nonlocal failed
            answer = await client.post("/predict", json=_request(number))
            waits[number] = (time.perf_counter() - due) * 1e3
            failed += answer.status_code != 200

        start, tasks = time.perf_counter(), []
        for number in range(count):
            due = start + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(send(number, due)))
        await asyncio.gather(*tasks)
    return waits, failed


def load(url: str) -> tuple[np.ndarray, int]:
    """`_drive` in a process of its own, whose garbage collector has little to look at."""
    return asyncio.run(_drive(url, RATE, SECONDS))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _batches(url: str) -> float:
    """Rows a second of /predict/batch, the best of five batches of 10,000."""
    rows = [_request(number) for number in range(10_000)]
    best = 0.0
    with httpx.Client(base_url=url, timeout=60) as client:
        for _ in range(5):
            started = time.perf_counter()
            answer = client.post("/predict/batch", json={"rows": rows})
            answer.raise_for_status()
            best = max(best, len(rows) / (time.perf_counter() - started))
            assert len(answer.json()["predictions"]) == len(rows)
            time.sleep(1)
    return best


def half_sent(url: str, pid: int) -> tuple[float, float, float]:
    """2,000 requests whose heads never end: megabytes of the server before and with them, and ms of a whole request."""
    host, port = url.removeprefix("http://").split(":")
    server = psutil.Process(pid)
    before = server.memory_info().rss / 1e6
    connections = []
    for _ in range(HALF_SENT):
        with suppress(OSError):
            connections.append(socket.create_connection((host, int(port)), timeout=5))
            connections[-1].sendall(b"GET /health HTTP/1.1\r\nHost: local")
    during = server.memory_info().rss / 1e6
    started = time.perf_counter()
    httpx.get(f"{url}/health").raise_for_status()
    answered = (time.perf_counter() - started) * 1e3
    for connection in connections:
        connection.close()
    return before, during, answered


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        places: dict[str, Any] = {"home": Path(folder) / "home", "warehouse": Path(folder) / "qc.duckdb"}
        settings = load_settings(demo_prs=2_250, demo_days=270, start_date=date(2024, 1, 1), **places)
        days = days_between(settings.first_date, settings.last_date)
        others = [*of_other_models(["p0"]), *bias_reports_of(P0)]
        run_job(settings, "ingest", days=days)
        run_job(settings, "training", ops={"train_p0": {"config": {"quick": True}}}, without=others)
        port = _free_port()
        with _server([sys.executable, "-m", "qc_assets.cli", "serve"], port, settings) as (url, pid):
            (ours, failed), _, _ = isolated(load, url)
            rows, _, _ = isolated(_batches, url)
            before, during, answered = half_sent(url, pid)
        port = _free_port()
        with _server([sys.executable, "-c", _ECHO, str(port)], port, settings) as (url, _):
            (echo, _), _, _ = isolated(load, url)
    for name, waits in (("/predict", ours), ("echo", echo)):
        p50, p99 = np.percentile(waits, [50, 99])
        print(
            f"{name}: {len(waits)} requests at {RATE}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {waits.max():.1f} ms"
        )
    print(f"{failed} failed")
    print(f"{HALF_SENT} half-sent requests: {before:.0f} MB became {during:.0f} MB, /health took {answered:.0f} ms")
    p99 = float(np.percentile(ours, 99))
    print(verdict(p99 / 25, 1, "p99 of /predict / 25 ms"))
    print(verdict(p99 / float(np.percentile(echo, 99)), 10, "p99 of /predict / p99 of an echo"))
    print(f"batch: {rows:,.0f} rows/s")
    print(verdict(20_000 / rows, 1, "20,000 rows/s / ours"), flush=True)
