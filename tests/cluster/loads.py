"""Loading days of the demo, as one of several processes: `python -m tests.cluster.loads PLACE HOME DAYS…`."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from qc_assets.lake_place import WarehousePlace
from qc_assets.settings import Settings, load_settings
from qc_assets.sources.loading import load
from qc_assets.sources.registry import open_source
from qc_assets.store.schema import RAW_TABLES
from qc_assets.store.warehouse import Warehouse

TABLES = [f"{schema}.{table}" for schema in ("raw", "observed") for table in RAW_TABLES]


def world(place: WarehousePlace, home: Path) -> Settings:
    return load_settings(warehouse=place, home=home, demo_prs=300, demo_days=60, threads=1)


def load_days(settings: Settings, days: Sequence[int], *, refresh: bool = False) -> Warehouse:
    """Load days of the demo by their number, each in a transaction of its own."""
    store, source = Warehouse.from_settings(settings), open_source(settings)
    for day in days:
        load(store, source, [settings.first_date + timedelta(days=day)], refresh=refresh)
        sys.stdout.write(f"{day}\n")
        sys.stdout.flush()
    return store


if __name__ == "__main__":
    load_days(world(sys.argv[1], Path(sys.argv[2])), [int(day) for day in sys.argv[3:]], refresh=True)
