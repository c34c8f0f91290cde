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
from urllib.parse import quote_plus

import dagster as dg
import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

from qc_assets.assets.notebook_pages import run_notebook
from qc_assets.cli.runs import run_job
from qc_assets.settings import Settings
from tests import ROOT
from tests.conftest import copy_of

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


def made_of(source: Path, *cells: str) -> Path:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    source.write_text(nbformat.writes(notebook), encoding="utf-8")
    return source


@pytest.mark.slow
def test_an_asset_shows_what_a_notebook_says_of_this_home_or_which_cell_failed(tmp_path: Path) -> None:
    target, seen = tmp_path / "seen.ipynb", {"QC_HOME": tmp_path / "another"}
    sound = made_of(tmp_path / "sound.ipynb", "import os", "os.environ['QC_HOME']")
    before = sound.read_bytes()
    assert run_notebook(sound, target, seen) == 0
    (shown,) = outputs_of(nbformat.read(target, as_version=4))
    assert shown["data"]["text/plain"] == repr(str(tmp_path / "another"))
    assert sound.read_bytes() == before
    broken = made_of(tmp_path / "broken.ipynb", "1", "raise ValueError('no such column')", "2")
    with pytest.raises(dg.Failure, match=r"broken\.ipynb, cell 2: ValueError: no such column"):
        run_notebook(broken, target, seen)
    assert outputs_of(nbformat.read(target, as_version=4)) == [shown], "what was there stays"


@pytest.mark.slow
def test_a_notebook_is_materialized_and_its_page_can_be_opened(small_home: Settings, tmp_path: Path) -> None:
    settings = copy_of(small_home, tmp_path)
    result = run_job(settings, "notebooks", selection=["notebook.payouts"])
    made = result.metadata["notebook_payouts"]
    assert made["notebook"] == str(settings.home / "notebooks" / "payouts.ipynb")
    charts = charts_in(nbformat.read(made["notebook"], as_version=4))
    assert charts > 0 and made["in short"].startswith(f"[{charts} charts, in ")
    assert f"/notebook?path={quote_plus(made['notebook'])}&repoLocName=qc_assets)" in made["in short"]


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
