"""The notebooks as assets: run on the warehouse as it is, and looked at in Dagster."""

import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import dagster as dg

from qc_assets.assets import tables
from qc_assets.files import write_whole
from qc_assets.places import notebooks
from qc_assets.settings import Settings
from qc_assets.terminal_text import displayable

GROUP = "notebooks"
# What each is about, and what it reads.
_NOTEBOOKS = {
    "explore": ("Questions about the warehouse, one SELECT each, and charts that answer them.",
                ("features.pull_requests", "features.issues", "features.comments", "ml.predictions")),
    "fairness": ("Who is treated differently, by how much, how sure that is, and what would help.",
                 ("models.p0.bias_by_repo", "ml.predictions")),
    "models": ("A champion read, asked why, and where it is wrong.", ("models.p0", "ml.predictions")),
    "payouts": ("What would be paid, to whom, how sure that is, and whether it comes true.",
                ("models.p0", "reports.payouts")),
}  # fmt: skip
_LONGEST_S = 600  # of a cell


def notebook_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """notebook_NAME for each notebook of the checkout; an installed package has none."""
    folder = notebooks()
    return [] if folder is None else [_asset(folder / f"{name}.ipynb", settings) for name in _NOTEBOOKS]


def _asset(source: Path, settings: Settings) -> dg.AssetsDefinition:
    about, read = _NOTEBOOKS[source.stem]

    @dg.asset(
        key=tables.key(f"notebook.{source.stem}"),
        description=f"{about} Runs notebooks/{source.name}, which stays as it is.",
        group_name=tables.group_name(GROUP),
        owners=tables.OWNERS,
        kinds={"jupyter", "python"},
        deps=[tables.key(name) for name in read],
    )
    def compute() -> dg.MaterializeResult:
        from qc_assets.assets.run_origins import code_location_name  # with Dagster's storage, which is slow to import

        started = time.monotonic()
        target = settings.home / "notebooks" / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Dagster makes a page of it; what is shown is of this warehouse, and of whoever wrote the notebook.
        pages = f"{settings.dagster_url.rstrip('/')}/notebook"
        query = urlencode({"path": target, "repoLocName": code_location_name()})
        charts = run_notebook(source, target, {"QC_HOME": settings.home, "QC_WAREHOUSE": settings.warehouse})
        return dg.MaterializeResult(
            metadata={
                "in short": tables.link(f"{charts} charts, in {time.monotonic() - started:.0f} s", f"{pages}?{query}"),
                "notebook": dg.MetadataValue.notebook(str(target)),
            }
        )

    return compute


def run_notebook(source: Path, target: Path, variables: dict[str, Any]) -> int:
    """Run a notebook from top to bottom, and write it with what it showed.

    Args:
        source: the notebook, which is left alone.
        target: where to; written once all cells have run.
        variables: of the kernel's environment.

    Returns:
        The number of pictures that it shows.

    Raises:
        Failure: naming the cell that failed and why, or what is not installed.
    """
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    except ImportError as error:
        raise dg.Failure(f"{error.name} is not installed: pip install 'qc-assets[notebooks]'") from error
    notebook = nbformat.read(source, as_version=4)  # type: ignore[no-untyped-call]
    # It warns that its port is not encrypted; that port is of this machine, and its messages are signed.
    quiet = ["--log-level=ERROR"]
    client = NotebookClient(notebook, timeout=_LONGEST_S, kernel_name="python3", extra_arguments=quiet)
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    try:
        client.execute(env=environment, cwd=str(source.parent))
    except CellExecutionError as error:
        raise _failure(source, notebook, f"{error.ename}: {error.evalue}") from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise _failure(source, notebook, " ".join(str(error).split())) from error
    write_whole(target, nbformat.writes(notebook))  # type: ignore[no-untyped-call]
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def _failure(source: Path, notebook: Any, reason: str) -> dg.Failure:
    """Names the last cell that began."""
    begun = [place for place, cell in enumerate(notebook.cells, start=1) if cell.get("execution_count")]
    return dg.Failure(f"{source.name}, cell {max(begun, default=1)}: {displayable(reason[:300])}")
