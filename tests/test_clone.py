"""What a new user does: clone, and type the README's main command."""

import json
import os
import re
import subprocess
from typing import Any

from qc_assets.store.warehouse import Warehouse
from tests.conftest import ReadmeDemo


def test_a_fresh_clone_runs_the_readmes_main_command(readme_demo: ReadmeDemo, main_run: Any) -> None:
    settings, result = main_run
    # What is judged of answers only warns, and is a matter of the world, which is not the one that a user gets.
    judged = (
        *("_inputs_are_stable", "right_in_every_repository_and_month", "_is_right_in_every_part"),
        "groups_are_treated_alike",
    )
    failed = re.findall(r"check failed (\S+: \S+):", readme_demo.output)
    assert [name for name in failed if not name.endswith(judged)] == [], readme_demo.output[-2000:]
    assert f"{len(result.checks) - len(failed)} of {len(result.checks)} checks passed" in readme_demo.output
    assert "Synthetic data" in readme_demo.output
    rows = result.metadata["raw_pull_requests"]["rows of all days"]
    funnel = Warehouse.from_settings(settings).query("FROM reports.funnel ORDER BY position")
    assert funnel["pull_requests"][0] == rows
    for model in ("p0", "close_in_7_days"):
        assert re.search(rf"│ {model} +│ version 1, champion", readme_demo.output), readme_demo.output[-3000:]
    answer = subprocess.run(
        [readme_demo.clone / ".venv/bin/qc", "status", "--json"], cwd=settings.home, capture_output=True, check=True,
        env=os.environ | {"QC_HOME": str(settings.home), "QC_WAREHOUSE": str(settings.warehouse)},
    )  # fmt: skip
    assert json.loads(answer.stdout)["loads"][0]["days"] == 240
    before, after = readme_demo.status
    assert before == after, "running it leaves nothing that git would see"
