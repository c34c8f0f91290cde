"""`qc up`: the API as the gate, the UIs of Dagster and MLflow behind it, started and stopped together."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx

from qc_assets.cli import console
from qc_assets.cli.doctor import port_is_free, tail
from qc_assets.cli.runs import dagster_home, open_instance
from qc_assets.errors import QcError
from qc_assets.files import keep_private
from qc_assets.places import dagster_config
from qc_assets.registry.local_store import hide_empty_default, make_store
from qc_assets.registry.mlflow_store import MlflowStore
from qc_assets.registry.run_keepers import end_abandoned
from qc_assets.serving.server import refuse_open_door
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
        self.logs = settings.logs
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._sockets: Path | None = None

    @property
    def urls(self) -> dict[str, str]:
        gate = f"http://{self.settings.host}:{self.settings.api_port}"
        return {"api": gate, "dagster": f"{gate}/dagster", "mlflow": f"{gate}/mlflow"}

    def start(self) -> None:
        """Start all and wait until they answer.

        Raises:
            QcError: if the port is taken or open to all, or a server stops or does not answer; all are stopped then.
        """
        s = self.settings
        refuse_open_door(s)
        if not port_is_free(s.host, s.api_port):
            raise QcError(f"{s.host}:{s.api_port} is in use: stop that program, or set QC_API_PORT")
        # Each database is made once, here, and not by whichever server is quicker.
        make_store(s.mlflow_database, s.artifact_root)
        if not s.mlflow_tracking_uri:
            hide_empty_default(s.mlflow_database)
        end_abandoned(MlflowStore.from_settings(s))
        open_instance(s).dispose()
        # The UIs ask nobody who he is, so only this user reaches their sockets. The path of one has at most 100 bytes.
        sockets = self._sockets = Path(tempfile.mkdtemp(prefix="qc-up-"))
        python = sys.executable
        workspace = str(dagster_config("workspace.yaml"))
        commands = {
            "mlflow": [
                python, "-m", "mlflow", "server", "--workers", "1", "--static-prefix", "/mlflow",
                "--artifacts-destination", s.mlflow_artifacts or s.artifact_root.as_uri(),
                "--uvicorn-opts", f"--uds {shlex.quote(str(sockets / 'mlflow.sock'))}",
            ],
            "dagster": [python, "-m", "qc_assets.cli.dagster_ui", str(sockets / "dagster.sock"), workspace],
            "daemon": [python, "-m", "dagster._daemon", "run", "-w", workspace],
            "api": [python, "-m", "qc_assets.cli", "serve", "--sockets", str(sockets)],
        }  # fmt: skip
        try:
            for name in commands:
                self._processes[name] = self._spawn(name, commands[name])
            self._wait("api", f"{self.urls['api']}/health")
            self._wait("mlflow", "http://localhost/mlflow/health", sockets / "mlflow.sock")
            self._wait("dagster", "http://localhost/dagster/server_info", sockets / "dagster.sock")
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
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _spawn(self, name: str, command: list[str]) -> "subprocess.Popen[bytes]":
        self.logs.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "DAGSTER_HOME": str(dagster_home(self.settings)),
            # Not as arguments: a store's URL may have a password, and everybody may read those.
            "MLFLOW_BACKEND_STORE_URI": self.settings.tracking_uri,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        keep_private(self.log(name))
        with self.log(name).open("ab") as log:
            # A session of its own: Ctrl-C reaches this process only, which then stops both in order. Not in the
            # working directory: Dagster would let the DAGSTER_HOME of a .env there win over QC_HOME's.
            return subprocess.Popen(
                command, cwd=self.settings.home, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def _wait(self, name: str, url: str, socket: Path | None = None) -> None:
        transport = None if socket is None else httpx.HTTPTransport(uds=str(socket))
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._processes[name].poll() is not None:
                raise QcError(f"{name} did not start:\n{tail(self.log(name), 15)}")
            with suppress(httpx.HTTPError), httpx.Client(transport=transport, timeout=5) as client:
                if client.get(url).status_code == 200:
                    return
            time.sleep(0.5)
        raise QcError(f"{name} did not answer at {url} within {_START_TIMEOUT_S} s; see {self.log(name)}")


def run_services(settings: Settings) -> None:
    """Start all, say where they are, and stop them on Ctrl-C.

    Raises:
        QcError: as `Services.start` and `Services.wait`.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # A terminal that is closed must stop all as Ctrl-C does; and a shell may have told a job to ignore Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    services = Services(settings)
    with console.bar("starting Dagster, MLflow and the API"):
        services.start()
    lines = [console.marked("[bold]{}[/bold]  {}", *service) for service in services.urls.items()]
    console.emit(services.urls, *lines, "Ctrl-C stops all; logs are in " + str(services.logs))
    try:
        services.wait()
    except KeyboardInterrupt:
        console.err.print("stopping …")
    finally:
        services.stop()
