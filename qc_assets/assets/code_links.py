"""Links from assets to their code: the Python that makes them, and the SQL that declares their table."""

import inspect
import warnings
from collections.abc import Sequence
from typing import Any

import dagster as dg

from qc_assets.places import sql_root


def linked_to_code(assets: Sequence[Any]) -> list[Any]:
    """The same assets, each with references to local files, which the UI shows; installed ones lie in the package.

    `dagster.with_source_code_references` reads every source file to find the end of a function as well, which takes
    longer than all the rest of building the definitions.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # a link that breaks with Dagster breaks nothing else
        return [_linked(asset) if isinstance(asset, dg.AssetsDefinition) else asset for asset in assets]


def _linked(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
    compute: Any = asset.op.compute_fn
    code = inspect.unwrap(getattr(compute, "decorated_fn", compute)).__code__
    python = dg.LocalFileCodeReference(
        file_path=code.co_filename, line_number=code.co_firstlineno, label=code.co_qualname.partition(".<")[0]
    )

    def with_references(spec: dg.AssetSpec) -> dg.AssetSpec:
        table = str(spec.metadata.get("dagster/table_name", ""))
        file = sql_root() / f"{table.replace('.', '/')}.sql"
        sql = [dg.LocalFileCodeReference(file_path=str(file), label="SQL")] if table and file.is_file() else []
        references = dg.CodeReferencesMetadataValue(code_references=[python, *sql])
        return spec.merge_attributes(metadata={"dagster/code_references": references})

    return asset.map_asset_specs(with_references)
