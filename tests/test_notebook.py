"""The notebook runs from top to bottom on a warehouse that the main job has filled."""

from datetime import date
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from qc_assets.assets.models import training_config
from qc_assets.instance import run_job
from qc_assets.partitions import days_between
from qc_assets.settings import PROJECT_ROOT, Settings


@pytest.mark.slow
def test_the_notebook_runs_and_draws_its_charts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"home": tmp_path / "home", "warehouse": tmp_path / "qc.duckdb", "_env_file": None}
    settings = Settings(demo_prs=1_500, demo_days=150, start_date=date(2024, 1, 1), bootstrap_resamples=50, **places)
    run_job(
        settings,
        "main",
        days=days_between(settings.first_date, settings.last_date),
        ops=training_config(quick=True),
    )
    monkeypatch.setenv("QC_HOME", str(settings.home))
    monkeypatch.setenv("QC_WAREHOUSE", str(settings.warehouse))
    notebook = nbformat.read(PROJECT_ROOT / "notebooks" / "explore.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "it is committed without outputs"
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
