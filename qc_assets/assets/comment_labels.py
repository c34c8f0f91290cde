"""ml_imported_labels as an asset: what people labelled, by file."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from qc_assets.assets import tables
from qc_assets.assets.resources import WarehouseResource
from qc_assets.features import labels
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse

if TYPE_CHECKING:
    from qc_assets.sources.source import Truthful

# One comment in so many is labelled in the demo.
_LABELLED = 2


def label_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """ml_imported_labels: files come in by `qc labels import`; the demo labels half of its own comments."""

    @dg.multi_asset(
        name="ml_imported_labels",
        specs=[
            tables.spec(
                "ml.imported_labels",
                "Labelled review comments of imported files. Add one with `qc labels import FILE`.",
                group="features",
                deps=["raw.review_comments"],
            )
        ],
    )
    def imported(warehouse: WarehouseResource) -> Iterator[dg.MaterializeResult]:
        # Imported here: the sources' libraries are not needed to show the graph.
        from qc_assets.sources.registry import open_source
        from qc_assets.sources.source import Truthful

        store = warehouse.open()
        source = open_source(settings) if settings.is_synthetic else None
        if isinstance(source, Truthful):
            label_by_truth(source, settings.source, store)
        origins = store.sql_file("ml/imported_labels", section="origins")
        yield dg.MaterializeResult(
            asset_key=tables.key("ml.imported_labels"),
            metadata=tables.row_count(int(origins["comments"].sum()))
            | {"labels by origin": tables.preview(origins.to_dicts())},
        )

    return [imported]


def label_by_truth(source: "Truthful", name: str, store: Warehouse) -> int:
    """Label half of a synthetic source's comments with their true categories; returns how many are new."""
    truth = source.truth("truth_comments")
    comments = store.query(
        "SELECT comment_id, body, path, created_at FROM raw.review_comments WHERE source = $1 "
        f"AND comment_id % {_LABELLED} = 0 AND body IS NOT NULL",
        [name],
    )
    # A world that was replaced by another leaves no labels behind.
    with store.write() as connection:
        connection.execute(
            "DELETE FROM ml.imported_labels WHERE origin = $1 AND (comment_id, body) NOT IN "
            "(SELECT (comment_id, body) FROM raw.review_comments WHERE source = $1 AND body IS NOT NULL)",
            [name],
        )
    rows = comments.join(truth, on="comment_id").sort("comment_id")
    new_labels = rows.select(
        pl.Series("label_id", [labels.label_id(name, row) for row in rows["comment_id"]], dtype=pl.Int64),
        "comment_id",
        "body",
        "path",
        "category",
        pl.lit(name).alias("origin"),
        pl.int_range(1, pl.len() + 1, dtype=pl.Int32).alias("row_number"),
        "created_at",
        pl.col("created_at").alias("imported_at"),
    )
    return labels.add(store, new_labels).height
