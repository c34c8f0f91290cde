"""Settings of the API: payouts, who may call it and how often, and how quickly it sees what is new."""

from decimal import Decimal
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr, field_validator

from qc_assets.knob_types import Names, RepositoryNames
from qc_assets.shared_database import postgres_url


class ServingKnobs(BaseModel):
    """The API."""

    payout_beta: Annotated[Decimal, Field(ge=0, le=1)] = Field(
        Decimal("0.25"), description="beta of d1 = beta × p0 × V, unless a request says another."
    )
    payout_beta_max: Annotated[Decimal, Field(ge=0, le=1)] = Field(
        Decimal("0.5"), description="Largest beta that a request may say."
    )
    payout_value_max: Annotated[Decimal, Field(gt=0)] = Field(
        Decimal(100_000), description="Largest V that a request may say."
    )
    payout_claims: Literal["refuse", "flag"] = Field(
        "refuse",
        description="What becomes of payouts that rest on what nobody but the caller says: refuse, or flag (pay, and "
        "mark them as claimed).",
    )
    model_max_age_days: int = Field(
        60, ge=1, description="Older models, or data that end so long ago, are out of date: they are not paid by."
    )
    api_key: SecretStr | None = Field(
        None,
        min_length=8,
        description="A key with all rights that requests may bring; `qc keys` makes others. Without any, the API "
        "answers this machine only.",
    )
    webhook_secret: SecretStr | None = Field(
        None, min_length=8, description="Secret of GitHub's webhook; without it, it is off."
    )
    check_repos: RepositoryNames = Field(
        (),
        description="Repositories (owner/name) on whose pull requests p0 is shown when they are opened; empty: never.",
    )
    check_as: Literal["comment", "check_run"] = Field(
        "comment",
        description="How it is shown: as one comment, or as a neutral check run, which needs a GitHub App.",
    )
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s()<>\[\]\"']+$",
        description="Where people reach this API: what is shown on pull requests links to its form for feedback.",
    )
    api_port: int = Field(8000, ge=1, le=65535, description="Port of the API.")
    api_max_bytes: int = Field(8_000_000, ge=1_000, description="Longest body of a request.")
    journal: Annotated[SecretStr, AfterValidator(postgres_url)] | None = Field(
        None,
        description="PostgreSQL that all machines share (postgresql://user:password@host:5432/database): the API's "
        "journal, so that a task is paid for once whichever server is asked, and what GitHub's tokens and the "
        "language model have left. Default: files under QC_HOME.",
    )
    api_rate: str = Field(
        "1000/second",
        pattern=r"^[1-9]\d*/(second|minute|hour)$",
        description="Requests that one key, or without keys one address, may make.",
    )
    api_counts: SecretStr | None = Field(
        None,
        description="Redis in which all servers count requests and wrong keys together, such as redis://host:6379/0 "
        "(extra `cluster`); each counts alone without it, and while it does not answer.",
    )
    api_guesses: str = Field(
        "20/minute",
        pattern=r"^[1-9]\d*/(second|minute|hour)$",
        description="Wrong keys that one address may send; further ones are not looked at.",
    )
    feedback_per_day: int = Field(
        500,
        ge=0,
        description="Labels that one key's feedback may give in a day (UTC); what is more is kept, and not counted.",
    )
    trusted_proxies: Names = Field(
        (),
        description="Addresses or networks of proxies whose X-Forwarded-For is believed, comma-separated.",
    )
    api_origins: Names = Field(
        (), description="Origins of browsers that may call the API (CORS), comma-separated; default: none."
    )
    api_hosts: Names = Field(
        (), description="Names of this server in URLs, comma-separated; default: any where a key is asked for."
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            ip_network(proxy, strict=False)
        return proxies

    champion_refresh_s: float = Field(10.0, gt=0, description="Seconds between looks for another champion.")
    history_refresh_s: float = Field(300.0, gt=0, description="Seconds between looks for a changed warehouse.")
    journal_days: int = Field(90, ge=1, description="Days that predictions stay in the journal once imported.")
