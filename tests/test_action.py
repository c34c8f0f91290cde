"""action.yml: GitHub would take it, and its script asks a real server as a runner would run it."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from qc_assets.serving.app import create_app
from qc_assets.serving.keys import keys_file, make_key
from qc_assets.settings import Settings
from qc_assets.sources.fake.fake_server import FakeGitHub
from qc_assets.sources.fake.fake_world import Node, World
from qc_assets.sources.fake.github_schema import OWN_SCHEMA, load_schema
from tests import ROOT
from tests.conftest import copy_of
from tests.local_app import listening, url_of
from tests.small_home import opened_on

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
(STEP,) = ACTION["runs"]["steps"]
NAMES = {match: name for name, value in STEP["env"].items() for match in re.findall(r"inputs\.([a-z-]+)", value)}

pytestmark = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="runners have curl and jq")


@pytest.fixture
def fake() -> Iterator[tuple[FakeGitHub, Node]]:
    world = World()
    item = opened_on(world, "acme/atlas")
    with FakeGitHub(load_schema(OWN_SCHEMA), world) as server:
        yield server, item


def run_step(folder: Path, inputs: dict[str, str], **more: str) -> tuple["subprocess.CompletedProcess[str]", str, str]:
    """The step as a runner runs it; what it printed, its summary and its outputs."""
    summary, output = folder / "summary.md", folder / "output"
    for file in (summary, output):
        file.write_text("")
    given = {NAMES[name]: value for name, value in {"post": "false", "api-url": "", "api-key": "", **inputs}.items()}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "QC_ACTION_TOKEN": "t0ken",
                   "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(output)} | given | more  # fmt: skip
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEP["run"]]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    return done, summary.read_text(), output.read_text()


def test_the_action_is_one_composite_step_whose_script_holds_nothing_from_outside() -> None:
    assert ACTION["runs"]["using"] == "composite" and STEP["shell"] == "bash"
    assert {"name", "description", "inputs", "outputs", "runs"} <= set(ACTION)
    assert all(set(given) <= {"description", "required", "default"} for given in ACTION["inputs"].values())
    assert "${{" not in STEP["run"], "an expression in a script is code of whoever chose its value"
    assert set(NAMES) == set(ACTION["inputs"]), "every input reaches the script, as a variable"
    assert set(NAMES.values()) == set(re.findall(r"QC_ACTION_[A-Z]+", STEP["run"]))
    assert ACTION["inputs"]["post"]["default"] == "false", "dry-run unless somebody says otherwise"
    assert ACTION["outputs"]["p0"]["value"] == f"${{{{ steps.{STEP['id']}.outputs.p0 }}}}"


def test_the_step_asks_a_running_api_and_posts_when_it_is_told_to(
    small_home: Settings, fake: tuple[FakeGitHub, Node], tmp_path: Path
) -> None:
    copy = copy_of(small_home, tmp_path)
    key = make_key(keys_file(copy.journal_file), "action", ["predict", "post"])
    more: dict[str, Any] = {"github_url": fake[0].url, "github_tokens": "t0ken", "check_repos": "acme/atlas"}
    app = create_app(Settings(**(copy.model_dump() | more | {"_env_file": None})))
    with listening(app) as server:
        inputs = {"api-url": f"{url_of(server)}/", "api-key": key, "repository": "acme/atlas", "number": "9007"}
        done, summary, output = run_step(tmp_path, inputs)
        assert done.returncode == 0, done.stdout + done.stderr
        assert summary.startswith("**p0 = ") and 0 < float(output.removeprefix("p0=")) < 1
        assert fake[1]["_comments"] == [] and key not in done.stdout + done.stderr + summary
        done, _, _ = run_step(tmp_path, inputs | {"post": "true"})
        assert done.returncode == 0
        deadline = time.monotonic() + 20
        while not fake[1]["_comments"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(fake[1]["_comments"]) == 1
        done, _, _ = run_step(tmp_path, inputs | {"repository": "acme/unlisted"})
        assert done.returncode == 1 and re.search("::error::the qc API answered 409: .*QC_CHECK_REPOS", done.stdout)
        done, _, output = run_step(tmp_path, inputs | {"api-key": "wrong"})
        assert done.returncode == 1 and "::error::the qc API answered 401" in done.stdout and output == ""
    done, _, _ = run_step(tmp_path, inputs)
    assert done.returncode == 1 and "::error::the qc API does not answer" in done.stdout


@pytest.mark.slow
def test_the_step_runs_qc_where_there_is_no_api(
    small_home: Settings, fake: tuple[FakeGitHub, Node], tmp_path: Path
) -> None:
    copy = copy_of(small_home, tmp_path)
    places = {"QC_HOME": str(copy.home), "QC_WAREHOUSE": str(copy.warehouse), "QC_GITHUB_URL": fake[0].url,
              "QC_CHECK_REPOS": "acme/atlas", "PYTHONPATH": str(ROOT),
              "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # fmt: skip
    inputs = {"repository": "acme/atlas", "number": "9007", "post": "true"}
    done, summary, output = run_step(tmp_path, inputs, **places)
    assert done.returncode == 0, done.stdout + done.stderr
    assert summary.startswith("**p0 = ") and output.startswith("p0=0.") and len(fake[1]["_comments"]) == 1


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"number": "7; touch pwned"}, "number is none"),
        ({"number": "$(touch pwned)"}, "number is none"),
        ({"number": ""}, "number is none"),
        ({"repository": 'a/b", "post": true, "x": "'}, "repository is not owner/name"),
        ({"repository": "a/b\n`touch pwned`"}, "repository is not owner/name"),
        ({"api-url": "file:///etc/passwd"}, "api-url is no URL"),
        ({"api-url": "http://x --output pwned"}, "api-url is no URL"),
    ],
)
def test_what_an_input_holds_is_never_run(tmp_path: Path, inputs: dict[str, str], says: str) -> None:
    usual = {"repository": "acme/atlas", "number": "7", "api-url": "http://127.0.0.1:9"}
    done, summary, _ = run_step(tmp_path, usual | inputs)
    assert done.returncode == 1 and f"::error::{says}" in done.stdout and summary == ""
    assert not (tmp_path / "pwned").exists() and json.dumps(inputs) not in done.stdout
