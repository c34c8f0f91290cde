"""`make cluster`: the topology of compose.yaml without containers, on loopback, in a folder of its own, until Ctrl-C.

PostgreSQL (journal, Dagster, MLflow), MLflow's server, a code location, Dagster's UI and daemon, two API servers with
homes of their own as two machines have, and nginx before them.
"""

import argparse
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from string import Template

from deploy.local_servers import MissingServerError, PostgresServer, end_group, free_port, program, wait_for_port

HERE = Path(__file__).resolve().parent
_START_S = 180.0


class Cluster:
    """The processes, stopped in the order in which they were not started.

    Args:
        folder: of all that they keep; made if it is not there, and gone on with if it is.
        gate: port of the API; 0 takes one that is free, as all others are.
    """

    def __init__(self, folder: Path, gate: int = 0) -> None:
        self.folder = folder.absolute()
        self._running = ExitStack()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        ports = {name: free_port() for name in ("postgres", "mlflow", "code", "dagster", "api-1", "api-2")}
        self.ports = ports | {"gate": gate or free_port()}
        self.addresses = {
            "api": f"http://127.0.0.1:{self.ports['gate']}",
            "dagster": f"http://127.0.0.1:{self.ports['dagster']}",
            "mlflow": f"http://127.0.0.1:{self.ports['mlflow']}",
        }
        self.variables: dict[str, str] = {}

    @property
    def settings_file(self) -> Path:
        """What a shell reads to be a machine of this cluster."""
        return self.folder / "cluster.env"

    def start(self) -> "Cluster":
        """Start all, and wait until each answers.

        Raises:
            MissingServerError: if PostgreSQL or nginx is not installed.
            RuntimeError: if one does not start; all are stopped then.
        """
        nginx = program("nginx", "nginx-light")
        # PostgreSQL is another user where root starts it, and must come through.
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711)  # whatever the umask: PostgreSQL's own user goes through it
        try:
            postgres = PostgresServer(self.folder / "postgres", self.ports["postgres"]).start()
            self._running.callback(postgres.stop)
            self._write_settings(postgres)
            python, code, home = sys.executable, self.ports["code"], self.folder / "home"
            models = (self.folder / "models").as_uri()
            mlflow = [python, "-m", "mlflow", "server", "--workers", "1", "--port", str(self.ports["mlflow"])]
            keeps = {"MLFLOW_BACKEND_STORE_URI": postgres.url("mlflow"), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
            self._spawn("mlflow", [*mlflow, "--artifacts-destination", models], home, **keeps)
            module = ["-m", "qc_assets.definitions"]
            self._spawn(
                "code", [python, "-m", "dagster", "api", "grpc", *module, "-h", "127.0.0.1", "-p", str(code)], home
            )
            wait_for_port(code, self._processes["code"], _START_S)
            wait_for_port(self.ports["mlflow"], self._processes["mlflow"], _START_S)
            workspace = ["-w", str(home / "dagster" / "workspace.yaml")]
            self._spawn("dagster", [
                python, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(self.ports["dagster"]), *workspace
            ], home)  # fmt: skip
            self._spawn("daemon", [python, "-m", "dagster._daemon", "run", *workspace], home)
            for name in ("api-1", "api-2"):
                own = self.folder / name
                serve = [python, "-m", "qc_assets.cli", "serve", "--port", str(self.ports[name])]
                self._spawn(name, serve, own, QC_HOME=str(own))
            self._spawn("gate", [nginx, "-p", str(self.folder), "-c", str(self._gate_file())], home)
            for name in ("dagster", "api-1", "api-2", "gate"):
                wait_for_port(self.ports[name], self._processes[name], _START_S)
        except BaseException:
            self.stop()
            raise
        return self

    def wait(self) -> None:
        """Return when one of them stops.

        Raises:
            RuntimeError: naming it and its log.
        """
        while all(process.poll() is None for process in self._processes.values()):
            time.sleep(0.5)
        ended = [name for name, process in self._processes.items() if process.poll() is not None]
        raise RuntimeError(f"{', '.join(ended)} stopped: see {self._log(ended[0])}")

    def stop(self) -> None:
        """Stop all, the last first."""
        self._running.close()
        self._processes.clear()

    def _write_settings(self, postgres: PostgresServer) -> None:
        home = self.folder / "home"
        for folder in (home / "dagster", self.folder / "logs", self.folder / "api-1", self.folder / "api-2"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "dagster" / "dagster.yaml").write_bytes((HERE / "dagster.yaml").read_bytes())
        location = {"host": "127.0.0.1", "port": self.ports["code"], "location_name": "qc_assets"}
        server = "\n".join(f"      {name}: {value}" for name, value in location.items())
        (home / "dagster" / "workspace.yaml").write_text(f"load_from:\n  - grpc_server:\n{server}\n", encoding="utf-8")
        key = self.folder / "api.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_text(secrets.token_urlsafe(24), encoding="utf-8")
        self.variables = {
            "QC_HOME": str(home),
            "QC_WAREHOUSE": str(self.folder / "qc.duckdb"),
            "QC_JOURNAL": postgres.url("qc"),
            "QC_MLFLOW_TRACKING_URI": self.addresses["mlflow"],
            "QC_DAGSTER_URL": self.addresses["dagster"],
            "QC_MLFLOW_URL": self.addresses["mlflow"],
            "QC_API_KEY": key.read_text(encoding="utf-8"),
            "QC_TRUSTED_PROXIES": "127.0.0.1",
            "QC_CHAMPION_REFRESH_S": "2",
            "DAGSTER_HOME": str(home / "dagster"),
            "DAGSTER_POSTGRES_URL": postgres.url("dagster", "postgresql+psycopg2"),
        }
        self.settings_file.touch(mode=0o600)
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in self.variables.items()]
        self.settings_file.write_text("".join(lines), encoding="utf-8")

    def _gate_file(self) -> Path:
        places = {"GATE": f"127.0.0.1:{self.ports['gate']}"}
        places |= {f"API_{n}": f"127.0.0.1:{self.ports[f'api-{n}']}" for n in (1, 2)}
        server = Template((HERE / "nginx.conf.template").read_text(encoding="utf-8")).safe_substitute(places)
        logs = self.folder / "logs"
        path = self.folder / "nginx.conf"
        kinds = {"proxy_temp_path", "client_body_temp_path", "fastcgi_temp_path", "uwsgi_temp_path", "scgi_temp_path"}
        own = "\n".join(f"{kind} {logs}/{kind};" for kind in sorted(kinds))
        path.write_text(
            f"daemon off;\npid {self.folder}/nginx.pid;\nerror_log {logs}/gate.log;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{own}\n{server}}}\n",
            encoding="utf-8",
        )
        return path

    def _spawn(self, name: str, command: list[str], home: Path, **variables: str) -> None:
        with self._log(name).open("ab") as log:
            # A session of its own: Ctrl-C is for this process, which stops all in order.
            process = subprocess.Popen(
                command, cwd=home, env=os.environ | self.variables | variables, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        self._processes[name] = process
        self._running.callback(end_group, process)

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"


def main() -> int:
    """Start the cluster, say where it is, and stop it on Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".qc-cluster"), help="of all that it keeps")
    parser.add_argument("--port", type=int, default=8000, help="of the API")
    chosen = parser.parse_args()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    cluster = Cluster(chosen.folder, chosen.port)
    print(f"starting 9 servers in {cluster.folder}; logs are in its folder logs …", flush=True)
    try:
        cluster.start()
        for name, address in cluster.addresses.items():
            print(f"{name:10}{address}")
        print(f"settings  {cluster.settings_file}   (set -a; . {cluster.settings_file}; qc demo)")
        print("Ctrl-C stops all; what was made stays", flush=True)
        cluster.wait()
    except KeyboardInterrupt:
        print("stopping …", flush=True)
    except (MissingServerError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        cluster.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
