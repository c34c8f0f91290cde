"""How a pull request ended, by what its forge delivered: a closing counts until the pull request is opened again."""

from collections.abc import Iterable, Mapping
from typing import Any

Outcome = Mapping[str, Any]


def last_reopening(outcomes: Iterable[Outcome]) -> str:
    """When a pull request was last opened again, as ISO 8601; empty if it never was."""
    return max((outcome["decided_at"] for outcome in outcomes if outcome["passed"] is None), default="")


def was_closed(labelled: Mapping[str, Any]) -> bool:
    """Whether a label of features.pull_requests is that of a closing: neither a review's nor people's."""
    return labelled.get("passed_by") != "feedback" and not labelled.get("decided_by_verdict")


def standing_outcome(outcomes: Iterable[Outcome], *, open_at: str = "") -> Outcome | None:
    """The first event that decided a pull request and still does; None while nothing does.

    Args:
        outcomes: documents of its journal entries of the kind outcome, in any order.
        open_at: when it was seen open, as ISO 8601; empty if it was not.
    """
    outcomes = list(outcomes)
    since = max(last_reopening(outcomes), open_at)
    decisive = [
        outcome
        for outcome in outcomes
        if outcome["passed"] is not None
        # A review stays what it was.
        and not (outcome["event"].startswith("closed:") and outcome["decided_at"] < since)
    ]
    return min(decisive, key=lambda outcome: outcome["decided_at"], default=None)
