"""The rows of a model: what its spec makes of a feature table."""

from typing import TYPE_CHECKING, Any

import polars as pl

from qc_assets.features.contract import contract_of
from qc_assets.learning.corrections import CONTESTED, CORRECTED, CORRECTED_BY, GIVER_SHARE, beyond_their_share
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.store.warehouse import Warehouse

if TYPE_CHECKING:
    from qc_assets.learning.bundle import Bundle


def model_rows(
    store: Warehouse, spec: ModelSpec, *, is_synthetic: bool, giver_share: float = GIVER_SHARE
) -> pl.DataFrame:
    """Items that a model is about: those with a label, and those that wait for one.

    A label that people corrected is the label, and nothing else changes; see `_corrected` for whose word counts.

    Args:
        store: the warehouse.
        spec: the model.
        is_synthetic: made-up items, or real ones; a model never has both.
        giver_share: see `beyond_their_share`.

    Returns:
        The columns of the table, of the spec, and the spec's texts (NULL where they are not known); and which labels
        rest on feedback alone, by which key, and which feedback contradicts: see `qc_assets.learning.corrections`.
    """
    parameters = {"excluded": list(spec.excluded), "is_synthetic": is_synthetic}
    with store.at_one_time() as now:
        rows = now.query(query_of(spec), parameters)
        feedback = now.sql_file("ml/feedback", _feedback_of(spec), section="newest")
        if spec.texts:
            texts = now.sql_file(spec.table.replace(".", "/"), {"is_synthetic": is_synthetic}, section="texts")
            rows = rows.join(texts, on=spec.key, how="left")
    return _corrected(rows, spec, feedback, giver_share)


def query_of(spec: ModelSpec) -> str:
    """The SELECT of a model's rows; every name in it comes from the spec, which is code, and no value does."""
    own = "".join(f", {expression} AS {name}" for name, expression in spec.columns.items())
    condition = f" AND ({spec.rows})" if spec.rows else ""
    return (
        f"SELECT *{own} FROM {spec.table} "
        "WHERE NOT list_has_any(exclusions, $excluded::VARCHAR[]) AND is_synthetic(source, repo_id) = $is_synthetic"
        f"{condition}"
    )


def feature_types(spec: ModelSpec, bundle: "Bundle | None" = None) -> dict[str, Any]:
    """Types of the features and texts of a bundle, or of the spec: text, or number.

    A bundle of another version of the code may want columns that the spec does not have.
    """
    columns = contract_of(spec.table.removeprefix("features.")).columns
    wants, texts = (spec, spec.texts) if bundle is None else (bundle, bundle.text_columns)
    words = {*texts, *wants.categories, *(name for name, column in columns.items() if column.type == "VARCHAR")}
    return {name: pl.String if name in words else pl.Float64 for name in (*wants.features, *texts)}


def _feedback_of(spec: ModelSpec) -> dict[str, str]:
    return {"model": spec.name, "kind": spec.feedback_kind}


def _corrected(rows: pl.DataFrame, spec: ModelSpec, feedback: pl.DataFrame, giver_share: float) -> pl.DataFrame:
    """The rows with the labels that people gave; a label nobody else knew is known from the moment it was given.

    Feedback that contradicts a label is kept apart, unless a second key confirms it. A column TARGET_by says whose word
    the table's label is, see `label_by` in warehouse/macros.sql; without one it is the platform's.
    """
    # A comment has an id of its own, whatever repository it was said to be in.
    key = ("comment_id",) if "comment_id" in spec.key else spec.key
    given = feedback.select(
        *key,
        task_of(spec).labels_given(spec, feedback["label"]).cast(rows.schema[spec.target]).alias("label_given"),
        *("given_at", "received_key", "arrival", "confirmed", "disputed"),
    )
    rows = rows.join(given, on=key, how="left")
    own, label, column = pl.col(spec.target), pl.col("label_given"), f"{spec.target}_by"
    by = pl.col(column) if column in rows.columns else pl.when(own.is_not_null()).then(pl.lit("github"))
    differs = label.is_not_null() & label.ne_missing(own)
    # Feedback may be newer than the table.
    is_taken = differs & (by.is_null() | pl.col("confirmed"))
    is_corrected = (is_taken | (by == "feedback")).fill_null(False)
    is_contested = ~is_corrected & (differs | (by == "contested")).fill_null(False)
    target = pl.when(is_taken).then(label).otherwise(own).alias(spec.target)
    marks = [
        is_corrected.alias(CORRECTED),
        (is_contested | pl.col("disputed").fill_null(False)).alias(CONTESTED),
        pl.when(is_corrected).then(pl.col("received_key").fill_null("")).alias(CORRECTED_BY),
    ]
    if spec.known_at == spec.opened_at:
        known_at = pl.col(spec.known_at)
    else:
        opened_at = pl.when(pl.col("given_at").is_not_null()).then(pl.col(spec.opened_at))
        given_at = pl.when(is_corrected).then(pl.max_horizontal("given_at", opened_at))
        known_at = pl.coalesce(spec.known_at, given_at).alias(spec.known_at)
    corrected = rows.with_columns(target, known_at, *marks)
    return beyond_their_share(corrected, spec, giver_share).drop(
        "label_given", "given_at", "received_key", "arrival", "confirmed", "disputed"
    )
