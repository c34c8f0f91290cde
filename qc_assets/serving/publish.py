"""What `exports_champions`, `exports_predictions` and `qc publish` write."""

from functools import partial
from typing import TYPE_CHECKING, Any

from qc_assets.errors import QcError
from qc_assets.registry.bundle_store import is_out_of_reach
from qc_assets.registry.export_place import Place
from qc_assets.registry.model_files import export_version
from qc_assets.serving.champions import SPECS, load_champion
from qc_assets.serving.info import model_info
from qc_assets.store.warehouse import Warehouse

if TYPE_CHECKING:
    from qc_assets.registry.model_registry import Registry


def champions(place: Place, store: Warehouse, registry: "Registry") -> list[dict[str, Any]]:
    """Export every champion; returns model, version and whether anything was new.

    Raises:
        QcError: naming champions that cannot be loaded, once the others are exported; of these the place keeps what it
            had, as nothing else is what the registry calls champion.
    """
    rows, broken = [], []
    for model in SPECS:
        reference = registry.standing(model).champion
        if reference is None:
            continue
        try:
            champion = load_champion(registry, model, reference)
        except Exception as error:  # whatever a broken file does, the other models are exported
            if is_out_of_reach(error):
                raise
            broken.append(f"version {reference.version} of {model} is not exported: {error}")
            continue
        info = model_info([champion], store)[model]
        fetch = partial(registry.downloaded, model, champion.version)
        is_new = export_version(place, model, champion.version, fetch, info)
        rows.append({"model": model, "version": champion.version, "is_new": is_new})
    if broken:
        raise QcError("; ".join(broken))
    return rows


def predictions(place: Place, store: Warehouse) -> list[dict[str, Any]]:
    """Write ml.predictions, a Parquet file a model; returns model and rows."""
    rows = []
    for (model,) in store.query("SELECT DISTINCT model FROM ml.predictions ORDER BY model").iter_rows():
        with store.staging() as folder:
            path = folder / "rows.parquet"
            with store.read() as connection:
                copied = connection.execute(
                    "COPY (FROM ml.predictions WHERE model = $model ORDER BY ALL) TO $file (COMPRESSION zstd)",
                    {"model": model, "file": str(path)},
                ).fetchone()
            place.write(f"predictions/{model}.parquet", path.read_bytes())
        rows.append({"model": model, "rows": copied[0] if copied else 0})
    return rows
