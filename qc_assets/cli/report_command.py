"""`qc report` and `qc notebook`: what one sends to a colleague, and where one goes on."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from qc_assets.cli import console
from qc_assets.cli.command_context import command_settings, command_warehouse
from qc_assets.errors import QcError
from qc_assets.places import notebooks


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(report)
    app.command()(notebook)


def report(
    output: Annotated[
        Path | None, typer.Option(help="File to write; default: report.html in QC_EXPORT_URL, else QC_HOME/export.")
    ] = None,
) -> None:
    """Write the state of everything as one HTML file that needs no other: data, models, fairness, drift, payouts."""
    from qc_assets.files import write_whole
    from qc_assets.monitoring.state_report import state_report
    from qc_assets.registry.export_place import Place

    settings = command_settings()
    page = state_report(command_warehouse(settings))
    if output is None:
        place = Place.from_settings(settings)
        place.write("report.html", page.encode())
        written = f"{place.url}/report.html"
    else:
        if not output.parent.is_dir():
            raise QcError(f"{output.parent} is not a folder: create it, or choose another --output")
        write_whole(output, page)
        written = str(output)
    console.emit({"file": written, "bytes": len(page.encode())}, f"written to {written}")


def notebook(
    folder: Annotated[Path, typer.Option(help="Where to put copies of the notebooks, unless they lie there.")] = Path(
        "notebooks"
    ),
) -> None:
    """Open the notebooks in JupyterLab: explore, models, fairness, payouts; extra `notebooks`."""
    absent = [name for name in ("jupyterlab", "altair") if find_spec(name) is None]
    if absent:
        raise QcError(f"{' and '.join(absent)} not installed: pip install 'qc-assets[notebooks]'")
    if not any(folder.glob("*.ipynb")):
        if (ours := notebooks()) is None:
            raise QcError(f"{folder} has no notebooks: they lie in the folder notebooks of the repository")
        shutil.copytree(ours, folder, dirs_exist_ok=True)
    console.err.print(f"JupyterLab on {folder}; Ctrl-C stops it", highlight=False)
    raise typer.Exit(subprocess.run([sys.executable, "-m", "jupyterlab", str(folder)]).returncode)
