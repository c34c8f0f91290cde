"""What the warehouse's tables say of a version, logged with it, so that they can be made again from the registry."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from qc_assets.learning.task import task_of
from qc_assets.learning.venn_abers import with_bounds

if TYPE_CHECKING:
    from qc_assets.learning.metrics.bootstrap import Estimate
    from qc_assets.learning.reliability import Reliability
    from qc_assets.learning.task.terms import Gate
    from qc_assets.learning.trained import Trained

TABLES = ("evaluations", "gates", "test_predictions", "training_rows")
# Records of before a table existed are read without it.
LATER_TABLES = ("rivals", "reliability")
_FACTS = "facts.json"
_INSTANTS = ("trained_at", "train_from", "train_until")


@dataclass(frozen=True)
class VersionRecord:
    """A version without its number, which the registry gives.

    Attributes:
        facts: columns of ml.model_versions that are settled by the training.
        tables: rows of the tables of `ml` that are about a version, by the name of the table.
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
        present = (*TABLES, *(name for name in LATER_TABLES if (folder / f"{name}.parquet").exists()))
        return cls(facts, {name: pl.read_parquet(folder / f"{name}.parquet") for name in present})


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
    evaluations = [
        {"time_window": window, "metric": metric} | _row(estimate) | {"baseline": estimate.baseline}
        for window, estimates in trained.best.evaluations.items()
        for metric, estimate in estimates.items()
    ]
    evaluations += [
        {"time_window": "test", "metric": f"{head}_{metric}"} | _row(estimate) | {"baseline": estimate.baseline}
        for head, estimates in trained.heads.items()
        for metric, estimate in estimates.items()
    ]
    rivals = [
        {"rival": rival.kind, "metric": metric} | _row(estimate) | _row(rival.differences[metric], "difference")
        for rival in trained.rivals
        for metric, estimate in rival.evaluations.items()
    ]
    predictions = pl.concat(
        [
            rows.select(*spec.key, pl.col(spec.opened_at).alias("opened_at")),
            with_bounds(task.table(spec.classes, trained.best.predictions), trained.bounds),
            task.outcomes(spec.classes, trained.known["test"], trained.best.predictions),
        ],
        how="horizontal",
    )
    keys = trained.data.frame.select(spec.key)
    windows = trained.split.windows
    seen = windows | {"gap": trained.split.gap}
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
        "evaluations": _typed(evaluations),
        "rivals": _typed(rivals),
        "reliability": reliability_rows(trained.reliability),
        "gates": pl.DataFrame([vars(gate) for gate in gates], schema_overrides={"passed": pl.Boolean}).rename(
            {"name": "gate"}
        ),
        "test_predictions": with_comment(predictions),
        "training_rows": with_comment(
            pl.concat([keys[part].with_columns(time_window=pl.lit(name)) for name, part in seen.items()])
        ),
    }
    return VersionRecord(facts, tables)


def reliability_rows(parts: Sequence["Reliability"]) -> pl.DataFrame:
    """Reliability as ml.reliability has it, but for the names of the version."""
    return _typed(
        [
            {name: getattr(each, name) for name in ("part", "name", "rows", "predicted", "observed", "is_off")}
            | {"gap": each.gap.value, "lower": each.gap.lower, "upper": each.gap.upper}
            | _row(each.ece, "ece")
            for each in parts
        ]
    )


def _row(estimate: "Estimate", prefix: str = "") -> dict[str, Any]:
    """Columns of an estimate, which may be that of another quantity than the row's `value`."""
    names = (f"{prefix}_lower", f"{prefix}_upper") if prefix else ("lower", "upper")
    reason = {"reason": estimate.reason or None}
    return {prefix or "value": estimate.value, names[0]: estimate.lower, names[1]: estimate.upper} | reason


def _typed(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows whose numbers may all be missing."""
    texts = dict.fromkeys(("time_window", "metric", "rival", "part", "name", "reason"), pl.String)
    kinds = texts | {"rows": pl.Int64, "is_off": pl.Boolean}
    names = rows[0] if rows else ()
    return pl.DataFrame(rows, schema={name: kinds.get(name, pl.Float64) for name in names})


def with_comment(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with a comment_id: 0 where they are about pull requests or issues themselves."""
    return rows if "comment_id" in rows.columns else rows.with_columns(comment_id=pl.lit(0))
