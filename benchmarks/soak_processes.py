"""The processes of a simulated life: steps that may be killed, and the API server."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

import httpx
import psutil

from tests.conftest import free_port

KEY = "a-key-of-the-soak"


class StepHost:
    """The process that forks one for each step."""

    def __init__(self, environment: Mapping[str, str], log: IO[bytes]) -> None:
        command = [sys.executable, "-m", "benchmarks.soak_steps"]
        self.host = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            text=True,
        )  # fmt: skip

    def run(self, arguments: list[str], killed_after_s: float | None = None) -> int:
        """The exit status of a step; that of a signal, negative, if it was killed."""
        assert self.host.stdin is not None and self.host.stdout is not None
        self.host.stdin.write(json.dumps(arguments) + "\n")
        self.host.stdin.flush()
        process = int(self.host.stdout.readline())
        timer = threading.Timer(killed_after_s or 0, _kill, [process])
        if killed_after_s is not None:
            timer.start()
        status = int(self.host.stdout.readline())
        timer.cancel()
        return status

    def end(self) -> None:
        self.host.communicate()


def _kill(process: int) -> None:
    """`kill -9` of a process and of all that it started; nothing if it has ended."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process)
        for victim in [*parent.children(recursive=True), parent]:
            with suppress(psutil.NoSuchProcess):
                victim.kill()


class ServerProcess:
    """`qc serve`, started when it is asked something and does not run."""

    def __init__(self, environment: Mapping[str, str], log: IO[bytes]) -> None:
        self.environment, self.log, self.port = environment, log, free_port()
        self.answered: list[str] = []
        self.kills = 0
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, number: int, dies_at: int | None) -> None:
        """Ask it twenty times, and kill it after one of them; it owes what it has answered."""
        self._start()
        for n in range(20):
            task = f"soak-{number}-{n}"
            facts = {"worker_id": f"worker-{n}", "task_id": task, "lines_changed": 10 + n, "files_changed": 2,
                     "title_length": 40}  # fmt: skip
            answer = self._post(facts)
            if answer is not None and answer.status_code == 200:
                self.answered.append(task)
            if n == dies_at and self.process is not None:
                _kill(self.process.pid)
                self.process.wait()
                self.kills += 1
                self._start()

    def _post(self, facts: dict[str, Any]) -> httpx.Response | None:
        try:
            headers = {"X-API-Key": KEY}
            return httpx.post(f"http://127.0.0.1:{self.port}/predict", json=facts, headers=headers, timeout=30)
        except httpx.TransportError:
            return None

    def _start(self) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        environment = {**self.environment, "QC_API_PORT": str(self.port)}
        command = [sys.executable, "-m", "qc_assets.cli", "serve"]
        self.process = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=5)
                return
            except httpx.TransportError:
                time.sleep(0.2)

    def mib(self) -> float:
        alive = self.process is not None and self.process.poll() is None
        return psutil.Process(self.process.pid).memory_info().rss / 2**20 if alive and self.process else 0.0

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self.process = None
