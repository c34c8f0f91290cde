"""Settings of the files source."""

from datetime import datetime

from pydantic import BaseModel, Field

from qc_assets.knob_types import PlainFolder


class FilesKnobs(BaseModel):
    """Histories in files (docs/histories.md)."""

    files_dir: PlainFolder | None = Field(
        None, description="Folder of data sets, a sub-folder each, or one data set: pull_requests.parquet, …."
    )
    files_forge: str = Field(
        "", description="Whose ids and names the data sets have, unless their dataset.toml says; empty: nobody's else."
    )
    files_extracted_at: datetime | None = Field(
        None,
        description="When the data sets were extracted (UTC), unless their dataset.toml says; default: the newest "
        "instant in each.",
    )
