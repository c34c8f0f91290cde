"""Who asks: by which key, from which address. What is written down says it."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from qc_assets.errors import QcError

Right = Literal["predict", "post", "feedback", "payout", "settle", "admin"]
RIGHTS: Mapping[Right, str] = {
    "predict": "ask for predictions",
    "post": "have p0 shown on pull requests of listed repositories",
    "feedback": "say what is true, and appeal",
    "payout": "make payouts, read them, and appeal",
    "settle": "settle appeals, correct payouts, and pay what is uncertain or out of date",
    "admin": "everything",
}


class ForbiddenError(QcError):
    """The caller has not the right to do this."""


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        key: name of the key; None where none is needed.
        address: of the peer, or of whom a trusted proxy names.
        rights: what the key may do.
    """

    key: str | None
    address: str
    rights: frozenset[Right] = frozenset(RIGHTS)

    def may(self, *rights: Right) -> bool:
        """Whether it has one of the rights."""
        return "admin" in self.rights or not self.rights.isdisjoint(rights)


# Set by the guard for each request; code that is called without a server asks for itself.
CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


def require(right: Right, what: str) -> None:
    """Refuse what the present caller has not the right to.

    Raises:
        ForbiddenError: saying which right is missing.
    """
    caller = CALLER.get()
    if caller is not None and not caller.may(right):
        raise ForbiddenError(f"{what} needs a key with the right {right!r}; {caller.key} has {_listed(caller)}")


def _listed(caller: Caller) -> str:
    return ", ".join(sorted(caller.rights)) or "none"


def received() -> dict[str, str | None]:
    """The present caller as entries of the journal have it; empty without a server."""
    caller = CALLER.get()
    return {} if caller is None else {"received_key": caller.key, "received_from": caller.address}
