"""d1 = beta × p0 × V, in decimal arithmetic."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from qc_assets.errors import QcError
from qc_assets.serving.facts import PullRequestFacts
from qc_assets.serving.schemas import Name, Strict

CENT = Decimal("0.01")
# A probability is a binary number; six digits say all that a calibration on some thousand rows can know.
_P0_DIGITS = Decimal("0.000001")


class PayoutError(QcError):
    """A payout cannot be computed, or must not be."""


@dataclass(frozen=True)
class Payout:
    """One payout and what it was computed from.

    Attributes:
        amount: d1, rounded to two decimals, half to even; the currency is that of `value`.
        beta, p0, value: its factors, as they were used.
    """

    amount: Decimal
    beta: Decimal
    p0: Decimal
    value: Decimal


def payout(p0: float, value: Decimal | str | int, beta: Decimal | str) -> Payout:
    """Compute d1 = beta × p0 × V.

    p0 is rounded to six decimals first, so that the product can be done again by hand from what is recorded; only
    the result is rounded after that, to two decimals, half to even, so that many payouts are right in sum.

    Args:
        p0: probability within [0, 1].
        value: V, not negative, in any currency.
        beta: share within [0, 1].

    Raises:
        PayoutError: if one of them is not a number of its range.
    """
    known = {"p0": Decimal(repr(float(p0))), "value": _decimal("value", value), "beta": _decimal("beta", beta)}
    for name, number in known.items():
        if not number.is_finite() or number < 0 or (name != "value" and number > 1):
            limit = "a number that is not negative" if name == "value" else "within 0 and 1"
            raise PayoutError(f"{name} is {number}: it must be {limit}")
    exact = known["p0"].quantize(_P0_DIGITS, ROUND_HALF_EVEN)
    amount = (known["beta"] * exact * known["value"]).quantize(CENT, ROUND_HALF_EVEN)
    return Payout(amount, known["beta"], exact, known["value"])


def at_both_ends(
    lower: float | None, upper: float | None, value: Decimal | str | int, beta: Decimal | str
) -> dict[str, Decimal]:
    """p0 and d1 at the ends of p0's interval, by their names in `PayoutAnswer`; empty where there is no interval.

    They inform; what is paid is d1.

    Raises:
        PayoutError: as `payout` does.
    """
    if lower is None or upper is None:
        return {}
    ends = {"lower": payout(lower, value, beta), "upper": payout(upper, value, beta)}
    return {f"p0_{end}": at.p0 for end, at in ends.items()} | {f"d1_{end}": at.amount for end, at in ends.items()}


def _decimal(name: str, given: Decimal | str | int) -> Decimal:
    if isinstance(given, float):
        raise PayoutError(f"{name} is a binary number: give it as text, such as '0.25', so that no digit changes")
    try:
        return Decimal(given)
    except InvalidOperation as error:
        raise PayoutError(f"{name} is {given!r}: it must be a number") from error


class PayoutRequest(Strict):
    """What a pull request is worth; p0 is predicted from its facts, never taken from the caller."""

    facts: PullRequestFacts
    value: Annotated[Decimal, Field(ge=0, max_digits=20, decimal_places=6)] = Field(
        description="V, in any currency; as text, so that no digit changes.", examples=["1000.00"]
    )
    beta: Annotated[Decimal, Field(ge=0, le=1, decimal_places=6)] | None = Field(
        None, description="Default: QC_PAYOUT_BETA.", examples=["0.25"]
    )
    payout_id: Name | None = Field(
        None,
        description="Identity of the payout: asked again with it, the same answer comes, and it is made once.",
    )
    allow_uncertain: bool = Field(False, description="Pay although p0 is UNCERTAIN.")
    allow_outdated: bool = Field(False, description="Pay although model or warehouse are out of date.")


class PayoutAnswer(BaseModel):
    """d1 = beta × p0 × value, rounded to two decimals, half to even, and all that it was computed from."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"task_id": "acme/atlas#7", "worker_id": "dev-00001", "d1": "203.08", "beta": "0.25"},
                **{"p0": "0.812300", "value": "1000.00", "model_version": "3", "is_synthetic": False},
                **{"p0_lower": "0.791000", "p0_upper": "0.826400", "d1_lower": "197.75", "d1_upper": "206.60"},
            }
        }
    )
    task_id: str
    worker_id: str
    d1: Decimal
    beta: Decimal
    p0: Decimal
    value: Decimal
    model_version: str
    is_synthetic: bool = Field(description="The model knows only made-up data: this is no real payout.")
    p0_lower: Decimal | None = Field(None, description="Lower end of p0's interval; missing where there is none.")
    p0_upper: Decimal | None = Field(None, description="Upper end of it.")
    d1_lower: Decimal | None = Field(None, description="What d1 would be with p0_lower; it informs, and is not paid.")
    d1_upper: Decimal | None = Field(None, description="What d1 would be with p0_upper.")
