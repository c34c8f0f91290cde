"""Settings of the store: where state lies, and what one DuckDB connection may take."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from qc_assets.knob_types import PlainFolder
from qc_assets.lake_place import PlaceOfWarehouse
from qc_assets.places import default_home, default_warehouse


def _warehouse_of(values: dict[str, Any]) -> Path:
    # A home that is refused is not among the values: its own message is enough.
    return default_warehouse(values.get("home") or default_home())


class StoreKnobs(BaseModel):
    """Where state lies."""

    home: PlainFolder = Field(
        default_factory=default_home,
        description="Folder of all run-time state but the warehouse; "
        "default: .qc in a checkout, the user's data folder when installed.",
    )
    warehouse: PlaceOfWarehouse = Field(
        default_factory=_warehouse_of,
        description="The DuckDB file, or a lake such as `ducklake:postgres:dbname=qc host=db?data=s3://bucket/qc` "
        "(docs/lake.md); default: warehouse/qc.duckdb in a checkout, under QC_HOME when installed.",
    )
    memory_limit: str = Field(
        "1536MiB",
        description="Memory that one DuckDB connection may use; with it, a process stays under 2 GiB, but for days of "
        "many lines of megabytes each (docs/sources.md).",
    )
    threads: int | None = Field(None, ge=1, description="DuckDB threads; default: all cores.")
    lock_timeout_s: float = Field(300.0, gt=0, description="Seconds to wait for another process's lock.")
    lake_keep_days: float = Field(
        7.0,
        ge=1 / 24,
        description="Of a lake: days for which its earlier snapshots, and the files that only they need, are kept.",
    )
