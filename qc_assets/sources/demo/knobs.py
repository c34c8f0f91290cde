"""Settings of the demo source, and the bias that it can be given so that bias reports can be seen to find it."""

from dataclasses import dataclass
from datetime import date

from pydantic import BaseModel, Field, field_validator


@dataclass(frozen=True)
class Bias:
    """Harsher (or milder) judgement of one group's pull requests, for the same quality.

    Attributes:
        group: ``newcomers`` (authors who have opened none in the repository before), or a repository's name.
        log_odds: what is added to their log-odds of passing; negative is harsher.
    """

    group: str
    log_odds: float

    @classmethod
    def parse(cls, text: str) -> "Bias | None":
        """Read ``GROUP:LOG_ODDS``, such as ``newcomers:-0.8``; None if it is empty.

        Raises:
            ValueError: if it is anything else.
        """
        if not text:
            return None
        group, _, size = text.rpartition(":")
        if not (group == "newcomers" or "/" in group):
            raise ValueError(f"{text!r}: write newcomers or owner/name, a colon, and log-odds, as in newcomers:-0.8")
        return cls(group, float(size))


class DemoKnobs(BaseModel):
    """The demo source."""

    demo_prs: int = Field(2_000, ge=1, description="Pull requests that the demo source generates.")
    demo_days: int = Field(240, ge=14, description="Days over which the demo's activity is spread.")
    demo_bias: str = Field(
        "", description="A bias planted into the demo: newcomers or owner/name, a colon, log-odds (newcomers:-0.8)."
    )
    demo_broken_day: date | None = Field(
        None, description="A day of the demo that fails, to practise on: a red partition among green ones."
    )
    seed: int = Field(20240101, ge=0, description="Seed of the demo source and of training.")

    @field_validator("demo_bias")
    @classmethod
    def _plantable(cls, value: str) -> str:
        Bias.parse(value)
        return value
