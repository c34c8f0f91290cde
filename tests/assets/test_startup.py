"""What loading the code location imports: every run, sensor tick and reload waits for it."""

import subprocess
import sys

from tests import ROOT

HEAVY = (
    *("pandas", "pyarrow", "scipy", "sklearn", "lightgbm", "xgboost", "mlflow", "torch", "transformers"),
    *("sentence_transformers", "fairlearn", "fastapi", "githubkit", "sqlalchemy", "matplotlib", "optuna", "skops"),
)


def test_definitions_import_nothing_heavy() -> None:
    code = f"import qc_assets.definitions, sys; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
