"""Settings of every source: which one, of which repositories and days, and how bad its lines may be."""

from datetime import date

from pydantic import BaseModel, Field, field_validator

from qc_assets.knob_types import RepositoryNames
from qc_assets.source_traits import source_names


class SourceKnobs(BaseModel):
    """What is read."""

    source: str = Field("demo", description=f"Where activity comes from: {', '.join(source_names())}.")
    repos: RepositoryNames = Field(
        (), description="Only these repositories (owner/name, comma-separated); empty means all of the source."
    )
    start_date: date | None = Field(
        None,
        description="First daily partition (UTC) where the data do not decide; default: 2015-01-01 for gharchive, "
        "2007-10-01 for github, 2024-01-01 for the demo.",
    )
    end_date: date | None = Field(None, description="Last daily partition; default: yesterday.")
    max_line_bytes: int = Field(
        2**24, ge=2**10, le=2**28, description="Longer lines of a file are dead letters, not read."
    )
    max_file_bytes: int = Field(
        2**34, ge=2**20, description="Unpacked bytes of one file; what comes behind them is a dead letter, not read."
    )
    max_unpack_ratio: int = Field(
        200, ge=10, description="Unpacked bytes from a packed one, in a file that unpacks to more than 2 GiB."
    )
    max_download_bytes: int = Field(2**31, ge=2**20, description="A longer file is not downloaded.")
    max_bad_line_share: float = Field(0.01, ge=0, le=1, description="Unreadable lines a partition may have.")

    @field_validator("source")
    @classmethod
    def _known_source(cls, value: str) -> str:
        if value not in source_names():
            raise ValueError(f"there is no such source; there are {', '.join(source_names())}")
        return value
