"""The notebooks run from top to bottom on a warehouse that the main job has filled."""

from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests import ROOT


@pytest.mark.slow
@pytest.mark.parametrize(("name", "charts"), [("explore", 3), ("fairness", 2)])
def test_a_notebook_runs_and_draws_its_charts(
    name: str, charts: int, main_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _ = main_run
    monkeypatch.setenv("QC_HOME", str(settings.home))
    monkeypatch.setenv("QC_WAREHOUSE", str(settings.warehouse))
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "it is committed without outputs"
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == charts
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
