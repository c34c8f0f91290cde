"""What deploy/ names exists: compose and manifests fit their schemas, and every command, setting and port is real."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.main import get_command

from qc_assets.cli.main import app
from qc_assets.settings import Settings
from tests import ROOT

DEPLOY = ROOT / "deploy"
TEXTS = ("compose.yaml", "kubernetes.yaml", "helm-values.yaml", "Dockerfile", "cluster.py")
VARIABLES = {f"QC_{name.upper()}" for name in Settings.model_fields}


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8")))


def test_compose_fits_its_specification_and_what_it_refers_to_is_there() -> None:
    specification = pytest.importorskip("compose_pydantic", reason="compose-pydantic is not installed")
    document = compose()
    # These models are generated of the specification's schema; they know no extensions, and no contents of configs.
    plain = {name: value for name, value in document.items() if not name.startswith(("x-", "configs"))}
    specification.ComposeSpecification.model_validate(plain)
    with pytest.raises(ValueError, match="portz"):
        specification.ComposeSpecification.model_validate({"services": {"a": {"image": "x", "portz": ["1:1"]}}})
    services = document["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
        assert service.get("restart"), name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in document["volumes"], volume
        for host in re.findall(r"(?:https?|postgresql(?:\+psycopg2)?)://(?:\S+@)?([a-z0-9-]+):\d+", str(service)):
            assert host in services or host == "127", (name, host)
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), "nothing is open to the network by default"
    assert services["api-1"]["environment"]["QC_JOURNAL"] == services["api-2"]["environment"]["QC_JOURNAL"]
    secrets = set(re.findall(r"\$\{(\w+):\?\}", (DEPLOY / "compose.yaml").read_text(encoding="utf-8")))
    assert secrets == {"POSTGRES_PASSWORD", "S3_SECRET", "QC_API_KEY"}


def test_the_manifests_fit_the_schemas_of_kubernetes() -> None:
    kubernetes = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))
    for document in documents:
        kubernetes.validate(document, "1.33", strict=True)
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in documents}
    for (kind, name), service in by_name.items():
        if kind == "Service":
            pod = by_name["Deployment", name]["spec"]["template"]
            assert service["spec"]["selector"] == pod["metadata"]["labels"]
            ports = {port["containerPort"] for container in pod["spec"]["containers"] for port in container["ports"]}
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    with pytest.raises(kubernetes.ValidationError):
        kubernetes.validate(documents[1] | {"spec": {"replica": 1}}, "1.33", strict=True)


def test_helm_and_manifests_name_the_same_secrets_and_images() -> None:
    values = yaml.safe_load((DEPLOY / "helm-values.yaml").read_text(encoding="utf-8"))
    manifests = (DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    image = deployment["image"]
    assert f"{image['repository']}:{image['tag']}" in manifests
    for kind in ("envSecrets", "envConfigMaps"):
        assert deployment[kind] == launcher[kind] == [{"name": "qc-assets"}]
    assert "secretRef: {name: qc-assets}" in manifests and "configMapRef: {name: qc-assets}" in manifests


@pytest.mark.parametrize("name", TEXTS)
def test_every_setting_and_command_that_is_named_exists(name: str) -> None:
    text = (DEPLOY / name).read_text(encoding="utf-8")
    settings = set(re.findall(r"\bQC_[A-Z0-9_]+\b", text))
    assert settings <= VARIABLES, settings - VARIABLES
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    used = re.findall(r"\[\"?qc\"?, \"?(\w+)\"?", text) + re.findall(r'"qc_assets\.cli", "(\w+)"', text)
    assert set(used) <= commands and (used or name == "helm-values.yaml")
    for module in re.findall(r"\bqc_assets\.\w+", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists() or (ROOT / module.replace(".", "/")).is_dir()


def test_the_image_is_not_roots_and_made_of_the_lock() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    stages = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(stages) == 2 and "--require-hashes --requirement requirements.lock" in text
    assert re.search(r"^USER 10001$", text, re.MULTILINE)
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / part).exists() for part in source.split())


@pytest.mark.slow
def test_make_cluster_starts_everything_and_stops_in_order(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Both API servers and their gate, Dagster with its code location and daemon, MLflow, all on one PostgreSQL."""
    import tempfile

    from deploy.local_servers import MissingServerError, free_port, program

    try:
        program("initdb", "postgresql"), program("nginx", "nginx-light")
    except MissingServerError as error:
        pytest.skip(str(error))
    pytest.importorskip("dagster_postgres", reason="the extra `cluster` is not installed")
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="qc_cluster_", dir=memory) as temporary:
        Path(temporary).chmod(0o711)
        folder, port = Path(temporary) / "cluster", free_port()
        command = [sys.executable, "-m", "deploy.cluster", "--folder", str(folder), "--port", str(port)]
        cluster = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            assert cluster.stdout is not None
            lines: list[str] = []
            for line in cluster.stdout:
                lines.append(line)
                if line.startswith(("Ctrl-C", "error")):
                    break
            told = "".join(lines)
            addresses = dict(re.findall(r"^(\w+) +(http\S+)$", told, re.MULTILINE))
            assert set(addresses) == {"api", "dagster", "mlflow"}, told
            variables = dict(re.findall(r"^(\w+)=(\S+)$", (folder / "cluster.env").read_text(), re.MULTILINE))
            assert (folder / "cluster.env").stat().st_mode & 0o777 == 0o600
            key = {"X-API-Key": variables["QC_API_KEY"]}
            deadline = time.monotonic() + 120
            while httpx.get(f"{addresses['api']}/health").status_code >= 502 and time.monotonic() < deadline:
                time.sleep(1)
            assert httpx.get(f"{addresses['api']}/payouts", headers=key).json() is not None
            assert httpx.get(f"{addresses['mlflow']}/health").text == "OK"
            query = {"query": "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"}
            answer = httpx.post(f"{addresses['dagster']}/graphql", json=query, timeout=60).json()
            assert answer["data"]["workspaceOrError"]["locationEntries"] == [{"loadStatus": "LOADED"}]
            password = variables["QC_JOURNAL"].partition("//qc:")[2].partition("@")[0]
            shown = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
            assert password not in shown + told
        finally:
            cluster.send_signal(signal.SIGINT)
            rest = cluster.communicate(timeout=120)[0]
        assert cluster.returncode == 0, told + rest
        assert not (folder / "postgres" / "data" / "postmaster.pid").exists()
        with pytest.raises(httpx.TransportError):
            httpx.get(addresses["dagster"])
