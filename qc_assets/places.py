"""Where files lie: in a checkout beside the code, for an installed package in the user's folders."""

import os
from functools import cache
from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).resolve().parent


@cache
def checkout() -> Path | None:
    """The folder of the checkout that this code runs from, or None if the package is installed.

    An editable installation runs from its checkout.
    """
    folder = PACKAGE.parent
    return folder if (folder / "pyproject.toml").is_file() and (folder / "warehouse").is_dir() else None


def sql_root() -> Path:
    """The folder of the SQL files: the wheel carries it in the package, a checkout has it beside the package."""
    packaged = PACKAGE / "_warehouse"
    return packaged if packaged.is_dir() else PACKAGE.parent / "warehouse"


def dagster_config(name: str) -> Path:
    """`dagster.yaml` or `workspace.yaml`: at the top of a checkout; the wheel carries them in the package."""
    return (checkout() or PACKAGE / "_dagster") / name


def default_home() -> Path:
    """QC_HOME if nobody says another: `.qc` in a checkout, else the user's folder for data of programs."""
    folder = checkout()
    return folder / ".qc" if folder else Path(platformdirs.user_data_dir("qc-assets"))


def default_warehouse(home: Path) -> Path:
    """QC_WAREHOUSE if nobody says another: in the `warehouse` folder of a checkout, else under `home`."""
    return (checkout() or home) / "warehouse" / "qc.duckdb"


def settings_file() -> Path:
    """The `.env` that `qc init` writes: the checkout's, else the working directory's, where `dagster dev` reads it."""
    return (checkout() or Path.cwd()) / ".env"


def settings_files() -> tuple[Path, ...]:
    """All `.env` files that settings are read from; later ones win. Installed: QC_HOME's and the working directory's.

    QC_HOME means the variable here: a file cannot say where it lies itself.
    """
    folder = checkout()
    if folder:
        return (folder / ".env",)
    home = Path(os.environ.get("QC_HOME") or default_home()).expanduser()
    return (home / ".env", Path(".env"))
