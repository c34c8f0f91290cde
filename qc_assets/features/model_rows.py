"""The rows of a model: what its spec makes of a feature table."""

import polars as pl

from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.store.warehouse import Warehouse


def model_rows(store: Warehouse, spec: ModelSpec, *, is_synthetic: bool) -> pl.DataFrame:
    """Items that a model is about: those with a label, and those that wait for one.

    A label that a person corrected is the label, and nothing else changes.

    Args:
        store: the warehouse.
        spec: the model.
        is_synthetic: made-up items, or real ones; a model never has both.

    Returns:
        The columns of the table, of the spec, and the spec's texts (NULL where they are not known).
    """
    parameters = {"excluded": list(spec.excluded), "is_synthetic": is_synthetic}
    rows = store.query(query_of(spec), parameters)
    if spec.texts:
        texts = store.sql_file(spec.table.replace(".", "/"), {"is_synthetic": is_synthetic}, section="texts")
        rows = rows.join(texts, on=spec.key, how="left")
    return _corrected(rows, spec, store.sql_file("ml/feedback", _feedback_of(spec), section="newest"))


def query_of(spec: ModelSpec) -> str:
    """The SELECT of a model's rows; every name in it comes from the spec, which is code, and no value does."""
    own = "".join(f", {expression} AS {name}" for name, expression in spec.columns.items())
    condition = f" AND ({spec.rows})" if spec.rows else ""
    return (
        f"SELECT *{own} FROM {spec.table} "
        "WHERE NOT list_has_any(exclusions, $excluded::VARCHAR[]) AND is_synthetic(source, repo_id) = $is_synthetic"
        f"{condition}"
    )


def _feedback_of(spec: ModelSpec) -> dict[str, str]:
    return {"model": spec.name, "kind": spec.feedback_kind}


def _corrected(rows: pl.DataFrame, spec: ModelSpec, feedback: pl.DataFrame) -> pl.DataFrame:
    """The rows with the labels that people gave; a label nobody else knew is known from the moment it was given."""
    if feedback.is_empty():
        return rows
    # A comment has an id of its own, whatever repository it was said to be in.
    key = ("comment_id",) if "comment_id" in spec.key else spec.key
    given = feedback.select(
        *key,
        task_of(spec).labels_given(spec, feedback["label"]).cast(rows.schema[spec.target]).alias("label_given"),
        "given_at",
    )
    rows = rows.join(given, on=key, how="left")
    target = pl.coalesce("label_given", spec.target).alias(spec.target)
    if spec.known_at == spec.opened_at:
        return rows.with_columns(target).drop("label_given", "given_at")
    given_at = pl.max_horizontal("given_at", pl.when(pl.col("given_at").is_not_null()).then(pl.col(spec.opened_at)))
    return rows.with_columns(target, pl.coalesce(spec.known_at, given_at).alias(spec.known_at)).drop(
        "label_given", "given_at"
    )
