"""Batch scoring: champion and challenger on every item that waits for its outcome."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from qc_assets.clock import now_utc
from qc_assets.features.model_rows import model_rows
from qc_assets.learning.spec import ModelSpec
from qc_assets.monitoring.sound_versions import answering, bounding_bundle
from qc_assets.registry.version_record import with_comment
from qc_assets.store.inserts import put
from qc_assets.store.warehouse import Warehouse

if TYPE_CHECKING:
    from qc_assets.learning.bundle import Bundle
    from qc_assets.registry.model_registry import Registry

ROLES = ("champion", "stand_in", "challenger")
_REMAINING = dict.fromkeys(
    ("remaining_hours", "remaining_lower", "remaining_upper", "within_hours", "horizon_hours"), pl.Float64
) | {"words": pl.String}


@dataclass(frozen=True)
class Scored:
    """What a scoring did.

    Attributes:
        counts: items scored, by role; a role that no version has is left out.
        troubles: versions that could not be asked, and which one answered in their place.
    """

    counts: dict[str, int]
    troubles: tuple[str, ...] = ()


def score_rows(spec: ModelSpec, bundle: "Bundle", rows: pl.DataFrame, bounding: "Bundle | None" = None) -> pl.DataFrame:
    """What a bundle says of rows: the spec's key, prediction, lower, upper and answer.

    A feature that the rows do not have is unknown. With the bundle of `spec.bound`, nothing contradicts that.
    """
    from qc_assets.learning.agreement import agreed

    if rows.is_empty():
        table = pl.DataFrame(schema=dict.fromkeys(("prediction", "lower", "upper"), pl.Float64) | {"answer": pl.String})
    else:
        answers = bundle.predict(bundle.with_unknown(rows))
        if spec.bound and bounding is not None:
            answers = agreed(answers, bundle.context, bounding.predict(bounding.with_unknown(rows)), spec.bound)
        table = bundle.table(answers)
    return pl.concat([rows.select(spec.key), table], how="horizontal")


def score_waiting_items(store: Warehouse, registry: "Registry", spec: ModelSpec, *, is_synthetic: bool) -> Scored:
    """Write ml.predictions for the items of a model that have no outcome yet; earlier ones of these are replaced."""
    waiting = model_rows(store, spec, is_synthetic=is_synthetic).filter(pl.col(spec.target).is_null())
    if spec.left_at:
        waiting = waiting.filter(pl.col(spec.left_at).is_null())
    now, bounding = now_utc(), bounding_bundle(registry, spec, is_synthetic=is_synthetic)
    who = answering(registry, spec, with_challenger=True)
    parts, counts = [], {}
    waits = pl.DataFrame()
    for version, own_role in ((who.version, "champion"), (who.challenger, "challenger")):
        if version is None or version.bundle.is_synthetic != is_synthetic:
            continue
        role = "stand_in" if version.stands_in else own_role
        counts[role] = len(waiting)
        if waiting.is_empty():
            continue
        instants = waiting.select(pl.col(spec.opened_at).alias("opened_at"), pl.col("observed_until").alias("as_of"))
        if spec.left_at and own_role == "champion":
            waits = how_much_longer(spec, version.bundle, waiting).with_columns(version=pl.lit(version.version))
        parts.append(
            pl.concat([score_rows(spec, version.bundle, waiting, bounding), instants], how="horizontal").with_columns(
                version=pl.lit(version.version), role=pl.lit(role)
            )
        )
    if parts or spec.left_at:
        with store.write() as connection:
            if parts:
                rows = with_comment(pl.concat(parts))
                put(connection, "ml.predictions", rows, {"model": spec.name, "entry": "", "predicted_at": now})
            connection.execute("DELETE FROM ml.waits WHERE model = ?", [spec.name])
            if len(waits):
                put(connection, "ml.waits", waits, {"model": spec.name})
    return Scored(counts, who.troubles)


def how_much_longer(spec: ModelSpec, bundle: "Bundle", rows: pl.DataFrame) -> pl.DataFrame:
    """What a bundle says of rows that wait: the spec's key and the columns of ml.waits but for model and version.

    Args:
        spec: of a duration with `left_at`.
        bundle: of a version of it.
        rows: of the model, at the end of their covered time.
    """
    as_of, opened_at = pl.col("observed_until"), pl.col(spec.opened_at)
    waited = rows.select(((as_of - opened_at).dt.total_seconds() / 3600).cast(pl.Float64)).to_series().to_numpy()
    known = bundle.with_unknown(rows)
    answers = [
        (None,) * 6
        if longer is None
        else (longer.hours, longer.lower, longer.upper, longer.within, longer.horizon, longer.words)
        for longer in bundle.how_much_longer(known, waited)
    ]
    return pl.concat(
        [
            rows.select(*spec.key, as_of.alias("as_of")),
            pl.DataFrame({"waited_hours": waited}),
            bundle.table(bundle.predict(known)).select(expected_hours="prediction"),
            pl.DataFrame(answers, schema=_REMAINING, orient="row"),
        ],
        how="horizontal",
    )
