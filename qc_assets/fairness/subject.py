"""A registered version of a model, with the rows that it was fitted to and judged on, ready for a bias report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from qc_assets.errors import FairnessError
from qc_assets.fairness.slicer import ATTRIBUTES
from qc_assets.features.model_rows import model_rows
from qc_assets.learning.metrics.units import units_of
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import dataset_of, task_of
from qc_assets.learning.task.terms import Known
from qc_assets.store.warehouse import Warehouse

if TYPE_CHECKING:
    from qc_assets.learning.bundle import Bundle
    from qc_assets.registry.model_registry import Registry

# Groups that an item is in because of how it ended: errors differ between them by construction.
AFTERWARDS = ("completion_time",)


@dataclass(frozen=True)
class Subject:
    """See the module.

    Attributes:
        spec, version, bundle: the model.
        frame: rows of the three windows, with the columns that groups are made of.
        x: what the estimator sees of them, (rows, inputs).
        windows: row numbers of ``train``, ``calibration`` and ``test``.
        known: labels of each window as they were known at its end.
        mlflow_run_id: of the training.
    """

    spec: ModelSpec
    version: int
    bundle: "Bundle"
    frame: pl.DataFrame
    x: np.ndarray
    windows: Mapping[str, np.ndarray]
    known: Mapping[str, Known]
    mlflow_run_id: str
    is_synthetic: bool

    @property
    def can_refit(self) -> bool:
        """Whether the version says how it was fitted (those of before bias reports do not)."""
        return "parameters" in self.bundle.fitted

    def tested(self) -> pl.DataFrame:
        """Rows of the test window with y_true, y_pred and weight; see `measured`."""
        return self.measured(self.bundle.predict_matrix(self.x[self.windows["test"]]))

    def measured(self, answers: np.ndarray) -> pl.DataFrame:
        """Rows of the test window whose label is known, with y_true, y_pred, weight and unit, by answers (rows, …).

        Probabilities: label and probability. Durations: log hours, ln(1 + hours), as far as nearly all were watched.
        Categories: whether the likeliest one is right, and the confidence in it. `tested_row` counts the window's rows.
        """
        task, classes = task_of(self.spec), self.bundle.classes
        known, most = task.counted_alike(self.known["test"])
        predicted = np.minimum(task.table(classes, answers)["prediction"].to_numpy(), most)
        y_true, y_pred = task.judged_labels(known, answers), task.on_label_scale(predicted)
        frame = self.frame[self.windows["test"]]
        units = units_of(frame, frame[self.spec.opened_at].to_numpy())
        rows = np.arange(len(frame))
        # Who nobody knows is an author of his own.
        units = rows[:, None].repeat(2, axis=1) if units is None else units
        columns = {"y_true": y_true, "y_pred": y_pred, "weight": known.weights, "unit": units, "tested_row": rows}
        return frame.with_columns(**{name: pl.Series(values) for name, values in columns.items()}).filter(
            pl.col("weight") > 0
        )


def load_subject(
    store: Warehouse, registry: "Registry", spec: ModelSpec, *, is_synthetic: bool, version: int | None = None
) -> Subject | None:
    """The newest version of a model that passed its gates, or `version`; None if there is none.

    A version that failed them is served to nobody, and its errors accuse nobody.

    Raises:
        FairnessError: if there is no such version, it failed a gate, or its rows are not in the warehouse any more.
    """
    versions = store.sql_file(
        "ml/model_versions", {"model": spec.name, "is_synthetic": is_synthetic}, section="with_failed_gates"
    )
    if version is not None and version not in versions["version"]:
        there = ", ".join(map(str, versions["version"])) or "none"
        raise FairnessError(f"{spec.name} has no version {version} of this source; there is {there}")
    sound = versions.filter(pl.col("failed").is_null())
    if version is None and sound.is_empty():
        return None
    chosen = sound["version"][-1] if version is None else version
    if chosen not in sound["version"]:
        failed = versions.filter(version=chosen)["failed"].item()
        raise FairnessError(f"version {chosen} of {spec.name} failed {failed}: a rejected model accuses nobody")
    bundle = registry.load(spec.name, chosen).as_judged
    with store.at_one_time() as now:
        rows = model_rows(now, spec, is_synthetic=is_synthetic)
        windows = now.query(
            f"SELECT {', '.join(spec.key)}, time_window FROM ml.training_rows WHERE model = $1 AND version = $2",
            [spec.name, chosen],
        )
        groups = now.sql_file(spec.table.replace(".", "/"), section="groups")
    new = [name for name in groups.columns if name not in rows.columns]
    rows = rows.join(windows, on=spec.key).join(groups.select(*spec.key, *new), on=spec.key, how="left")
    if rows.is_empty():
        raise FairnessError(f"the rows of {spec.name} version {chosen} are not in the warehouse: train it anew")
    data = dataset_of(spec, rows)
    named = {
        name: np.flatnonzero((data.frame["time_window"] == name).to_numpy())
        for name in ("train", "calibration", "test")
    }
    task, as_of = task_of(spec), bundle.fitted.get("as_of", {})
    known = {
        name: task.known(data, part, np.datetime64(as_of.get(name, "9999-01-01"), "us"), bundle.context)
        for name, part in named.items()
    }
    run = versions.filter(pl.col("version") == chosen)["mlflow_run_id"].item()
    return Subject(spec, chosen, bundle, data.frame, bundle.matrix(data.frame), named, known, run, is_synthetic)


def sensitive_attributes(spec: ModelSpec, given: str | None = None) -> tuple[str, ...]:
    """The spec's sensitive attributes, or those named in `given`, separated by commas.

    Raises:
        FairnessError: if one is none of `ATTRIBUTES`.
    """
    if not given:
        return spec.sensitive
    names = tuple(name.strip() for name in given.split(",") if name.strip())
    unknown = [name for name in names if name not in ATTRIBUTES]
    if unknown:
        raise FairnessError(f"nothing is known of {', '.join(unknown)}; there is {', '.join(ATTRIBUTES)}")
    return names
