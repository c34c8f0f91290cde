"""Settings of the GH Archive source."""

from pydantic import BaseModel, Field

from qc_assets.knob_types import PlainFolder


class ArchiveKnobs(BaseModel):
    """GH Archive."""

    gharchive_dir: PlainFolder | None = Field(None, description="Folder of YYYY-MM-DD-H.json.gz files.")
    gharchive_url: str = Field("https://data.gharchive.org", description="Where missing hours come from.")
    gharchive_download: bool = Field(
        True, description="Download hours the folder lacks (never done when QC_GHARCHIVE_DIR is set)."
    )
    min_archive_completeness: float = Field(
        0.95, ge=0, le=1, description="Share of numbers seen for an archive day to count as covered."
    )
