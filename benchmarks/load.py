"""The API under load: /predict on one process against a bare echo, at 200 and at 1,000 requests a second; batches."""

import asyncio
import json
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

RATE, HIGH_RATE, SECONDS, PAIRS, CONNECTIONS, HALF_SENT = 200, 1_000, 12, 5, 32, 2_000
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
        while not _has_started(url):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(command)} did not answer at {url} within 60 s")
            time.sleep(0.2)
        yield url, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _has_started(url: str) -> bool:
    try:
        troubles = httpx.get(f"{url}/health").raise_for_status().json().get("troubles", {})
    except httpx.HTTPError:
        return False
    return "server" not in troubles  # where ours says that it is starting


async def _drive(url: str, rate: int, seconds: float) -> tuple[np.ndarray, int]:
    """Requests on a fixed schedule, answered or not; latency counts from the schedule.

    Over bare connections: httpx takes longer for a request than the server does.

    Returns:
        Milliseconds of each request, (requests,), and how many failed.
    """
    host, port = url.removeprefix("http://").split(":")
    count = int(rate * seconds)
    waits, failed = np.full(count, np.inf), 0
    sent = []
    for number in range(count):
        body = json.dumps(_request(number)).encode()
        head = f"POST /predict HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        sent.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def send_every(first: int, start: float) -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection(host, int(port))
        for number in range(first, count, CONNECTIONS):
            due = start + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(sent[number])
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0]))
            waits[number] = (time.perf_counter() - due) * 1e3
            failed += not head.startswith(b"http/1.1 200")
        writer.close()

    start = time.perf_counter() + 0.5
    await asyncio.gather(*(send_every(first, start) for first in range(CONNECTIONS)))
    return waits, failed


def load(url: str, rate: int) -> tuple[np.ndarray, int]:
    """`_drive` in a process of its own, whose garbage collector has little to look at."""
    return asyncio.run(_drive(url, rate, SECONDS))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _batches(url: str) -> list[float]:
    """Rows a second of /predict/batch, in each of seven batches of 10,000."""
    rows = [_request(number) for number in range(10_000)]
    rates = []
    with httpx.Client(base_url=url, timeout=60) as client:
        for _ in range(7):
            started = time.perf_counter()
            answer = client.post("/predict/batch", json={"rows": rows})
            answer.raise_for_status()
            rates.append(len(rows) / (time.perf_counter() - started))
            assert len(answer.json()["predictions"]) == len(rows)
            time.sleep(1)
    return rates


def _processor_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


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
        ports = _free_port(), _free_port()
        serve = [sys.executable, "-m", "qc_assets.cli", "serve"]
        with (
            _server(serve, ports[0], settings) as (url, pid),
            _server([sys.executable, "-c", _ECHO, str(ports[1])], ports[1], settings) as (echo_url, echo_pid),
        ):
            measure(url, pid, echo_url, echo_pid)


def measure(url: str, pid: int, echo_url: str, echo_pid: int) -> None:
    p99s, costs = [], []
    for _ in range(PAIRS):
        p99, cost = [], []
        for name, where, process in (("/predict", url, pid), ("echo", echo_url, echo_pid)):
            before = _processor_s(process)
            (waits, failed), _, _ = isolated(load, where, RATE)
            cost.append((_processor_s(process) - before) / len(waits) * 1e3)
            p99.append(float(np.percentile(waits, 99)))
            told = (
                f"p50 {np.median(waits):.1f} ms, p99 {p99[-1]:.1f} ms, {cost[-1]:.2f} ms of processor, {failed} failed"
            )
            print(f"{name}: {len(waits)} requests at {RATE}/s, {told}", flush=True)
        p99s.append(p99)
        costs.append(cost)
    print(verdict(None, 2, "p99 of /predict / p99 of an echo", samples=p99s, unit="ms"))
    print(verdict(None, 4, "processor time of /predict / of an echo", samples=costs, unit="ms"))
    (waits, failed), _, _ = isolated(load, url, HIGH_RATE)
    p50, p99 = np.percentile(waits, [50, 99])
    # Whoever cannot keep up is later with every request.
    late = float(np.median(waits[-len(waits) // 10 :]))
    print(f"{len(waits)} requests at {HIGH_RATE}/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms, at the end {late:.1f} ms")
    print(verdict(failed + (late > 1_000 / 4), 0, f"{HIGH_RATE}/s: failed, and 1 if the end is 250 ms late"))
    rows, _, _ = isolated(_batches, url)
    print(verdict(None, 1, "rows/s of a batch / 60,000", samples=[[rate, 60_000] for rate in rows], at_least=True))
    before, during, answered = half_sent(url, pid)
    print(f"{HALF_SENT} half-sent requests: {before:.0f} MB became {during:.0f} MB, /health took {answered:.0f} ms")
