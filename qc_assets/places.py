"""Where files lie: in a checkout beside the code, for an installed package in the user's folders."""

import hashlib
import os
import re
import uuid
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


def notebooks() -> Path | None:
    """The folder of the notebooks, which a checkout has; None if the package is installed."""
    folder = checkout()
    return folder / "notebooks" if folder and (folder / "notebooks").is_dir() else None


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


def plain_folder(folder: Path) -> Path:
    """The same folder by a name that every program reads as it stands.

    DuckDB, Dagster and MLflow read a question mark, a percent sign and their like as parts of a URL or a pattern, and
    would open another file. So such a folder is made, and used through a link in the user's cache.

    Raises:
        OSError: if folder or link cannot be made.
    """
    folder = folder.expanduser().absolute()
    if not re.search(r"[?%#*\[\]\\]", str(folder)):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    link = platformdirs.user_cache_path("qc-assets") / "links" / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    if not (link.is_symlink() and link.readlink() == folder):
        link.parent.mkdir(parents=True, exist_ok=True)
        draft = link.with_name(uuid.uuid4().hex)
        draft.symlink_to(folder)
        draft.replace(link)
    return link
