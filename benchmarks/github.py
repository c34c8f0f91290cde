"""Reading GitHub: throughput against a server without limits, and a soak with faults.

The throughput rival is a loop that posts the very same requests over one connection and parses the answers, and does
nothing else: no limits watched, no cursor remembered, no completeness checked, nothing stored. The server only plays
back answers that the fake GitHub gave before, so that it costs both as little as can be.
"""

import hashlib
import json
import multiprocessing
import os
import tempfile
import time
from datetime import date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.measure import verdict
from qc_assets.clock import SystemClock
from qc_assets.sources.fake.fake_server import FakeGitHub, VirtualClock
from qc_assets.sources.fake.fake_world import World, ordinary
from qc_assets.store.warehouse import Warehouse
from tests.github_runs import public_schema, run, source, span

FIRST, PAIRS = date(2024, 5, 1), 5
_spawn = multiprocessing.get_context("spawn")


def make_world(repos: int, prs: int, days: int) -> World:
    world = World()
    for n in range(repos):
        repo = world.add_repo(f"o/r{n}")
        ordinary(world, repo, prs, datetime(2024, 5, 1), timedelta(days=days), seed=n)
    return world


def _replay(answers: dict[str, bytes], ready: Any) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = answers[_key(self.rfile.read(int(self.headers["Content-Length"])))]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:  # /meta, which says that nothing is made up
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ready.put(server.server_address[1])
    server.serve_forever()


def _key(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def throughput(prs: int = 2000) -> None:
    """Rows a second through the whole client, and how much slower it is than the bare loop."""
    answers: dict[str, bytes] = {}
    bodies: list[bytes] = []
    clock = VirtualClock(datetime(2024, 6, 1))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with FakeGitHub(public_schema(), make_world(1, prs, 10), clock=clock, points=None) as fake:
            plain = fake.answer

            def record(token: str, document: str, variables: Any) -> Any:
                response = plain(token, document, variables)
                body = httpx.Request("POST", "http://x", json={"query": document, "variables": variables}).content
                bodies.append(body)
                answers[_key(body)] = response[2]
                return response

            fake.answer = record  # type: ignore[method-assign]
            store = Warehouse(home / "first.duckdb", staging=home / "staging")
            run(store, source(fake.url, home / "first", clock), span(FIRST, 10), ["o/r0"])
        ready = _spawn.Queue()
        server = _spawn.Process(target=_replay, args=(answers, ready), daemon=True)
        server.start()
        url = f"http://127.0.0.1:{ready.get()}"
        wall, processor = [], []
        for turn in range(PAIRS):
            begun = time.perf_counter(), time.process_time()
            github = source(url, home / f"turn{turn}", SystemClock())
            report = run(
                Warehouse(home / f"{turn}.duckdb", staging=home / "staging"), github, span(FIRST, 10), ["o/r0"]
            )
            between = time.perf_counter(), time.process_time()
            with httpx.Client() as http:
                for body in bodies:
                    json.loads(http.post(f"{url}/graphql", content=body).content)
            ended = time.perf_counter(), time.process_time()
            wall.append([between[0] - begun[0], ended[0] - between[0]])
            processor.append([between[1] - begun[1], ended[1] - between[1]])
        server.kill()
    seconds, bare = sorted(wall)[PAIRS // 2]
    rows, waiting = sum(report.rows.values()), github.client.spent.server_s
    size = sum(map(len, answers.values())) / 2**20
    print(f"{prs:,} pull requests, {rows:,} rows, {size:.0f} MiB of answers in {report.requests} requests")
    print(
        f"for 1,000: {1_000 * report.requests / prs:.0f} requests, {1_000 * report.points / prs:.0f} points", flush=True
    )
    print(
        f"whole client: {seconds:.2f} s, {rows / seconds:,.0f} rows/s; outside the server: {1 - waiting / seconds:.0%}"
    )
    print(f"bare loop of the same requests: {bare:.2f} s")
    print(verdict(None, 2, "whole client with checks, checkpoint and warehouse / bare loop", samples=wall))
    print(verdict(None, 2, "the same, of processor time", samples=processor))
    rates = [[rows / ours, 25_000] for ours, _ in wall]
    print(verdict(None, 1, "rows/s of the whole client / 25,000", samples=rates, at_least=True, unit="rows/s"))
    # GitHub takes some 5 s for a page of 25; against that our own work must not count.
    print(verdict((seconds - waiting) / (5.0 * report.requests), 0.05, "own seconds / 5 s a request as on GitHub"))


def _soak_child(url: str, home: str, names: list[str], days: int, answers: Any) -> None:
    process = psutil.Process(os.getpid())
    sizes: list[float] = []
    store = Warehouse(Path(home) / "qc.duckdb", staging=Path(home) / "staging")
    github = source(url, Path(home), SystemClock(), github_first_wait_s=0.01, github_tries=8)

    def sample(what: str, done: float, total: float) -> None:
        sizes.append(process.memory_info().rss / 2**20)

    report = run(store, github, span(FIRST, days), names, progress=sample)
    kept = {table: store.query(f"SELECT count(*) FROM raw.{table}").item() for table in report.rows}
    answers.put((sizes, kept, report.requests, len(report.failed_repos)))


def soak(repos: int = 200, prs: int = 25, days: int = 30, fault_rate: float = 0.1) -> tuple[int, float, float]:
    """Read many repositories for many days with faults.

    Returns:
        Rows lost, and the reader's resident memory in MiB after the first tenth and at the end.
    """
    from qc_assets.sources.fake import fake_server as fakes

    world = make_world(repos, prs, days)
    prs_there = [pr for repo in world.repos.values() for pr in repo["_pullRequests"]]
    there = {
        "pull_requests": len(prs_there),
        "reviews": sum(len(pr["_reviews"]) for pr in prs_there),
        "issue_comments": sum(len(pr["_comments"]) for pr in prs_there),
        "review_comments": sum(len(t["_comments"]) for pr in prs_there for t in pr["_reviewThreads"]),
    }
    # Limits would have to be waited for on a real clock; all other faults happen.
    waits = ("limited", "secondary")
    kinds = tuple(fault for fault in fakes._RANDOM if not fault.startswith(waits))
    fakes._RANDOM, before = kinds, fakes._RANDOM
    try:
        with FakeGitHub(public_schema(), world, fault_rate=fault_rate, points=None) as fake:
            with tempfile.TemporaryDirectory() as home:
                answers = _spawn.Queue()
                child = _spawn.Process(target=_soak_child, args=(fake.url, home, list(world.repos), days, answers))
                begun = time.perf_counter()
                child.start()
                sizes, kept, requests, failed = answers.get(timeout=1800)
                child.join()
            failures = sum(status != 200 for _, status, _ in fake.log)
    finally:
        fakes._RANDOM = before
    lost = sum(count - kept[table] for table, count in there.items())
    start, end = sizes[len(sizes) // 10], sizes[-1]
    print(f"{repos} repositories, {days} days, {sum(there.values()):,} rows: {time.perf_counter() - begun:.0f} s")
    print(f"{requests} requests, {failures} answered with an error, {failed} repositories failed, {lost} rows lost")
    print(f"resident memory: {start:.0f} MiB after a tenth, {end:.0f} MiB at the end")
    return lost, start, end


def main() -> None:
    throughput()
    lost, start, end = soak()
    print(verdict(end / start, 1.3, "memory at the end / after a tenth"))
    if lost:
        raise SystemExit(f"{lost} rows were lost")


if __name__ == "__main__":
    main()
