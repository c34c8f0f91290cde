"""Settings of every source: which one, of which repositories and days, and how bad its lines may be."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, Field

from qc_assets.knob_types import RepositoryNames

SourceName = Literal["demo", "gharchive", "github"]


class SourceKnobs(BaseModel):
    """What is read."""

    source: SourceName = Field("demo", description="Where activity comes from.")
    repos: RepositoryNames = Field(
        (), description="Only these repositories (owner/name, comma-separated); empty means all of the source."
    )
    start_date: date | None = Field(
        None, description="First daily partition (UTC); default: 2015-01-01 for gharchive, else 2024-01-01."
    )
    end_date: date | None = Field(None, description="Last daily partition; default: yesterday.")
    max_bad_line_share: float = Field(0.01, ge=0, le=1, description="Unreadable lines a partition may have.")
