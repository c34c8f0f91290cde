"""Runs of the GitHub source against the fake, for several test modules."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from graphql import GraphQLSchema

from qc_assets.clock import Clock
from qc_assets.settings import load_settings
from qc_assets.sources.fake.github_schema import load_schema
from qc_assets.sources.github.source import GitHubSource
from qc_assets.sources.loading import LoadReport, load
from qc_assets.store.schema import RAW_TABLES, define_functions, id_columns
from qc_assets.store.warehouse import Warehouse
from tests.conftest import SHARED

SCHEMA_FILE = SHARED / "github" / "schema.graphql"
_loaded: list[GraphQLSchema] = []


def public_schema() -> GraphQLSchema:
    """GitHub's schema, parsed once."""
    if not SCHEMA_FILE.is_file():
        pytest.skip(f"GitHub's schema is not there: {SCHEMA_FILE}")
    if not _loaded:
        _loaded.append(load_schema(SCHEMA_FILE))
    return _loaded[0]


def source(url: str, home: Path, clock: Clock, **settings: Any) -> GitHubSource:
    """The source as the settings make it, with short waits."""
    defaults: dict[str, Any] = {"github_tokens": "t0ken-one", "github_read_timeout_s": 5, "github_first_wait_s": 1}
    made = load_settings(source="github", github_url=url, home=home, **(defaults | settings))
    return GitHubSource.from_settings(made, clock)


def run(
    store: Warehouse, github: GitHubSource, days: Sequence[date], repos: Sequence[str], **options: Any
) -> LoadReport:
    return load(store, github, days, repos=sorted(repos), **options)


def contents(store: Warehouse, *, without: Sequence[str] = ()) -> dict[str, pl.DataFrame]:
    """The raw tables with the forge's own ids, as each fake is another forge; each sorted by all of its columns."""

    def query(table: str) -> str:
        left_out = f"EXCLUDE ({', '.join(without)})" if without else ""
        own = ", ".join(f"own_id({name}) AS {name}" for name in id_columns(f"raw.{table}") if name not in without)
        return f"SELECT * {left_out} REPLACE ({own}) FROM raw.{table} ORDER BY ALL"

    with store.read() as connection:
        define_functions(connection, "own_id")
        return {table: connection.execute(query(table)).pl() for table in RAW_TABLES}


def span(first: date, count: int) -> list[date]:
    return [first + timedelta(days=n) for n in range(count)]
