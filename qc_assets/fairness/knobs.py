"""Settings of bias reports: what is large, what is too small to say, and how sure a flag must be."""

from pydantic import BaseModel, Field


class FairnessKnobs(BaseModel):
    """Fairness."""

    bias_threshold: float = Field(0.1, ge=0, lt=1, description="Relative gap between groups that is large.")
    bias_min_support: int = Field(30, ge=2, description="Groups with fewer rows are too small to say.")
    bias_significance: float = Field(0.01, gt=0, lt=1, description="Highest false discovery rate of a flag.")
    bias_blocks: bool = Field(False, description="A flagged gap stops what follows in a run, instead of warning.")
