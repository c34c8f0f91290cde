"""What loading the code location imports (each run, sensor tick and reload waits for it), and `qc` before it works."""

import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests import ROOT

HEAVY = (
    *("pandas", "pyarrow", "scipy", "sklearn", "lightgbm", "xgboost", "mlflow", "torch", "transformers"),
    *("sentence_transformers", "fairlearn", "fastapi", "githubkit", "sqlalchemy", "matplotlib", "optuna", "skops"),
)


ENGINES = ("dagster", "duckdb", "polars", "numpy", "pydantic", "pydantic_settings", "httpx")


@pytest.mark.parametrize(
    ("module", "unwanted"), [("qc_assets.definitions", HEAVY), ("qc_assets.cli.main", (*HEAVY, *ENGINES))]
)
def test_nothing_heavy_is_imported(module: str, unwanted: Sequence[str]) -> None:
    code = f"import {module}, sys; print(sorted(set({unwanted!r}) & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
