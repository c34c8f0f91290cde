"""PostgreSQL and Redis without containers, for `make cluster` and the tests: on loopback, in a folder of their own."""

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote


class MissingServerError(RuntimeError):
    """A program is not installed on this machine."""


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str, package: str) -> str:
    """Where a program lies; Debian keeps PostgreSQL's apart.

    Raises:
        MissingServerError: naming the package that brings it.
    """
    beside = sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), reverse=True)
    path = next(iter(beside), None) or shutil.which(name)
    if path is None:
        raise MissingServerError(f"{name} is missing: apt-get install -y --no-install-recommends {package}")
    return path


def unprivileged() -> str | None:
    """The user that servers run as: PostgreSQL refuses root; None is whoever runs this."""
    return "postgres" if os.geteuid() == 0 else None


class PostgresServer:
    """One PostgreSQL, its data in a folder, with a password of its own.

    Args:
        folder: made if it is not there; root's folders must let the user postgres through.
        port: of loopback.
        is_durable: whether it waits for the disk at each commit; tests need not.
    """

    def __init__(self, folder: Path, port: int, *, is_durable: bool = True) -> None:
        self.folder, self.port = folder, port
        self._user = unprivileged()
        data, secret = folder / "data", folder / "password"
        if not data.exists():
            initdb = program("initdb", "postgresql")
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
            # Characters that a URL must escape are in it, so that whoever forgets to escape them is found out.
            secret.write_text("p@ss/" + secrets.token_hex(12), encoding="utf-8")
            secret.chmod(0o600)
            if self._user:
                shutil.chown(folder, self._user)
                shutil.chown(secret, self._user)
            arguments = ["-D", str(data), "-U", "qc", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8"]
            self._run(initdb, *arguments, "--no-sync", "--locale=C.UTF-8")
            settings = [f"unix_socket_directories = '{folder}'", "listen_addresses = '127.0.0.1'"]
            settings += [] if is_durable else ["fsync = off"]
            with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
                file.write("\n".join(settings) + "\n")
        self.password = secret.read_text(encoding="utf-8")

    def start(self) -> "PostgresServer":
        """Start it, and wait until it answers."""
        # In a session of its own: Ctrl-C of whoever started it is not for it.
        self._run(program("pg_ctl", "postgresql"), *self._control, "-o", f"-p {self.port}", "-l", self._log, "start")
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stop it: ``fast`` ends all connections, ``immediate`` is a crash."""
        self._run(program("pg_ctl", "postgresql"), *self._control, "-m", mode, "stop")

    def url(self, database: str, scheme: str = "postgresql") -> str:
        """The URL of a database, which is made if it is not there."""
        import psycopg

        quoted = quote(self.password, safe="")
        with psycopg.connect(f"postgresql://qc:{quoted}@127.0.0.1:{self.port}/postgres", autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
                connection.execute(f'CREATE DATABASE "{database}"')
        return f"{scheme}://qc:{quoted}@127.0.0.1:{self.port}/{database}"

    @property
    def _control(self) -> list[str]:
        return ["-D", str(self.folder / "data"), "-w", "-t", "30"]

    @property
    def _log(self) -> str:
        return str(self.folder / "server.log")

    def _run(self, *command: str) -> None:
        result = subprocess.run(
            command, user=self._user, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, start_new_session=True, check=False,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        )  # fmt: skip
        if result.returncode:
            raise RuntimeError(f"{Path(command[0]).name} as {self._user or getpass.getuser()}: {result.stderr.strip()}")


class RedisServer:
    """One Redis on loopback that keeps nothing; it ends with the process that started it, or by `stop`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url, self._port = f"redis://127.0.0.1:{port}/0", port
        folder.mkdir(parents=True, exist_ok=True)
        command = [program("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        with (folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([*command, "--dir", str(folder)], stdout=log, stderr=log)
        wait_for_port(port, self._process)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)


def end_group(process: "subprocess.Popen[bytes]", patience_s: float = 20.0) -> None:
    """End a process that has a session of its own, and whatever it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):  # those that outlive it
        os.killpg(process.pid, signal.SIGKILL)


def wait_for_port(port: int, process: "subprocess.Popen[bytes]", patience_s: float = 30.0) -> None:
    """Until a process listens on a port of loopback.

    Raises:
        RuntimeError: if it ended, or took too long.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"nothing listens on port {port}: process {process.pid} ended with {process.poll()}")
