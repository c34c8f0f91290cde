"""What is known of the versions that serve."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import duckdb
import polars as pl

from qc_assets import pages
from qc_assets.errors import QcError
from qc_assets.serving.champions import SPECS, Champion
from qc_assets.store.warehouse import Warehouse

log = logging.getLogger(__name__)


def model_info(champions: Sequence[Champion], store: Warehouse) -> dict[str, Any]:
    """Version, training window, metrics and features of each champion, by model.

    Windows and metrics are those of ml.model_versions and ml.evaluations; if the warehouse cannot be read, or does
    not know the version, they are missing.
    """
    try:
        with store.at_one_time() as now:
            return {champion.model: _registered(champion) | _recorded(champion, now) for champion in champions}
    except (QcError, duckdb.Error) as error:  # they serve whether their reports can be read or not
        log.warning("the reports of the versions that serve cannot be read: %s", error)
        return {champion.model: _registered(champion) | {"window": None, "metrics": {}} for champion in champions}


def _registered(champion: Champion) -> dict[str, Any]:
    bundle = champion.bundle
    return {
        "version": str(champion.version),
        "run_id": champion.run_id,
        "question": SPECS[champion.model].question,
        "task": bundle.task,
        "candidate": bundle.fitted.get("kind"),
        "is_synthetic": bundle.is_synthetic,
        "registered_at": champion.registered_at.isoformat(),
        "features": list(bundle.inputs),
        "classes": list(bundle.classes),
        "limits": list(SPECS[champion.model].limits),
    }


def _recorded(champion: Champion, store: Warehouse) -> dict[str, Any]:
    window = _read(champion, store, "window").to_dicts()
    metrics = {row.pop("metric"): row for row in _read(champion, store, "metrics").to_dicts()}
    if not window:
        return {"window": None, "metrics": metrics}
    texts = {name: value.isoformat() for name, value in window[0].items() if isinstance(value, datetime)}
    return {"window": window[0] | texts, "metrics": metrics}


def calibration(champion: Champion, store: Warehouse) -> str | None:
    """The calibration curve of a version's test window as base64 of a PNG; None if it is not in the warehouse."""
    from qc_assets.learning.plots import calibration_curve

    tested = _read(champion, store, "tested")
    if tested.is_empty():
        return None
    return pages.base64_png(calibration_curve(tested["label"].to_numpy(), tested["prediction"].to_numpy()))


def _read(champion: Champion, store: Warehouse, section: str) -> pl.DataFrame:
    key = {"model": champion.model, "version": champion.version}
    try:
        return store.sql_file("ml/model_versions", key, section=section)
    except (QcError, duckdb.Error) as error:  # the version serves whether its report can be read or not
        log.warning("the report of %s version %s cannot be read: %s", champion.model, champion.version, error)
        return pl.DataFrame()
