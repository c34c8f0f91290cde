"""What computes a feature table: DuckDB in one pass or in shards, or Spark; the rows are the same."""

from collections.abc import Mapping

from qc_assets.features.knobs import FeatureKnobs
from qc_assets.features.shards import rebuild_in_shards
from qc_assets.store.warehouse import Warehouse


def rebuild_features(store: Warehouse, name: str, parameters: Mapping[str, object], knobs: FeatureKnobs) -> int:
    """Compute the feature table ``features/table`` anew, as the settings say; returns the number of rows.

    Raises:
        QcError: if Spark is to do it and cannot; says why.
    """
    if knobs.features_engine == "duckdb":
        return rebuild_in_shards(store, name, parameters, knobs.features_shards)
    from qc_assets.features.spark import rebuild_on_spark

    return rebuild_on_spark(store, name, parameters, knobs.spark_url, knobs.spark_folder)
