"""Settings of the API: payouts, who may call it and how often, and how quickly it sees what is new."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

from qc_assets.knob_types import Names


class ServingKnobs(BaseModel):
    """The API."""

    payout_beta: Annotated[Decimal, Field(ge=0, le=1)] = Field(
        Decimal("0.25"), description="beta of d1 = beta × p0 × V, unless a request says another."
    )
    model_max_age_days: int = Field(
        60, ge=1, description="Older models, or data that end so long ago, are out of date: they are not paid by."
    )
    api_key: SecretStr | None = Field(
        None, min_length=8, description="What requests must bring; without it, the API binds loopback addresses only."
    )
    webhook_secret: SecretStr | None = Field(
        None, min_length=8, description="Secret of GitHub's webhook; without it, it is off."
    )
    api_port: int = Field(8000, ge=1, le=65535, description="Port of the API.")
    api_max_bytes: int = Field(8_000_000, ge=1_000, description="Longest body of a request.")
    api_rate: str = Field(
        "1000/second", pattern=r"^[1-9]\d*/(second|minute|hour)$", description="Requests that one client may make."
    )
    api_origins: Names = Field(
        (), description="Origins of browsers that may call the API (CORS), comma-separated; default: none."
    )
    api_hosts: Names = Field(
        (), description="Names of this server in URLs, comma-separated; default: any where a key is asked for."
    )
    champion_refresh_s: float = Field(10.0, gt=0, description="Seconds between looks for another champion.")
    history_refresh_s: float = Field(300.0, gt=0, description="Seconds between looks for a changed warehouse.")
    journal_days: int = Field(90, ge=1, description="Days that predictions stay in the journal once imported.")
