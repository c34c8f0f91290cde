"""`qc serve` as a process: promotion and kill -9 under load, an orderly end, and a log without secrets."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest

from qc_assets.serving import journal_reader
from qc_assets.serving.journal import Journal
from qc_assets.settings import Settings
from tests.conftest import copy_of, free_port
from tests.serving.test_serving_app import FACTS
from tests.serving.test_serving_journal import reopened

pytestmark = pytest.mark.slow
KEY = "a-very-secret-key"


@pytest.fixture
def home(small_home: Settings, tmp_path: Path) -> Settings:
    return copy_of(small_home, tmp_path)


@contextmanager
def server(settings: Settings, log: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    port = free_port()
    variables = {"QC_HOME": str(settings.home), "QC_WAREHOUSE": str(settings.warehouse), "QC_API_PORT": str(port),
                 "QC_API_KEY": KEY, "QC_CHAMPION_REFRESH_S": "0.3", "QC_DEMO_PRS": str(settings.demo_prs),
                 "QC_DEMO_DAYS": str(settings.demo_days), "QC_THREADS": "1"}  # fmt: skip
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "qc_assets.cli", "serve"], env=os.environ | variables | environment, stderr=file
        )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": KEY}, timeout=30)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if client.get("/health").raise_for_status().json()["champions"]:
                    break  # it answers before it has read them, too
            except httpx.TransportError:
                assert process.poll() is None, log.read_text()
            time.sleep(0.2)
        yield process, client
    finally:
        client.close()
        process.kill()
        process.wait()


class Load:
    """Requests one after the other in two threads, until stopped."""

    def __init__(self, client: httpx.Client) -> None:
        self.answers: list[tuple[int, str]] = []
        self.broken = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(client,)) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _ask(self, client: httpx.Client) -> None:
        while not self._stop.is_set():
            try:
                answer = client.post("/predict", json=FACTS)
            except httpx.TransportError:
                self.broken += 1
                return
            version = answer.json().get("model_version", "") if answer.status_code == 200 else ""
            self.answers.append((answer.status_code, version))

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, condition: Any, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.answers[-3:]
            time.sleep(0.05)


def test_promotion_drops_no_request_and_a_broken_champion_changes_nothing(home: Settings, tmp_path: Path) -> None:
    mlflow.set_tracking_uri(home.tracking_uri)
    store = mlflow.MlflowClient()
    first = store.get_model_version("p0", "1")
    with server(home, tmp_path / "log") as (process, client):
        load = Load(client)
        load.wait_for(lambda: len(load.answers) > 50)
        second = store.create_model_version("p0", first.source, first.run_id).version
        store.set_registered_model_alias("p0", "champion", second)
        load.wait_for(lambda: load.answers[-1][1] == str(second))
        empty = tmp_path / "nothing_in_it"
        empty.mkdir()
        third = store.create_model_version("p0", empty.as_uri()).version
        store.set_registered_model_alias("p0", "champion", third)
        load.wait_for(lambda: "p0" in client.get("/health").json()["troubles"])
        count = len(load.answers)
        load.wait_for(lambda: len(load.answers) > count + 50)
        health = client.get("/health").json()
        assert health["status"] == "degraded" and health["champions"]["p0"] == str(second)
        store.set_registered_model_alias("p0", "champion", "1")
        load.wait_for(lambda: load.answers[-1][1] == "1")
        assert "p0" not in client.get("/health").json()["troubles"]
        load.stop()
        assert {status for status, _ in load.answers} == {200} and load.broken == 0
        assert {version for _, version in load.answers} == {"1", str(second)}
        # An orderly end: what was accepted is on the disk, and asked requests are answered.
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    journal = home.journal_file
    written = journal_reader.entries_after(journal, 0, ["prediction"])
    assert len(written) == len(load.answers)
    assert reopened(journal).lost == 0


def test_kill_9_loses_at_most_a_moment_and_says_how_much_and_no_secret_is_logged(
    home: Settings, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with server(home, log, QC_WEBHOOK_SECRET="hook-secret", GITHUB_TOKEN="ghp_token") as (process, client):
        _send_secrets(client)
        load = Load(client)
        load.wait_for(lambda: len(load.answers) > 300)
        process.kill()
        process.wait()
        load.stop()
    written = len(journal_reader.entries_after(home.journal_file, 0, ["prediction"]))
    again = Journal(home.journal_file)
    again.close()
    answered = len(load.answers)
    # What was answered is written or counted as lost; two requests may have been written and not answered.
    assert answered <= written + again.lost <= answered + 2
    assert again.lost <= 100, "at some hundred requests a second, a tenth of a second holds no more"
    assert journal_reader.count_lost(home.journal_file) == again.lost

    text = log.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    requests = [one for one in lines if one["event"] == "request"]
    assert [one["status"] for one in requests if one["path"] == "other"] == [401] * 3, (
        "two of them are wrong, one is two keys"
    )
    names = {"method", "path", "status", "milliseconds", "request_id", "timestamp", "level"}
    assert all(names <= set(one) for one in requests)
    for secret in (KEY, *SECRETS):
        assert secret not in text, secret


SECRETS = ("hook-secret", "ghp_token", "wrong-but-mine", "private-text", "hunter2", "0123abcd", "wrong-key",
           "basic-password")  # fmt: skip


def _send_secrets(client: httpx.Client) -> None:
    """Put secrets wherever a request can have them."""
    client.get("/", headers={"Authorization": "Bearer wrong-but-mine"})
    client.get("/?json=private-text")
    client.get("/model/info", params={"key": KEY})
    client.post("/predict", content=b'{"worker_id": "hunter2-worker"')
    signed = {"X-Hub-Signature-256": "sha256=0123abcd", "X-GitHub-Event": "ping"}
    client.post("/webhook/github", content=b"{}", headers=signed)
    for headers in ({"X-API-Key": "wrong-key"}, {"Authorization": "Basic bWU6YmFzaWMtcGFzc3dvcmQ="}):
        without = {name: value for name, value in client.headers.items() if name.lower() != "x-api-key"}
        assert httpx.get(client.base_url.join("/model/info"), headers=without | headers).status_code == 401
