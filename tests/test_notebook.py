"""The notebooks run from top to bottom, on a small home, and are committed with what they showed of a demo.

After a change of a notebook: ``python -m tests.test_notebook`` runs all on the home that the settings name, and keeps
their outputs.
"""

import asyncio
import base64
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

from qc_assets.settings import Settings
from tests import ROOT

NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
MOST_BYTES = 300_000


async def executed_side_by_side(notebooks: list[Any]) -> None:
    """Run all cells of each; half of the time they wait for libraries to be read."""
    clients = [NotebookClient(notebook, timeout=300, kernel_name="python3") for notebook in notebooks]
    await asyncio.gather(*(client.async_execute() for client in clients))


def read(name: str) -> Any:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def outputs_of(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def charts_in(notebook: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs_of(notebook))


def test_there_is_a_notebook_for_each_question() -> None:
    assert NOTEBOOKS == ["explore", "fairness", "models", "payouts"]


@pytest.mark.slow
def test_the_notebooks_run_and_draw_their_charts(small_home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QC_HOME", str(small_home.home))
    monkeypatch.setenv("QC_WAREHOUSE", str(small_home.warehouse))
    notebooks = {name: read(name) for name in NOTEBOOKS}
    committed = {name: charts_in(notebook) for name, notebook in notebooks.items()}
    asyncio.run(executed_side_by_side(list(notebooks.values())))
    assert {name: charts_in(notebook) for name, notebook in notebooks.items()} == committed
    for name, notebook in notebooks.items():
        wrong = [out for out in outputs_of(notebook) if out.output_type == "error" or out.get("name") == "stderr"]
        assert not wrong, (name, wrong)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_committed_with_outputs_that_tell_nothing_of_a_machine(name: str) -> None:
    notebook = read(name)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run from top to bottom"
    assert charts_in(notebook) >= 2
    text = json.dumps(
        [output.get("data", {}).get("text/plain", output.get("text", "")) for output in outputs_of(notebook)]
    )
    assert not re.findall(r"/(?:home|root|tmp|dev|work|w|Users)/", text)
    assert len((ROOT / "notebooks" / f"{name}.ipynb").read_bytes()) < MOST_BYTES


def smaller(png: str) -> str:
    """The same picture of few colours."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").quantize(32)
    kept = io.BytesIO()
    picture.save(kept, "PNG", optimize=True)
    return base64.b64encode(kept.getvalue()).decode()


def run_and_keep(name: str) -> None:
    """Run a notebook and write it with its outputs, without times and names of this machine."""
    notebook = read(name)
    asyncio.run(executed_side_by_side([notebook]))
    for number, cell in enumerate(notebook.cells):
        cell.metadata, cell.id = {}, f"cell-{number}"
    for output in outputs_of(notebook):
        if "image/png" in output.get("data", {}):
            output["data"]["image/png"] = smaller(output["data"]["image/png"])
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(notebook, ROOT / "notebooks" / f"{name}.ipynb")


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[1])
    for each in NOTEBOOKS:
        run_and_keep(each)
