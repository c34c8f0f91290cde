"""`qc up`: the Dagster UI, the MLflow UI and the API side by side, stopped together."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx

from qc_assets.cli.doctor import port_is_free, tail
from qc_assets.cli.runs import dagster_home, open_instance
from qc_assets.errors import QcError
from qc_assets.places import dagster_config
from qc_assets.registry.local_store import make_store
from qc_assets.settings import Settings

_START_TIMEOUT_S = 120
_STOP_TIMEOUT_S = 20


class Services:
    """The servers as children of this process, logging to QC_HOME/logs.

    Args:
        settings: addresses, ports and folders.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.logs = settings.home / "logs"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def urls(self) -> dict[str, str]:
        s = self.settings
        ports = {"dagster": s.dagster_port, "mlflow": s.mlflow_port, "api": s.api_port}
        return {name: f"http://{s.host}:{port}" for name, port in ports.items()}

    def start(self) -> None:
        """Start all and wait until they answer.

        Raises:
            QcError: if a port is taken, or a server stops or does not answer; all are stopped then.
        """
        s = self.settings
        for name, port, variable in (
            ("Dagster", s.dagster_port, "QC_DAGSTER_PORT"),
            ("MLflow", s.mlflow_port, "QC_MLFLOW_PORT"),
            ("the API", s.api_port, "QC_API_PORT"),
        ):
            if not port_is_free(s.host, port):
                raise QcError(
                    f"{s.host}:{port} is in use, so {name} cannot start: stop that program, or set {variable}"
                )
        # Each database is made once, here, and not by whichever server is quicker.
        make_store(s.mlflow_database, s.artifact_root)
        open_instance(s).dispose()
        host, python = s.host, sys.executable
        commands = {
            "mlflow": [
                python, "-m", "mlflow", "server", "--host", host, "--port", str(s.mlflow_port), "--workers", "1",
                "--backend-store-uri", s.tracking_uri, "--artifacts-destination", s.artifact_root.as_uri(),
            ],
            "dagster": [
                python, "-m", "dagster", "dev", "--host", host, "--port", str(s.dagster_port),
                "-w", str(dagster_config("workspace.yaml")),
            ],
            "api": [python, "-m", "qc_assets.cli", "serve"],
        }  # fmt: skip
        try:
            for name in commands:
                self._processes[name] = self._spawn(name, commands[name])
            self._wait("mlflow", f"{self.urls['mlflow']}/health")
            self._wait("dagster", f"{self.urls['dagster']}/server_info")
            self._wait("api", f"{self.urls['api']}/health")
        except BaseException:
            self.stop()
            raise

    def wait(self) -> None:
        """Return when one of them stops.

        Raises:
            QcError: naming it and showing the end of its log.
        """
        while True:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise QcError(f"{name} stopped:\n{tail(self.log(name), 15)}")
            time.sleep(0.5)

    def stop(self) -> None:
        """Stop all and everything that they started."""
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
        for process in self._processes.values():
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes.clear()

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _spawn(self, name: str, command: list[str]) -> "subprocess.Popen[bytes]":
        self.logs.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"DAGSTER_HOME": str(dagster_home(self.settings))}
        with self.log(name).open("ab") as log:
            # A session of its own: Ctrl-C reaches this process only, which then stops both in order. Not in the
            # working directory: `dagster dev` would let the DAGSTER_HOME of a .env there win over QC_HOME's.
            return subprocess.Popen(
                command, cwd=self.settings.home, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def _wait(self, name: str, url: str) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._processes[name].poll() is not None:
                raise QcError(f"{name} did not start:\n{tail(self.log(name), 15)}")
            with suppress(httpx.HTTPError):
                if httpx.get(url, timeout=5).status_code == 200:
                    return
            time.sleep(0.5)
        raise QcError(f"{name} did not answer at {url} within {_START_TIMEOUT_S} s; see {self.log(name)}")
