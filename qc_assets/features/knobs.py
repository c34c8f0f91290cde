"""Settings of features: which pull requests are too small, who is new, junior, mid or senior, who is no person."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from qc_assets.knob_types import AbsolutePath, Names, ThreeThresholds

_SPARK_URL = re.compile(r"local(\[[^\]]+\])?|yarn|(spark|k8s|sc)://.+")


def _spark_url(value: str) -> str:
    if not _SPARK_URL.fullmatch(value):
        raise ValueError(
            "give a master of Spark (local[*], spark://host:7077, yarn, k8s://…) or of Spark Connect (sc://host:15002)"
        )
    return value


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
    features_engine: Literal["duckdb", "spark"] = Field(
        "duckdb", description="What computes features: duckdb, here, or spark, where QC_SPARK_URL says (extra `spark`)."
    )
    spark_url: Annotated[str, AfterValidator(_spark_url)] = Field(
        "local[*]", description="A master of Spark, such as spark://host:7077, or a Spark Connect URL, sc://host:15002."
    )
    spark_folder: AbsolutePath | None = Field(
        None,
        description="Folder that Spark's machines see, too, for rows on their way there and back; "
        "unset if Spark runs on this machine.",
    )
    origin_rules: AbsolutePath | None = Field(
        None,
        description="CSV with rules of your own for who made a change, which go before the project's: "
        "matched_against, pattern, origin, agent, meaning, source, since. One that is wrong is refused whole.",
    )
