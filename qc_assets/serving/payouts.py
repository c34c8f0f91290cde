"""d1 = beta × p0 × V, in decimal arithmetic."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from qc_assets.errors import QcError
from qc_assets.serving.facts import PullRequestFacts
from qc_assets.serving.one_form import Identity, PlainNumber, one_task, plain_number
from qc_assets.serving.schemas import Count, Strict, Text

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
        return Decimal(str(plain_number(given)) if isinstance(given, str) else given)
    except (InvalidOperation, ValueError) as error:
        raise PayoutError(f"{name} is {given!r}: it must be a number") from error


class PayoutFacts(PullRequestFacts):
    """A pull request that is paid for. What is known of it decides; what is said here is compared with that."""

    worker_id: Identity = Field(description="Login of the author.", examples=["dev-00001"])
    task_id: Annotated[Identity, AfterValidator(one_task)] = Field(
        description="[HOST/]owner/name#number, or the address of its page.", examples=["acme/atlas#7"]
    )
    lines_changed: Count | None = None  # type: ignore[assignment]
    files_changed: Annotated[int, Field(ge=1, le=10**6)] | None = None  # type: ignore[assignment]
    title_length: Count | None = None  # type: ignore[assignment]


class PayoutRequest(Strict):
    """What a pull request is worth; p0 is predicted from what is known of it, never taken from the caller."""

    facts: PayoutFacts
    value: Annotated[Decimal, PlainNumber, Field(ge=0, max_digits=20, decimal_places=6)] = Field(
        description="V, in any currency; as text, so that no digit changes.", examples=["1000.00"]
    )
    beta: Annotated[Decimal, PlainNumber, Field(ge=0, le=1, decimal_places=6)] | None = Field(
        None, description="Default: QC_PAYOUT_BETA.", examples=["0.25"]
    )
    payout_id: Identity | None = Field(
        None,
        description="Identity of the payout: asked again with it, the same answer comes, and it is made once. "
        "Whatever it is, a task is paid for once.",
    )
    allow_uncertain: bool = Field(
        False, description="Pay although p0 is UNCERTAIN, or learnt of no such pull request: needs the right settle."
    )
    allow_outdated: bool = Field(
        False, description="Pay although model or warehouse are out of date: needs the right settle."
    )
    replaces: Identity | None = Field(
        None, description="Identity of the payout for this task that this one corrects: needs the right settle."
    )
    correction: Text | None = Field(None, description="Why it is corrected; needed with `replaces`.")

    @model_validator(mode="after")
    def _a_correction_says_why(self) -> Self:
        if (self.replaces is None) != (self.correction is None):
            raise ValueError("`replaces` and `correction` come together: what is corrected, and why")
        return self


class PayoutAnswer(BaseModel):
    """d1 = beta × p0 × value, rounded to two decimals, half to even, and all that it was computed from."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"id": "invoice-7", "task_id": "acme/atlas#7", "worker_id": "dev-00001", "d1": "203.08"},
                **{"beta": "0.25", "p0": "0.812300", "value": "1000.00", "model_version": "3", "is_synthetic": False},
                **{"p0_lower": "0.791000", "p0_upper": "0.826400", "d1_lower": "197.75", "d1_upper": "206.60"},
                **{"facts_from": "warehouse", "claimed": []},
            }
        }
    )
    id: str = Field(description="Identity of the payout, for GET /payouts/{id}: the payout_id, or one that was made.")
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
    facts_from: Literal["warehouse", "delivery", "claims"] | None = Field(
        None, description="Who says what p0 was asked about. claims: nobody but the caller."
    )
    claimed: list[str] = Field([], description="What nobody but the caller says of the pull request.")
    origin: str | None = Field(
        None, description="Who made it: person, assisted, agent or automation; missing where nobody knows."
    )
    replaces: str | None = Field(None, description="The payout that this one corrects.")
