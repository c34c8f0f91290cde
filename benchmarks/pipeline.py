"""Demo generation to committed tables, and quick training, at 200,000 pull requests. Limits: 180 s and 60 s."""

import tempfile
from pathlib import Path

from benchmarks.measure import isolated, verdict
from benchmarks.sizes import sized

FEW, N_PRS = sized((2_000, 200_000), (200, 600))


def load_demo(state: str, n_prs: int) -> int:
    from qc_assets.assets.partitions import days_between
    from qc_assets.settings import load_settings
    from qc_assets.sources.loading import load
    from qc_assets.sources.registry import open_source
    from qc_assets.store.warehouse import Warehouse

    places = {"home": Path(state) / "home", "warehouse": Path(state) / "qc.duckdb", "_env_file": None}
    settings = load_settings(source="demo", demo_prs=n_prs, **places)
    warehouse = Warehouse.from_settings(settings)
    report = load(warehouse, open_source(settings), days_between(settings.first_date, settings.last_date))
    return sum(report.rows.values())


def train(state: str) -> str:
    from qc_assets.features.model_rows import model_rows
    from qc_assets.learning.trained import Options
    from qc_assets.models import p0
    from qc_assets.registry import lifecycle
    from qc_assets.registry.model_registry import Registry
    from qc_assets.settings import load_settings
    from qc_assets.store.warehouse import Warehouse

    warehouse = Warehouse(Path(state) / "qc.duckdb", staging=Path(state) / "staging")
    warehouse.rebuild("ops/coverage", {"min_archive_completeness": 0.95})
    warehouse.rebuild("features/pull_requests", load_settings().feature_parameters("pull_requests"))
    rows = model_rows(warehouse, p0.SPEC, is_synthetic=True)
    registry = Registry(f"sqlite:///{state}/mlflow.db", Path(state) / "artifacts")
    options = Options(quick=True, candidates=sized((), ("lightgbm",)))
    outcome = lifecycle.train_and_register(p0.SPEC, rows, registry, options, is_synthetic=True, origin={})
    return f"{len(rows):,} rows, {outcome.decision.reason}"


def main() -> None:
    for n_prs, limit in ((FEW, 5), (N_PRS, 180)):
        with tempfile.TemporaryDirectory() as state:
            rows, seconds, mib = isolated(load_demo, state, n_prs)
            print(f"demo of {n_prs:,} pull requests: {rows:,} rows committed in {seconds:.1f} s, peak {mib:.0f} MiB")
            print(verdict(seconds / limit, 1.0, f"seconds / {limit} s"))
            if n_prs == N_PRS:
                what, seconds, mib = isolated(train, state)
                print(f"features and quick training: {seconds:.1f} s, peak {mib:.0f} MiB ({what})")
                print(verdict(seconds / 60, 1.0, "seconds / 60 s"))
