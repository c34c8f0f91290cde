"""Settings of features: which pull requests are too small, who is new, junior, mid or senior, who is no person."""

from pydantic import BaseModel, Field

from qc_assets.knob_types import AbsolutePath, Names, ThreeThresholds


class FeatureKnobs(BaseModel):
    """Features."""

    min_pr_lines: int = Field(10, ge=0, description="Smaller pull requests are left out of p0.")
    seniority_merged: ThreeThresholds = Field(
        (1, 5, 20), description="Pull requests merged before in a repository, for junior, mid and senior."
    )
    seniority_days: ThreeThresholds = Field(
        (0, 30, 180), description="Days of tenure in a repository, for junior, mid and senior; both are needed."
    )
    machine_accounts: Names = Field(
        (),
        description="Logins of accounts that are programs though GitHub calls them users, comma-separated; "
        "-LOGIN is a person, whatever their texts look like.",
    )
    features_shards: int = Field(
        1,
        ge=1,
        description="Computes features in so many shards by repository, one after the other: less memory, more time, "
        "the same rows (docs/deployment.md).",
    )
    origin_rules: AbsolutePath | None = Field(
        None,
        description="CSV with rules of your own for who made a change, which go before the project's: "
        "matched_against, pattern, origin, agent, meaning, source, since. One that is wrong is refused whole.",
    )
