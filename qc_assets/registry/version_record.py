"""What the warehouse's tables say of a version, logged with it, so that they can be made again from the registry."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from qc_assets.learning.task import task_of

if TYPE_CHECKING:
    from qc_assets.learning.task.interface import Gate
    from qc_assets.learning.trained import Trained

TABLES = ("evaluations", "gates", "test_predictions", "training_rows")
_FACTS = "facts.json"
_INSTANTS = ("trained_at", "train_from", "train_until")


@dataclass(frozen=True)
class VersionRecord:
    """A version without its number, which the registry gives.

    Attributes:
        facts: columns of ml.model_versions that are settled by the training.
        tables: rows of ml.evaluations, ml.gates, ml.test_predictions and ml.training_rows, by the name of the table.
    """

    facts: Mapping[str, Any]
    tables: Mapping[str, pl.DataFrame]

    def save(self, folder: Path) -> None:
        """Write a JSON file and a Parquet file a table into `folder`, which must exist."""
        (folder / _FACTS).write_text(json.dumps(dict(self.facts), indent=1, default=str), encoding="utf-8")
        for name, rows in self.tables.items():
            rows.write_parquet(folder / f"{name}.parquet")

    @classmethod
    def load(cls, folder: Path) -> "VersionRecord":
        """Read what `save` wrote.

        Raises:
            OSError, ValueError, polars.exceptions.PolarsError: if the folder does not hold it whole.
        """
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        facts |= {name: datetime.fromisoformat(facts[name]) for name in _INSTANTS}
        return cls(facts, {name: pl.read_parquet(folder / f"{name}.parquet") for name in TABLES})


def record_of(
    trained: "Trained", gates: list["Gate"], origin: Mapping[str, str], trained_at: datetime, *, is_synthetic: bool
) -> VersionRecord:
    """What is to be kept of a training.

    Args:
        trained: the training.
        gates: every promise that was checked.
        origin: where the rows come from: snapshot, Dagster run, commit.
        trained_at: its end (UTC).
        is_synthetic: whether the rows are made up.
    """
    spec, task = trained.spec, task_of(trained.spec)
    opened_at = trained.data.frame[spec.opened_at]
    rows = trained.data.frame[trained.split.test]
    evaluations = pl.DataFrame(
        [
            {"time_window": window, "metric": metric} | vars(estimate)
            for window, estimates in trained.best.evaluations.items()
            for metric, estimate in estimates.items()
        ]
    )
    predictions = pl.concat(
        [
            rows.select(*spec.key, pl.col(spec.opened_at).alias("opened_at")),
            task.table(spec.classes, trained.best.predictions),
            task.outcomes(spec.classes, trained.known["test"], trained.best.predictions),
        ],
        how="horizontal",
    )
    keys = trained.data.frame.select(spec.key)
    windows = trained.split.windows
    facts = {
        "task": spec.task,
        "candidate": trained.best.kind,
        "trained_at": trained_at,
        "snapshot": origin.get("snapshot", ""),
        "is_synthetic": is_synthetic,
        "train_from": opened_at[int(trained.split.train[0])],
        "train_until": opened_at[int(trained.split.train[-1])],
        **{f"{name}_rows": len(part) for name, part in windows.items()},
        "dagster_run_id": origin.get("dagster_run_id"),
        "git_commit": origin.get("git_commit") or None,
    }
    tables = {
        "evaluations": evaluations.fill_nan(None),
        "gates": pl.DataFrame([vars(gate) for gate in gates]).rename({"name": "gate"}),
        "test_predictions": with_comment(predictions),
        "training_rows": with_comment(
            pl.concat([keys[part].with_columns(time_window=pl.lit(name)) for name, part in windows.items()])
        ),
    }
    return VersionRecord(facts, tables)


def with_comment(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with a comment_id: 0 where they are about pull requests or issues themselves."""
    return rows if "comment_id" in rows.columns else rows.with_columns(comment_id=pl.lit(0))
