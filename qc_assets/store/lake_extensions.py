"""DuckDB's extensions that a lake needs, from the packages of the extra `lake`: nothing is downloaded at run time."""

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb

from qc_assets.errors import QcError

_INSTALL = "install what a lake needs: pip install 'qc-assets[lake]'"


def load_extension(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension, such as ``ducklake``, from its package.

    Raises:
        QcError: if the package is not installed, or is another version's than DuckDB.
    """
    package = package_for(f"duckdb_extension_{name}")
    version = f"v{duckdb.__version__}"
    file = Path(*package.__path__) / "extensions" / version / f"{name}.duckdb_extension"
    if not file.is_file():
        raise QcError(
            f"duckdb-extension-{name.replace('_', '-')} is not that of DuckDB {duckdb.__version__}: {_INSTALL} "
            f"'duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}'"
        )
    quoted = str(file).replace("'", "''")
    connection.execute(f"LOAD '{quoted}'")


def package_for(name: str) -> Any:
    """A package of the extra.

    Raises:
        QcError: saying what to install.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise QcError(f"QC_WAREHOUSE names a lake, and {name} is not installed: {_INSTALL}") from error


def bucket_secret(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection the keys of S3 as a secret of DuckDB, which shows in no URL, statement or log.

    From the variables that AWS's own programs read; without AWS_ACCESS_KEY_ID by the chain of AWS: profiles, roles.
    """
    variables = {
        "KEY_ID": os.environ.get("AWS_ACCESS_KEY_ID"),
        "SECRET": os.environ.get("AWS_SECRET_ACCESS_KEY"),
        "SESSION_TOKEN": os.environ.get("AWS_SESSION_TOKEN"),
        "REGION": os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
    }
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        variables |= {"ENDPOINT": parts.netloc, "URL_STYLE": "path", "USE_SSL": str(parts.scheme != "http").lower()}
    provider = "config"
    if not variables["KEY_ID"]:
        load_extension(connection, "aws")
        provider = "credential_chain"
        variables.pop("KEY_ID"), variables.pop("SECRET"), variables.pop("SESSION_TOKEN")
    told = [f"{name} '{value.replace(chr(39), chr(39) * 2)}'" for name, value in variables.items() if value]
    try:
        connection.execute(
            f"CREATE OR REPLACE SECRET bucket (TYPE s3, PROVIDER {provider}{''.join(f', {each}' for each in told)})"
        )
    except duckdb.Error as error:
        raise QcError(
            f"no keys for the bucket: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile of AWS "
            f"({type(error).__name__})"
        ) from None
